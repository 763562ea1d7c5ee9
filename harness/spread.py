"""Over how many processes a job's training is spread, and in how many parts each computes its share of a batch."""

from __future__ import annotations

import dataclasses

from benchmarks.base import ALONE, Batch, World
from benchmarks.protocol import Protocol
from harness.job import Job
from harness.order import usable_gpus
from harness.schedule.slots import count_slots, visible_gpus
from harness.settings import Settings


def usable_ranks(settings: Settings) -> int:
    """Processes that a run may use for a job; plan and executor ask here, so that the key tells what is run.

    Args:
        settings: Of the run. The debug executor has one process; on a machine with GPUs each rank needs one; a cluster
            is asked for as many as are set.
    """
    if settings.executor == "debug":
        return 1
    if settings.executor == "slurm":
        return settings.ranks
    gpus = usable_gpus(settings.device, visible_gpus())
    return min(settings.ranks, count_slots(settings.slots, gpus)) if gpus else settings.ranks


def spread(protocol: Protocol | None, ranks: int, largest_batch: int | None) -> World:
    """The world of a job.

    The protocol's ranks are the most there will be. Fewer take more images each, which is the same computation, SyncBN
    included; only where that is too much for one process is a share computed in parts.

    Args:
        protocol: Of the job; None for feature extraction, which is never spread.
        ranks: Processes that the run may use for a job.
        largest_batch: Most images that one process computes at a time; None for any number.

    Returns:
        The world, as rank 0 sees it. Both numbers divide the batch.
    """
    if protocol is None or "ranks" not in protocol.fields:
        return ALONE
    batch = protocol["batch_size"]
    shared = max(count for count in range(1, min(ranks, protocol["ranks"]) + 1) if batch % count == 0)
    share = batch // shared
    most = largest_batch or share
    parts = next(count for count in range(1, share + 1) if share % count == 0 and share // count <= most)
    return World(ranks=shared, parts=parts)


def world_of(job: Job, ranks: int, largest_batch: int | None) -> World:
    """How a job is spread; pretraining is not."""
    return ALONE if job.pretrains else spread(job.protocol, ranks, largest_batch)


def batch_seen(batch: Batch, world: World) -> Batch:
    """What the numerics in the key say of a batch: a trained BatchNorm sees one part of it at a time."""
    if batch.batch_norm is None or world.parts == 1:
        return batch
    return dataclasses.replace(batch, batch_norm=batch.batch_norm // world.parts)
