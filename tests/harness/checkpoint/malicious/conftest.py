"""The folder that a trap makes, and what traps need beside the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.checkpoint.assembly import Raw, call, npy, save_torch
from tests.harness.checkpoint.malicious.traps import SYSTEM, second, shell

PLUGIN = """
import os

class New:
    def __new__(cls, path="", **more): os.mkdir(path or more["path"])

class Init:
    def __init__(self, path): os.mkdir(path)

class Member:
    def __setstate__(self, path): os.mkdir(path)
    def __setitem__(self, key, path): os.mkdir(path)
    def append(self, path): os.mkdir(path)
    def extend(self, paths): os.mkdir(paths[0])
    add = append

class Key:
    def __setstate__(self, path): self.path = path
    def __hash__(self): os.mkdir(self.path); return 0
"""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a trap makes; whatever the traps need lies beside it."""
    found = tmp_path / "sprung"
    script = f"import os\nthing = os.mkdir({str(found)!r})\n"
    (tmp_path / "evil_import.py").write_text(script)
    (tmp_path / "evil_plugin.py").write_text(PLUGIN)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hubconf.py").write_text(f"def entry():\n    import os\n    os.mkdir({str(found)!r})\n")
    (tmp_path / "second.pkl").write_bytes(second(found))
    save_torch(tmp_path / "second.pth", Raw(call(SYSTEM, shell(found))))
    (tmp_path / "second.npy").write_bytes(npy(Raw(call(SYSTEM, shell(found)))))
    monkeypatch.syspath_prepend(str(tmp_path))
    return found
