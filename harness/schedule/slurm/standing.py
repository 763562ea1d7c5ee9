"""Where every job of a run stands, from the ledger and what SLURM says."""

from __future__ import annotations

import dataclasses

from harness.completeness import is_complete
from harness.job import Job
from harness.schedule.slurm.endings import is_cancelled
from harness.schedule.slurm.run_plan import RunJob, RunPlan
from harness.schedule.slurm.submissions import Task, View
from results.workspace import Workspace


@dataclasses.dataclass
class Standing:
    """A job of the run, as a round sees it.

    Args:
        job: Which.
        state: ``done``, ``active``, ``left`` (to be submitted), ``failed`` or ``cancelled``.
        reason: Why.
        task: Where it is, if it is active on the cluster.
    """

    job: RunJob
    state: str
    reason: str = ""
    task: Task | None = None

    @property
    def name(self) -> str:
        return self.job.folder.name


def stand(plan: RunPlan, seen: View) -> list[Standing]:
    """Where every job of a run stands."""
    newest = seen.newest_by_job()
    given_up = plan.cancelled()
    found: dict[tuple[str, str], Standing] = {}
    for job in plan.jobs:
        found[job.folder.place] = _standing(plan, job, newest.get(job.folder.place), given_up)
    wanted = {
        need.place for job in plan.jobs if found[job.folder.place].state in ("left", "active") for need in job.needs
    }
    for place, each in found.items():
        if each.job.hidden and each.state == "left" and place not in wanted:
            each.state, each.reason = "done", "not needed: all that uses it is finished"
    for each in found.values():
        lost = [found[need.place] for need in each.job.needs if found[need.place].state in ("failed", "cancelled")]
        if each.state == "left" and lost:
            each.state, each.reason = lost[0].state, f"needs {lost[0].job.folder.name}: {lost[0].reason}"
    return list(found.values())


def _standing(plan: RunPlan, job: RunJob, task: Task | None, given_up: set[str]) -> Standing:
    folder = job.folder
    if _is_complete(plan.workspace, job):
        return Standing(job, "done")
    if task is not None and task.is_live and not (task.entry is not None and task.entry.never_starts):
        return Standing(job, "active", task=task)
    claim = folder.live_claim()
    if claim is not None and not claim.submission:
        return Standing(job, "active", f"held by process {claim.process.pid} on {claim.process.host}")
    if claim is not None and task is None:
        # Its submission was closed, or its folder is gone: nobody works under it any more.
        folder.release(claim)
    if folder.name in given_up or _was_cancelled(plan, job, task):
        return Standing(job, "cancelled", "cancelled; the same command submits it again")
    failures = folder.failures()
    if failures >= plan.settings.max_failures:
        last = folder.last_failure()
        return Standing(job, "failed", f"failed {failures} times, last: {last}; --cache retry tries again")
    return Standing(job, "left")


def _was_cancelled(plan: RunPlan, job: RunJob, task: Task | None) -> bool:
    """Whether a person cancelled it: SLURM also cancels what can never start."""
    if task is None or task.submission.run != plan.id or not is_cancelled(task.entry):
        return False
    return all(is_complete(plan.workspace, Job.from_dict(need.read_spec())) for need in job.needs)


def _is_complete(workspace: Workspace, job: RunJob) -> bool:
    if not job.folder.is_finished():
        return False
    # Of a benchmark the result is all there is; extraction and pretraining also leave files.
    simple = not job.hidden and job.folder.path.parent == workspace.jobs
    return simple or is_complete(workspace, Job.from_dict(job.folder.read_spec()))
