"""What every pretraining config is made of: the class to derive from, and what a job of it leaves."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from benchmarks.base import Batch, Outcome, Resources, TrainingContext, WithProtocol
from benchmarks.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class Product:
    """What a pretraining job leaves.

    Args:
        outcome: Loss, curves and details for the record.
        checkpoint: The whole network, a file in the attempt.
        digest: Digest of its backbone.
    """

    outcome: Outcome
    checkpoint: Path
    digest: str


class Pretraining(WithProtocol, ABC):
    """One way to make a backbone. Deriving classes are stateless; their module imports no torch and no toolbox."""

    format: ClassVar[str]
    """Format of the checkpoint, one that intake reads."""
    encoder: ClassVar[str]
    """Which network of the checkpoint is the backbone."""
    input: ClassVar[str]
    """Name of the input convention that it is trained under."""

    @abstractmethod
    def check(self, protocol: Protocol) -> None:
        """Refuses values that the training cannot follow; called when a job is planned, before anything starts.

        Raises:
            HarnessError: A value is not possible, or two contradict each other.
        """

    @abstractmethod
    def resources(self, protocol: Protocol) -> Resources:
        """What a job of it asks for."""

    @abstractmethod
    def batch(self, protocol: Protocol) -> Batch:
        """Batch sizes that stand in the job key."""

    @abstractmethod
    def run(self, context: TrainingContext) -> Product:
        """Trains. Called on the node, in the job's process.

        Raises:
            HarnessError: Something that the user can mend.
        """
