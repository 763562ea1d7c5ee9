"""Whether a trap works, and whether the reader under test starts, imports or makes anything."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from harness.checkpoint.intake import examine
from results.errors import HarnessError
from tests.harness.checkpoint.assembly import load_unrestricted

SPAWNING = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "pty.spawn")
_watching = False
_seen: list[str] = []


def _audit(event: str, _: Any) -> None:
    if _watching and event in (*SPAWNING, "os.mkdir", "pickle.find_class", "socket.connect", "shutil.rmtree"):
        _seen.append(event)


sys.addaudithook(_audit)


def forget_bait() -> None:
    for name in [name for name in sys.modules if name.startswith("evil_") or name == "hubconf"]:
        del sys.modules[name]


def prove(path: Path, container: str, marker: Path) -> None:
    """An unrestricted loader springs the trap."""
    failure: Exception | None = None
    try:
        load_unrestricted(path, container)
    except Exception as error:  # noqa: BLE001 - behind the trap the pickle need not make sense
        failure = error
    deadline = time.monotonic() + 5
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert marker.is_dir(), f"the trap itself does not work: {failure!r}"
    marker.rmdir()
    forget_bait()


def watched(path: Path, trust: bool, marker: Path) -> tuple[Any, HarnessError | None]:
    """Examines a file; nothing may be started, imported or made meanwhile."""
    global _watching
    facts, refusal = None, None
    _seen.clear()
    _watching = True
    try:
        facts = examine(str(path), trust=trust)[0]
    except HarnessError as error:
        refusal = error
    finally:
        _watching = False
    assert not marker.exists(), "the trap was sprung"
    assert not _seen, f"reading did {_seen}"
    assert not [name for name in sys.modules if name.startswith("evil_")], "a module of the file's choice was imported"
    return facts, refusal


def names_all(sentence: str, names: tuple[str, ...]) -> bool:
    return all(any(form in sentence for form in name.split("|")) for name in names)


def refused_and_trusted(path: Path, marker: Path, names: tuple[str, ...], expected: str) -> None:
    facts, refusal = watched(path, False, marker)
    assert refusal is not None, f"read without trust: {facts}"
    assert names_all(refusal.what, names), refusal.what
    assert "--trust" in refusal.mend
    facts, refusal = watched(path, True, marker)
    assert refusal is None, f"not read in spite of trust: {refusal}"
    assert facts.digest == expected
    saying = [warning for warning in facts.warnings if names_all(warning, names)]
    assert len(saying) == 1, facts.warnings
    assert "run" in saying[0]
