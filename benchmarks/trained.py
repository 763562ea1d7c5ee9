"""What the benchmarks share that train with a toolbox: how long, on what, and the record of the last evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.base import SMOKE_RESOURCES, Batch, Benchmark, JobContext, Outcome, Resources
from benchmarks.protocol import Protocol
from results.record import MetricValue

if TYPE_CHECKING:
    from benchmarks.proof import Pixels


class TrainedBenchmark(Benchmark):
    """A benchmark that trains on images and takes its numbers after the last step."""

    random: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    length: ClassVar[str]
    """Field that says how long it is trained: ``iterations`` or ``epochs``."""
    hours: ClassVar[float]
    """Rough hours of the full protocol on one GPU that holds the whole batch and is fed by four workers."""
    frozen: ClassVar[bool] = False
    """Whether training leaves the backbone as it is."""
    dilated: ClassVar[bool] = False
    """Whether layer3 and layer4 are dilated."""

    @abstractmethod
    def built_config(self, context: JobContext) -> Mapping[str, Any]:
        """The toolbox's config for data of such counts, without looking at it."""

    @abstractmethod
    def pixels(self, protocol: Protocol) -> Pixels:
        """The test pipeline in the words of the proof."""

    @abstractmethod
    def metrics(self, protocol: Protocol, evaluation: Mapping[str, float]) -> dict[str, MetricValue]:
        """Every metric of the benchmark, of what the evaluators say."""

    def details(self, protocol: Protocol, evaluation: Mapping[str, float]) -> Mapping[str, Any]:
        """What else follows from the last evaluation."""
        return {}

    def job_config(self, context: JobContext) -> Mapping[str, Any]:
        """The toolbox's config of a job, whose data is there."""
        return self.built_config(context)

    def fed(self, context: JobContext) -> JobContext:
        """The job with the input convention that its network is fed by: the backbone's."""
        return context

    def resources(self, protocol: Protocol) -> Resources:
        """One GPU; hours grow with the length of training."""
        if protocol.profile == "smoke":
            return SMOKE_RESOURCES
        return Resources(gpus=1, hours=self.hours * protocol[self.length] / self.table[self.length].value)

    def batch(self, protocol: Protocol) -> Batch:
        """One process sees the whole batch, and so do its norms."""
        return Batch(effective=protocol["batch_size"], batch_norm=protocol["batch_size"])

    def run(self, context: JobContext) -> Outcome:
        """Trains and takes the metrics after the last step.

        Raises:
            HarnessError: A proof failed; an image, a list or the protocol is bad; the disk is full.
        """
        from benchmarks.toolbox.config import AUTOCAST, config_digest
        from benchmarks.toolbox.runner import train

        protocol = context.protocol
        config = self.job_config(context)
        pixels = self.pixels(protocol)
        training = train(config, self.fed(context), pixels, frozen=self.frozen, dilated=self.dilated)
        last = training.last(protocol[self.length])
        found = [self.metrics(protocol, evaluation) for _, evaluation in training.evaluations]
        return Outcome(
            metrics=self.metrics(protocol, last),
            details={
                **self.details(protocol, last),
                "autocast": AUTOCAST.get((context.numerics.precision, context.device), "none"),
                f"resumed_from_{self.length.removesuffix('s')}": training.resumed_from,
            },
            curves={
                self.length: [when for when, _ in training.evaluations],
                **{metric: [values[metric].value for values in found] for metric in found[-1]},
            },
            config_digest=config_digest(config),
        )
