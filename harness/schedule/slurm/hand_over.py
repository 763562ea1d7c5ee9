"""Handing a submission to SLURM: once, even where sbatch's answer is lost."""

from __future__ import annotations

import re
import time
from pathlib import Path

from harness.schedule.slurm.commands import call
from harness.schedule.slurm.queue import look_up
from harness.schedule.slurm.request import Ask, script
from harness.schedule.slurm.submissions import Submission
from harness.settings import Settings
from results.errors import HarnessError
from results.files import write_whole

PAUSES = (5.0, 10.0, 20.0)
"""Seconds between calls of sbatch: a slurmctld that is started again is back within seconds."""

PASSING = (
    "unable to contact slurm controller",
    "socket timed out",
    "did not answer within",
    "connection refused",
    "transport endpoint",
    "zero bytes were transmitted",
    "communication connection failure",
    "resource temporarily unavailable",
    "backup controller",
    "job submit limit",
)
"""What sbatch says where the same call may succeed later (slurm_errno.h of 22.05, in small letters)."""


def hand_over(submission: Submission, ask: Ask, settings: Settings, dependency: str = "", begin: str = "") -> str:
    """Submits what an intent says.

    After any error its name is looked up before another attempt: SLURM may have accepted what it did not answer.

    Args:
        submission: The intent, which lies on disk.
        ask: What its jobs ask for.
        settings: Of the run.
        dependency: As ``--dependency`` takes it.
        begin: As ``--begin`` takes it.

    Returns:
        SLURM's number.

    Raises:
        HarnessError: SLURM refused it, or could not be reached. Where that is certain the intent is void.
    """
    path = submission.folder / "sbatch.sh"
    write_whole(path, script(ask, submission, settings, dependency, begin))
    for pause in PAUSES:
        number = _submit(submission, path, last=False)
        if number:
            return number
        time.sleep(pause)
    return _submit(submission, path, last=True)


def _submit(submission: Submission, path: Path, last: bool) -> str:
    """Calls sbatch once.

    Returns:
        SLURM's number; empty where the same call may succeed later, unless it is the last one.

    Raises:
        HarnessError: As :func:`hand_over`.
    """
    try:
        number = _number(call(["sbatch", str(path)]))
    except HarnessError as error:
        found = look_up(submission.name)
        refused = found == "" and not any(words in error.what.lower() for words in PASSING)
        if refused or (last and found == ""):
            submission.make_void(error.what)
        if refused:
            raise HarnessError(
                f"SLURM does not accept {submission.name}: {error.what}",
                str(path),
                "correct the part 'slurm' of harness.yaml; python -m harness doctor shows what the cluster offers",
            ) from error
        if last and not found:
            raise
        number = found or ""
    if number:
        submission.note_number(number)
    return number


def _number(said: str) -> str:
    """SLURM's number in sbatch's answer.

    Raises:
        HarnessError: There is none.
    """
    found = re.search(r"Submitted batch job (\d+)", said)
    if found is None:
        raise HarnessError(f"sbatch failed: it answered {said.strip()[:200]!r}", "SLURM", "python -m harness doctor")
    return found.group(1)
