"""When a job counts as finished."""

from __future__ import annotations

from harness.job import Job
from harness.ledger import JobFolder
from results.workspace import Workspace


def job_folder(workspace: Workspace, job: Job) -> JobFolder:
    """The job's place in the ledger."""
    return JobFolder((workspace.pretrain if job.pretrains else workspace.jobs) / job.name)


def is_complete(workspace: Workspace, job: Job) -> bool:
    """Whether the result is there and, for extraction and pretraining, the features or the checkpoint are too."""
    folder = job_folder(workspace, job)
    if not folder.is_finished():
        return False
    if job.pretrains:
        return folder.product() is not None
    if not job.extracts:
        return True
    from benchmarks.probes.feature_store import is_complete as features_complete

    return features_complete(workspace.feature_set(job.key))


def features_are_there(workspace: Workspace, job: Job) -> bool:
    """Whether the features that a job needs, if it needs any, are complete."""
    extraction = job.feature_job()
    return extraction is None or is_complete(workspace, extraction)
