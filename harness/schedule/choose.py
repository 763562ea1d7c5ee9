"""Which executor a run gets where it asks for none."""

from __future__ import annotations

from harness.schedule.slurm.commands import call, has_slurm
from harness.settings import Settings
from results.errors import HarnessError

ANSWER_SECONDS = 10.0


def with_executor(settings: Settings) -> Settings:
    """Settings that name an executor: ``auto`` is SLURM where its controller answers, else this machine.

    Raises:
        HarnessError: SLURM is asked for and is not here.
    """
    if settings.executor == "slurm" and not has_slurm():
        raise HarnessError(
            "there is no SLURM here: sbatch, squeue, scancel and scontrol are not all on the PATH",
            "--executor",
            "load the cluster's module or log in to a node that has them, or use --executor local",
        )
    if settings.executor != "auto":
        return settings
    return settings.model_copy(update={"executor": "slurm" if _answers() else "local"})


def _answers() -> bool:
    if not has_slurm():
        return False
    try:
        return " is UP" in call(["scontrol", "ping"], ANSWER_SECONDS)
    except HarnessError:
        return False
