"""Giving jobs up: on a cluster through its scheduler, here through their processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Sequence

from harness.ledger import JobFolder
from harness.status import job_folders
from results.errors import HarnessError
from results.workspace import Workspace

IDS_A_CALL = 200


def cancel_jobs(workspace: Workspace, folders: Sequence[JobFolder] | None) -> list[str]:
    """Stops jobs, so that they can be resumed by the same command.

    Args:
        workspace: Whose.
        folders: Which jobs; None for all, and the controllers of their runs with them.

    Returns:
        Names of the jobs that were told to stop.

    Raises:
        HarnessError: The scheduler does not answer, or a process is another user's.
    """
    chosen = job_folders(workspace) if folders is None else list(folders)
    wanted = {folder.place for folder in chosen}
    stopped = _cancel_on_cluster(workspace, wanted, everything=folders is None)
    stopped += [folder.name for folder in chosen if _stop_here(folder)]
    return sorted(set(stopped))


def _cancel_on_cluster(workspace: Workspace, wanted: Collection[tuple[str, str]], everything: bool) -> list[str]:
    if not workspace.submissions.is_dir():
        return []
    from harness.schedule.slurm.commands import call
    from harness.schedule.slurm.run_plan import run_plans
    from harness.schedule.slurm.submissions import CONTROLLER, PATROL, view

    runs = run_plans(workspace)
    for plan in runs:
        # First: a controller that is at work now submits nothing more.
        plan.cancel(None if everything else [job.folder for job in plan.jobs if job.folder.place in wanted])
    seen = view(workspace)
    live = [task for task in seen.tasks() if task.is_live and task.id]
    if live and not seen.snapshot.answered:
        raise HarnessError("squeue does not answer", "SLURM", "run the same command again when it does")
    controllers = [task for task in live if task.submission.kind in (CONTROLLER, PATROL)]
    jobs = [task for task in live if task not in controllers and task.submission.jobs[task.index] in wanted]
    ids = [task.id for task in (*(controllers if everything else ()), *jobs)]
    for begin in range(0, len(ids), IDS_A_CALL):
        call(["scancel", *ids[begin : begin + IDS_A_CALL]])
    for plan in runs if everything else []:
        plan.end({job.folder.name: _end_of(job.folder) for job in plan.jobs})
    return [task.submission.jobs[task.index][1] for task in jobs]


def _end_of(folder: JobFolder) -> dict[str, str]:
    state, reason = ("done", "") if folder.is_finished() else ("cancelled", "cancelled")
    return {"state": state, "reason": reason}


def _stop_here(folder: JobFolder) -> bool:
    """Asks the process on this host that holds a job to end cleanly."""
    claim = folder.live_claim()
    if claim is None or claim.submission or claim.process.is_alive() is not True:
        return False
    with contextlib.suppress(ProcessLookupError):
        try:
            os.kill(claim.process.pid, signal.SIGTERM)
        except PermissionError as error:
            raise HarnessError(
                f"process {claim.process.pid}, which works on {folder.name}, is another user's",
                claim.process.host,
                "ask that user to stop it",
            ) from error
    return True
