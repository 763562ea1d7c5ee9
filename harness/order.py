"""What is handed to a job's process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from benchmarks.base import ALONE, World
from harness.schedule.slots import count_slots, threads_per_job


@dataclasses.dataclass(frozen=True)
class Grant:
    """A job's place on a cluster: its resources are its own, so it waits for no slot.

    Args:
        submission: Name under which the scheduler knows it.
        index: Its place in the array.
        job_id: The scheduler's id, ``123_4``.
        restart: How often the scheduler restarted it.
        threads: CPUs of each process.
        nodes: Names of its nodes.
        minutes: Its time limit.
        notice_seconds: How long before that it is told (USR2).
        requeue: Whether it may ask to be started again.
    """

    submission: str
    index: int
    job_id: str
    restart: int
    threads: int
    nodes: tuple[str, ...]
    minutes: int
    notice_seconds: int
    requeue: bool


@dataclasses.dataclass(frozen=True)
class Order:
    """What is handed to the job's process; small and picklable.

    Args:
        workspace: Root of the workspace, absolute.
        job: Name of the job's folder.
        slots: The setting ``slots``.
        gpus: GPUs of the host that the run may use, as CUDA names them.
        own_process: False for the debug executor, which runs in the user's process and terminal.
        data_root: The run's ``--data``; None takes the spec's, which another run of the same job may have written.
        room: Folder of the workspace in which the job's folder lies.
        world: Over how many processes the job is spread, and in how many parts each computes; as rank 0 sees it.
        token: Names the submission to its ranks.
        hang_minutes: How long nothing may change in the attempt's folder; None for any time.
        rendezvous_minutes: How long the ranks wait for each other.
        grant: On a cluster, what was granted.
    """

    workspace: str
    job: str
    slots: int | None
    gpus: tuple[str, ...]
    own_process: bool
    data_root: str | None = None
    room: str = "jobs"
    world: World = ALONE
    token: str = ""
    hang_minutes: float | None = None
    rendezvous_minutes: float = 10.0
    grant: Grant | None = None

    @property
    def threads(self) -> int:
        """CPU threads of each process: the ranks of a job share its slot's."""
        if self.grant is not None:
            return self.grant.threads
        return max(1, threads_per_job(self.slot_count) // (1 if self.gpus else self.world.ranks))

    @property
    def slot_count(self) -> int:
        """Slots of the host."""
        return count_slots(self.slots, self.gpus)


def usable_gpus(device: str, visible: Sequence[str]) -> tuple[str, ...]:
    """GPUs that jobs may compute on.

    Args:
        device: The setting ``device``.
        visible: What the machine or the scheduler shows.
    """
    return () if device == "cpu" else tuple(visible)


def own_gpus(listed: str | None) -> str | None:
    """GPUs of a process that a scheduler gave to it alone; None where it has none."""
    return listed or os.environ.get("CUDA_VISIBLE_DEVICES") or None
