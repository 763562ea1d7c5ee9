"""Small shell scripts in place of programs on the PATH."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

KEPT = ("sh", "cat", "sleep", "env")
"""What the scripts themselves may need."""


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, programs: Mapping[str, str]) -> None:
    """Makes a PATH that has nothing but these programs and a shell.

    Args:
        monkeypatch: Of the test.
        folder: Where the scripts are written.
        programs: Text of each script by its name.
    """
    folder.mkdir(exist_ok=True)
    for name in KEPT:
        if not (folder / name).exists():
            (folder / name).symlink_to(str(shutil.which(name, path="/usr/bin:/bin")))
    for name, text in programs.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
