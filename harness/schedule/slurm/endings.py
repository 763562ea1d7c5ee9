"""What became of a job on a cluster, and what follows from it."""

from __future__ import annotations

import contextlib
import datetime
import time
from pathlib import Path

from harness.ledger import Claim, JobFolder
from harness.order import Grant
from harness.schedule.slurm.queue import Entry, seconds_left, snapshot
from harness.schedule.slurm.states import GONE, Cause, Phase, base_state, cause_of
from harness.schedule.slurm.submissions import CERTAIN_SECONDS, Task
from results.files import write_whole

SLACK_SECONDS = 60.0
"""SLURM was seen to signal up to 13 s late and, by sched_interval, early by as much."""

MOST_BYTES = 65536
LAST_LINES = 3
"""Of what a job wrote before its own log began."""

_REFUSED = ("FAILED", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE", "BOOT_FAIL", "LAUNCH_FAILED")
"""States of a job that ended before its process took the claim through a fault that will not go away by itself."""


def is_gone(claim: Claim, submission: str, restart: int) -> bool:
    """Whether the scheduler says that whoever holds a claim is gone; asked by a job on a node.

    Args:
        claim: What another process holds.
        submission: Of the job that asks.
        restart: How often that was restarted.
    """
    if not claim.submission:
        return False
    if claim.submission == submission:
        # SLURM starts a job again only when it has given its earlier incarnation up.
        return claim.restart < restart
    if _is_alive(claim):
        return False
    time.sleep(CERTAIN_SECONDS)
    return not _is_alive(claim)


def _is_alive(claim: Claim) -> bool:
    """Whether SLURM has the job in its queue or on a node, or does not answer."""
    number, _, text = claim.job_id.partition("_")
    index = int(text) if text.isdecimal() else 0
    seen = snapshot({claim.submission: [index]}, {claim.submission: number})
    if not seen.answered:
        return True
    return seen.phase(claim.submission, index) in (Phase.QUEUED, Phase.RUNNING)


def note_restart(folder: JobFolder, claim: Claim) -> None:
    """Writes how the attempt before a claim ended, where it was cut off: SLURM restarts jobs without a word."""
    if claim.number == 1:
        return
    before = folder.claim(claim.number - 1)
    if before.submission and not before.released and folder.outcome(before.attempt).status == "":
        folder.end_attempt(before.attempt, "interrupted", "SLURM took it off its node and started it again", "requeued")


def out_of_time(claim: Claim, grant: Grant) -> bool:
    """Whether a job that is told to stop has used up its time; else it must make room."""
    left = seconds_left(grant.job_id)
    if left is None:
        taken = datetime.datetime.fromisoformat(claim.taken)
        left = grant.minutes * 60 - (datetime.datetime.now(datetime.UTC) - taken).total_seconds()
    return left <= grant.notice_seconds + SLACK_SECONDS


def has_checkpoint(attempt: Path) -> bool:
    """Whether an attempt has written a checkpoint of its own, so that the next one begins later than it did."""
    return any(attempt.rglob("*.pth"))


def bury(folder: JobFolder, task: Task) -> None:
    """Writes down the end of a job that did not do so itself, and gives its claim back.

    Args:
        folder: The job's.
        task: Where it was; SLURM says that it has ended.
    """
    claim = folder.last_claim()
    if claim is None or claim.submission != task.submission.name:
        if task.entry is not None and task.entry.state in _REFUSED and not folder.is_finished():
            _note_false_start(folder, task)
        return
    if claim.released:
        return
    if folder.outcome(claim.attempt).status == "" and not folder.is_finished():
        cause = cause_of(task.entry.state, task.entry.exit_code) if task.entry is not None else GONE
        late = cause.name == "time limit" and has_checkpoint(folder.attempt_folder(claim.attempt))
        status = "failed" if cause.counts and not late else "interrupted"
        folder.end_attempt(claim.attempt, status, _sentence(cause), cause.name)
    folder.release(claim)


def _sentence(cause: Cause) -> str:
    return f"{cause.sentence}; {cause.mend}" if cause.mend else cause.sentence


def _note_false_start(folder: JobFolder, task: Task) -> None:
    """Counts an attempt for a job that ended before its process could say anything."""
    # Of an array whose other tasks go on it is met again and again, and counted once.
    mark = f"{task.submission.token}n{task.index}"
    if any(name.endswith(mark) for name in folder.attempts()):
        return
    entry = task.entry
    lines = [line for path in slurm_logs(task) for line in _tail(path)]
    said = f": {' / '.join(lines)}" if lines else ""
    state = base_state(entry.state).lower().replace("_", " ") if entry is not None else "gone"
    attempt = f"{folder.attempt_name().partition('-')[0]}-{mark}"
    for path in slurm_logs(task)[:1]:
        with contextlib.suppress(OSError):
            write_whole(folder.attempt_folder(attempt) / "log.txt", path.read_bytes()[-MOST_BYTES:])
    reason = f"its process ended before it had begun to work ({state}){said}"
    folder.end_attempt(attempt, "failed", reason, "did not start")


def slurm_logs(task: Task) -> list[Path]:
    """What SLURM kept of a task's output, errors first."""
    number = task.submission.number()
    if not number:
        return []
    patterns = (f"{number}_{task.index}_*_log.err", f"{number}_{task.index}_*_log.out")
    return [path for pattern in patterns for path in sorted(task.submission.folder.glob(pattern))]


def _tail(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-LAST_LINES:]


def is_cancelled(entry: Entry | None) -> bool:
    """Whether somebody cancelled a task."""
    return entry is not None and base_state(entry.state) == "CANCELLED"
