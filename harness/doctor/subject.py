"""What is looked at: settings, the benchmarks of the suite, and whether a cluster is meant."""

from __future__ import annotations

import dataclasses

from benchmarks.catalogue import Choice
from harness.schedule.slurm.commands import has_slurm
from harness.settings import Settings


@dataclasses.dataclass(frozen=True)
class Subject:
    """What the checks are given.

    Args:
        settings: As a run would have them.
        choices: Benchmarks of the suite.
    """

    settings: Settings
    choices: tuple[Choice, ...]

    @property
    def on_cluster(self) -> bool:
        """Whether a run would go to SLURM, if its controller answers."""
        return self.settings.executor == "slurm" or (self.settings.executor == "auto" and has_slurm())

    @property
    def is_full(self) -> bool:
        """Whether the published protocols are meant."""
        return self.settings.profile == "full"

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Names of the data sets that the suite reads."""
        return tuple(dict.fromkeys(choice.benchmark.data for choice in self.choices))
