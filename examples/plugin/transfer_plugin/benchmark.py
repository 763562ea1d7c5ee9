"""A benchmark: the mean of the first convolution's weights. torch is imported where it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import Benchmark, JobContext, Outcome, Resources
from benchmarks.protocol import Field, Protocol
from results.record import Column, MetricValue


class ChannelMean(Benchmark):
    """The mean, times the protocol's scale."""

    name: ClassVar[str] = "channel_mean"
    title: ClassVar[str] = "Mean of the first convolution"
    group: ClassVar[str] = "classification"
    data: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1
    random: ClassVar[bool] = False
    table: ClassVar[Mapping[str, Field]] = {"scale": Field(100.0, "where this value comes from")}
    smoke: ClassVar[Mapping[str, Any]] = {}

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """One metric with two decimals."""
        return (Column("mean", "Mean", 2),)

    def resources(self, protocol: Protocol) -> Resources:
        """Seconds on a CPU."""
        return Resources(gpus=0, hours=0.01)

    def run(self, context: JobContext) -> Outcome:
        """Reads the backbone, which is held against its digest."""
        from benchmarks.backbone import read_backbone

        tensors = read_backbone(context.backbone, context.digest)
        mean = float(tensors["conv1.weight"].mean()) * context.protocol["scale"]
        return Outcome({"mean": MetricValue(mean)})
