"""What is said of jobs that have no result: why, the last words of their logs, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.console import make_console

if TYPE_CHECKING:
    from harness.schedule.tracking import TrackedJob

LAST_LINES = 5
MOST_BYTES = 8192


def tell_failures(jobs: Sequence[TrackedJob]) -> None:
    """Says on standard error what became of the jobs that are neither done nor cached.

    Args:
        jobs: Of the run, at its end.
    """
    console = make_console(stderr=True)
    for tracked in jobs:
        if tracked.state in ("done", "cached"):
            continue
        reason = tracked.reason or tracked.state
        if tracked.state == "waiting":
            reason = "no result, and --cache read-only runs nothing"
        lines = [f"{tracked.folder.name}: {reason}"]
        log = tracked.folder.log()
        if log is not None:
            lines += [f"  | {line}" for line in last_lines(log)]
            lines += [f"  log: {log}"]
        console.print("\n".join(lines), markup=False, highlight=False, style="red", soft_wrap=True)
    if any(tracked.state == "failed" for tracked in jobs):
        console.print(
            "  mend: correct what the log names, then run the same command again: it goes on from here", markup=False
        )


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """The last lines of a log that say something; none where it cannot be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - MOST_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
