"""Ends an attempt that makes no progress: a process beside it, since one that hangs cannot be relied on to notice.

Run as a file of its own, so that it imports nothing: ``watchdog.py PID START ATTEMPT CLAIM SECONDS``. Progress is
anything that changes in the attempt's folder. Times are compared by their changes only; clocks of file servers differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

MOST_SECONDS_BETWEEN_LOOKS = 30.0


def start_ticks(pid: int) -> int | None:
    """When a process began (field 22 of ``/proc/PID/stat``, proc(5)); None where it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def trace(folder: Path) -> tuple[int, int, int]:
    """What changes whenever anything is written below a folder: newest time, bytes, entries."""
    newest = size = count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                seen = os.stat(os.path.join(place, name))
                newest, size, count = max(newest, seen.st_mtime_ns), size + seen.st_size, count + 1
    return newest, size, count


def descendants(pid: int) -> list[int]:
    """Processes below a process, the nearest first."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for task in tasks:
            with contextlib.suppress(OSError):
                children = [int(word) for word in Path(f"/proc/{parent}/task/{task}/children").read_text().split()]
                found += children
                waiting += children
    return found


def publish(path: Path, text: str) -> None:
    """Writes a file unless one is there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(text)
        with contextlib.suppress(OSError):
            os.link(temporary, path)
        temporary.unlink()


def now() -> str:
    """The time as the ledger writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


def watch(pid: int, start: int, attempt: Path, claim: Path, seconds: float) -> bool:
    """Looks on until the process ends, or ends it.

    Args:
        pid: The attempt's process.
        start: When it began, in clock ticks, so that a pid that comes round again is not taken for it.
        attempt: Folder in which progress shows.
        claim: File of its claim.
        seconds: How long nothing may change.

    Returns:
        Whether the process was ended.
    """
    pause = min(MOST_SECONDS_BETWEEN_LOOKS, seconds / 4)
    seen, since = trace(attempt), time.monotonic()
    while start_ticks(pid) == start:
        time.sleep(pause)
        present = trace(attempt)
        if present != seen:
            seen, since = present, time.monotonic()
        elif time.monotonic() - since > seconds and start_ticks(pid) == start:
            reason = (
                f"it made no progress for {seconds / 60:g} min and was ended; hang_minutes says how long it may take"
            )
            outcome = {"status": "failed", "reason": reason, "cause": "hang", "finished": now()}
            publish(attempt / "outcome.json", json.dumps(outcome, indent=2) + "\n")
            for number in (pid, *descendants(pid)):
                if number != os.getpid():
                    with contextlib.suppress(OSError):
                        os.kill(number, signal.SIGKILL)
            publish(claim.with_suffix(".released"), now() + "\n")
            return True
    return False


if __name__ == "__main__":
    # Ctrl-C and the end of the terminal are the run's to handle.
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(each, signal.SIG_IGN)
    watch(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), float(sys.argv[5]))
