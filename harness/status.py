"""What ledger and scheduler say of every job, without torch, pandas or a toolbox."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ledger import Claim, JobFolder
from results.errors import HarnessError, did_you_mean
from results.workspace import Workspace

if TYPE_CHECKING:
    from harness.schedule.slurm.submissions import Task

STATES = ("done", "running", "queued", "failed", "interrupted", "killed", "waiting")


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """One job as it stands now.

    Args:
        job: Name of its folder.
        state: One of :data:`STATES`; ``queued`` is at a scheduler, ``waiting`` is nowhere.
        attempts: How many attempts there were.
        since: When the present state began, ISO 8601; empty where unknown.
        reason: Why it failed, or what it waits for.
        log: The newest log; None where there is none.
        cause: What ended its last attempt from outside; empty where its own code did.
        scheduler: The scheduler's id of it; empty where it is not at one.
    """

    job: str
    state: str
    attempts: int
    since: str
    reason: str
    log: Path | None
    cause: str = ""
    scheduler: str = ""


@dataclasses.dataclass(frozen=True)
class ClusterView:
    """What a scheduler says of the jobs of a workspace.

    Args:
        tasks: The newest task of each job that was submitted and not yet judged, by room and name.
        answered: Whether the scheduler could be asked.
        calls: How many commands were run.
    """

    tasks: Mapping[tuple[str, str], Task]
    answered: bool
    calls: int


NO_CLUSTER = ClusterView({}, answered=True, calls=0)


def look_at_cluster(workspace: Workspace) -> ClusterView:
    """Asks the scheduler, once for all jobs; nobody is asked where nothing was ever submitted."""
    if not workspace.submissions.is_dir():
        return NO_CLUSTER
    from harness.schedule.slurm.submissions import view

    seen = view(workspace)
    return ClusterView(seen.newest_by_job(), seen.snapshot.answered, seen.snapshot.calls)


def job_status(folder: JobFolder, cluster: ClusterView = NO_CLUSTER) -> JobStatus:
    """Looks one job up.

    Args:
        folder: The job's.
        cluster: What the scheduler says.

    Raises:
        HarnessError: A file of the ledger is corrupt.
    """
    attempts = folder.attempts()
    claim = folder.last_claim()
    task = cluster.tasks.get(folder.place) if cluster.tasks else None
    cause = reason = ""
    if folder.is_finished():
        state = "done"
    elif task is not None and task.is_live:
        state, reason = _at_cluster(folder, task)
    elif claim is not None and claim.is_live():
        state, reason, cause = _under_claim(claim, task, cluster)
    else:
        outcome = folder.last_outcome(claim)
        if outcome is not None and outcome.status in ("failed", "interrupted"):
            state, reason, cause = outcome.status, outcome.reason, outcome.cause
        else:
            state = "killed" if claim is not None and not claim.released else "waiting"
    since = claim.taken if claim is not None else ""
    scheduler = task.id if task is not None and task.is_live else ""
    return JobStatus(folder.name, state, len(attempts), since, reason, folder.log(claim), cause, scheduler)


def _at_cluster(folder: JobFolder, task: Task) -> tuple[str, str]:
    from harness.schedule.slurm.describe import describe

    state, reason = describe(folder, task)
    return ("running" if state == "running" else "queued"), reason


def _under_claim(claim: Claim, task: Task | None, cluster: ClusterView) -> tuple[str, str, str]:
    """State, reason and cause of a job that seems to be held: of one at a scheduler, that knows better."""
    if not claim.submission:
        return "running", "", ""
    if not cluster.answered:
        return "running", "SLURM does not answer; this is what was last known", ""
    from harness.schedule.slurm.states import GONE, cause_of

    entry = task.entry if task is not None and task.submission.name == claim.submission else None
    found = cause_of(entry.state, entry.exit_code) if entry is not None else GONE
    return "killed", found.sentence, found.name


def all_statuses(workspace: Workspace) -> list[JobStatus]:
    """Every job of a workspace, sorted by name, benchmarks before pretraining.

    Raises:
        HarnessError: There is no workspace.
    """
    folders = job_folders(workspace)
    cluster = look_at_cluster(workspace)
    return [job_status(folder, cluster) for folder in folders]


def job_folders(workspace: Workspace) -> list[JobFolder]:
    """Folders of all jobs, sorted by name, benchmarks before pretraining.

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
    found = []
    for room in rooms:
        with os.scandir(room) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        found += [JobFolder(room / name) for name in names]
    return found


def find_job(workspace: Workspace, name: str) -> JobFolder:
    """The job whose folder's name is, or begins with, a given text.

    Raises:
        HarnessError: None or several are.
    """
    folders = {folder.name: folder for folder in job_folders(workspace)}
    found = [each for each in folders if each == name] or [each for each in folders if each.startswith(name)]
    if len(found) != 1:
        problem = "no job's name begins with" if not found else "several jobs' names begin with"
        raise HarnessError(f"{problem} '{name}'", str(workspace.root), did_you_mean(name, found or folders))
    return folders[found[0]]
