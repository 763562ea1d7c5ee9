"""Intake in a process that ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.harness.world import ROOT

PROGRAM = """
import json, sys
from pathlib import Path
from harness.checkpoint.apart import take_in_all
from results.errors import HarnessError
from results.workspace import Workspace
try:
    found = take_in_all(sys.argv[2:], Workspace(Path(sys.argv[1])), None, None, False)
    said = {"digests": [each.digest for each in found]}
except HarnessError as error:
    said = {"what": error.what, "mend": error.mend}
print(json.dumps({**said, "torch": "torch" in sys.modules}))
"""


def ask(workspace: Path, *checkpoints: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(workspace), *checkpoints],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_checkpoints_are_taken_in_without_torch_in_this_process(tmp_path: Path) -> None:
    found = ask(tmp_path, "random:1", "random:2")
    assert found["torch"] is False
    digests = found["digests"]
    assert isinstance(digests, list)
    assert len(set(digests)) == 2
    assert all((tmp_path / "backbones" / str(digest) / "backbone.safetensors").exists() for digest in digests)


def test_a_refusal_there_is_the_same_here(tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 not really")
    found = ask(tmp_path, str(tmp_path / "broken.pth"))
    assert found["torch"] is False
    assert found["what"]
    assert found["mend"]
