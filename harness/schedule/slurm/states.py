"""SLURM's names of states (squeue(1) and sacct(1) of 22.05 to 25.05), and what they mean for a run."""

from __future__ import annotations

import dataclasses
import enum


class Phase(enum.Enum):
    """Where a job stands, as far as a run is concerned."""

    QUEUED = "queued"
    RUNNING = "running"
    BETWEEN = "between"
    """Off its node, and perhaps soon in the queue again: nobody may conclude anything yet."""
    ENDED = "ended"


PHASES = {
    "PENDING": Phase.QUEUED,
    "CONFIGURING": Phase.QUEUED,
    "POWER_UP_NODE": Phase.QUEUED,
    "REQUEUE_FED": Phase.QUEUED,
    "REQUEUE_HOLD": Phase.QUEUED,
    "REQUEUED": Phase.QUEUED,
    "RESV_DEL_HOLD": Phase.QUEUED,
    "SPECIAL_EXIT": Phase.QUEUED,
    "RUNNING": Phase.RUNNING,
    "COMPLETING": Phase.RUNNING,
    "SIGNALING": Phase.RUNNING,
    "STAGE_OUT": Phase.RUNNING,
    "RESIZING": Phase.RUNNING,
    "STOPPED": Phase.RUNNING,
    "SUSPENDED": Phase.RUNNING,
    "UPDATE_DB": Phase.RUNNING,
    "EXPEDITING": Phase.QUEUED,
    "NODE_FAIL": Phase.BETWEEN,
    "PREEMPTED": Phase.BETWEEN,
    "LAUNCH_FAILED": Phase.BETWEEN,
    "RECONFIG_FAIL": Phase.BETWEEN,
    "BOOT_FAIL": Phase.BETWEEN,
    "REVOKED": Phase.ENDED,
    "COMPLETED": Phase.ENDED,
    "FAILED": Phase.ENDED,
    "CANCELLED": Phase.ENDED,
    "TIMEOUT": Phase.ENDED,
    "DEADLINE": Phase.ENDED,
    "OUT_OF_MEMORY": Phase.ENDED,
}


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why an attempt ended without a word of its own.

    Args:
        name: For tables: ``out of memory``, ``time limit``...
        sentence: What happened, for people.
        mend: What would mend it; empty where it is tried again anyway.
        counts: Whether it uses up one of the attempts.
    """

    name: str
    sentence: str
    mend: str = ""
    counts: bool = False


GONE = Cause("killed", "its process was killed or ended without a word", counts=True)

CAUSES = {
    "OUT_OF_MEMORY": Cause(
        "out of memory", "it needed more memory than it had asked for", "raise slurm.memory_per_gpu", counts=True
    ),
    "TIMEOUT": Cause("time limit", "its time limit was reached", "raise slurm.minutes", counts=True),
    "DEADLINE": Cause("time limit", "its deadline was reached", counts=True),
    "NODE_FAIL": Cause("node failure", "its node failed"),
    "BOOT_FAIL": Cause("node failure", "its node did not boot"),
    "LAUNCH_FAILED": Cause("node failure", "SLURM could not start it on its node"),
    "RECONFIG_FAIL": Cause("node failure", "its node could not be reconfigured"),
    "PREEMPTED": Cause("preempted", "it had to make room for another job"),
    "REVOKED": Cause("cancelled", "the federation gave it to another cluster"),
    "CANCELLED": Cause("cancelled", "it was cancelled"),
    "COMPLETED": GONE,
    "FAILED": GONE,
}

HELD_REASONS = ("launch failed requeued held", "launch_failed_requeued_held")
"""Reasons for which SLURM itself holds a job until somebody releases it; what a person holds is theirs to release."""

NEVER_REASONS = ("DependencyNeverSatisfied",)
"""Reasons for which a queued job will never start."""


def base_state(text: str) -> str:
    """The state without what SLURM adds: ``CANCELLED by 0`` and ``CANCELLED+`` are ``CANCELLED``."""
    return text.strip().split(" ")[0].rstrip("+").upper()


def phase_of(state: str) -> Phase:
    """What a state means; one that is not known means that nothing may be concluded."""
    return PHASES.get(base_state(state), Phase.BETWEEN)


def cause_of(state: str, exit_code: str = "") -> Cause:
    """Why a job that has ended did so.

    Args:
        state: SLURM's state; empty where nobody knows it any more.
        exit_code: ``status:signal`` as sacct prints it.
    """
    status, _, signal = exit_code.partition(":")
    if base_state(state) in ("FAILED", "COMPLETED") and (signal == "9" or status == "137"):
        return Cause("killed", "its process was killed (SIGKILL), often for want of memory on its node", counts=True)
    return CAUSES.get(base_state(state), GONE)
