"""What the ledger says of every job, without torch, pandas or a toolbox."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.ledger import JobFolder
from results.errors import HarnessError, did_you_mean
from results.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """One job as it stands now.

    Args:
        job: Name of its folder.
        state: ``done``, ``running``, ``failed``, ``interrupted``, ``killed`` or ``waiting``.
        attempts: How many attempts there were.
        since: When the present state began, ISO 8601; empty where unknown.
        reason: Why it failed.
        log: The newest log; None where there is none.
    """

    job: str
    state: str
    attempts: int
    since: str
    reason: str
    log: Path | None


def job_status(folder: JobFolder) -> JobStatus:
    """Looks one job up.

    Raises:
        HarnessError: A file of the ledger is corrupt.
    """
    attempts = folder.attempts()
    claim = folder.last_claim()
    outcome = folder.last_outcome()
    since = claim.taken if claim is not None else ""
    reason = ""
    if folder.is_finished():
        state = "done"
    elif claim is not None and claim.is_live():
        state = "running"
    elif outcome is not None and outcome.status in ("failed", "interrupted"):
        state, reason = outcome.status, outcome.reason
    else:
        state = "killed" if claim is not None and not claim.released else "waiting"
    return JobStatus(folder.name, state, len(attempts), since, reason, folder.log())


def all_statuses(workspace: Workspace) -> list[JobStatus]:
    """Every job of a workspace, sorted by name, benchmarks before pretraining.

    Raises:
        HarnessError: There is no workspace.
    """
    rooms = [room for room in (workspace.jobs, workspace.pretrain) if room.is_dir()]
    if not rooms:
        raise HarnessError(
            "no job was ever planned here",
            str(workspace.root),
            "python -m harness run --ckpt PATH, or give --workspace",
        )
    folders = [JobFolder(path) for room in rooms for path in sorted(room.iterdir()) if path.is_dir()]
    return [job_status(folder) for folder in folders]


def find_job(workspace: Workspace, name: str) -> JobFolder:
    """The job whose folder's name is, or begins with, a given text.

    Raises:
        HarnessError: None or several are.
    """
    names = [status.job for status in all_statuses(workspace)]
    found = [each for each in names if each == name] or [each for each in names if each.startswith(name)]
    if len(found) != 1:
        problem = "no job's name begins with" if not found else "several jobs' names begin with"
        raise HarnessError(f"{problem} '{name}'", str(workspace.root), did_you_mean(name, found or names))
    room = workspace.jobs if (workspace.jobs / found[0]).is_dir() else workspace.pretrain
    return JobFolder(room / found[0])
