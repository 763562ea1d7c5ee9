"""A job on a cluster in words, for people who look."""

from __future__ import annotations

from harness.ledger import JobFolder
from harness.schedule.slurm.states import Phase
from harness.schedule.slurm.submissions import Task

REASONS = {
    "Priority": "jobs of higher priority come first",
    "Resources": "waits for free resources",
    "Dependency": "waits for other jobs",
    "JobArrayTaskLimit": "waits for its turn in the array",
    "QOSMaxJobsPerUserLimit": "waits for your other jobs: the QOS allows no more",
    "AssocMaxJobsLimit": "waits for other jobs of the account",
    "Licenses": "waits for a licence",
    "ReqNodeNotAvail": "its nodes are not available now",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "PartitionTimeLimit": "asks for more time than its partition allows",
    "PartitionNodeLimit": "asks for more nodes than its partition has",
    "BeginTime": "waits for its time",
    "DependencyNeverSatisfied": "waits for what cannot come",
    "JobHeldUser": "held; scontrol release lets it go",
    "JobHeldAdmin": "held by an administrator",
}
"""SLURM's words for why a job waits (squeue(1), JOB REASON CODES)."""


def describe(folder: JobFolder, task: Task) -> tuple[str, str]:
    """State and reason of a job that is in the queue, on a node or between the two.

    Args:
        folder: The job's.
        task: Where it is.
    """
    place = f"job {task.id}" if task.id else "being submitted"
    entry = task.entry
    if task.phase is Phase.RUNNING:
        claim = folder.last_claim()
        at_work = claim is not None and claim.submission == task.submission.name and folder.is_at_work(claim.attempt)
        where = f"{place} on {entry.nodes}" if entry is not None and entry.nodes else place
        return ("running", where) if at_work else ("submitted", f"{where}, starting")
    if task.phase is Phase.BETWEEN and entry is not None:
        return "submitted", f"{place}: {entry.state.lower().replace('_', ' ')}; SLURM may start it again"
    if entry is not None and entry.reason and entry.reason != "None":
        return "submitted", f"{place}: {REASONS.get(entry.reason, entry.reason)}"
    return "submitted", place
