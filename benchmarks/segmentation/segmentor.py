"""What the segmentors share: the facts of their protocols, training on the whole backbone, and the last evaluation."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import SMOKE_RESOURCES, Batch, Benchmark, JobContext, Outcome, Resources
from benchmarks.protocol import Field, Protocol
from results.record import Column, MetricValue


class Segmentor(Benchmark):
    """An FCN on a dilated ResNet-50 that is trained as a whole and evaluated after the last iteration."""

    group: ClassVar[str] = "segmentation"
    random: ClassVar[bool] = True
    hours: ClassVar[float]
    """Rough hours of the full protocol on one GPU that holds the whole batch."""

    @abstractmethod
    def config(self, context: JobContext) -> dict[str, Any]:
        """The built config."""

    def built_config(self, context: JobContext) -> Mapping[str, Any]:
        """The classes are those of the protocol."""
        return self.config(context)

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """The mean over classes alone."""
        return (Column("mIoU", "mIOU", 2),)

    def resources(self, protocol: Protocol) -> Resources:
        """One GPU; hours grow with the iterations."""
        if protocol.profile == "smoke":
            return SMOKE_RESOURCES
        return Resources(gpus=1, hours=self.hours * protocol["iterations"] / self.table["iterations"].value)

    def check(self, protocol: Protocol) -> None:
        """Refuses batches, pixels and words that the config could not follow."""
        from benchmarks.toolbox.segmentation import check

        check(protocol)

    def batch(self, protocol: Protocol) -> Batch:
        """One process sees the whole batch, and so do its norms."""
        return Batch(effective=protocol["batch_size"], batch_norm=protocol["batch_size"])

    def run(self, context: JobContext) -> Outcome:
        """Trains the segmentor and takes the mIoU after the last iteration.

        Raises:
            HarnessError: A proof failed; an image, a list or the protocol is bad; the disk is full.
        """
        from benchmarks.toolbox.config import AUTOCAST, config_digest
        from benchmarks.toolbox.runner import train
        from benchmarks.toolbox.segmentation import evaluation_pixels

        protocol = context.protocol
        config = self.config(context)
        training = train(config, context, evaluation_pixels(protocol), frozen=False, dilated=True)
        last = training.last(protocol["iterations"])["mIoU"]
        return Outcome(
            metrics={"mIoU": MetricValue(last) if math.isfinite(last) else _nothing_labelled()},
            details={
                "autocast": AUTOCAST.get((context.numerics.precision, context.device), "none"),
                "resumed_from_iteration": training.resumed_from,
            },
            curves={
                "iterations": [when for when, _ in training.evaluations],
                "mIoU": [found["mIoU"] for _, found in training.evaluations],
            },
            config_digest=config_digest(config),
        )


def _nothing_labelled() -> MetricValue:
    return MetricValue(None, note="no pixel of the test images has a label")


def segmentor_fields(config: str, toolbox: str) -> dict[str, Field]:
    """Fields that have the same values on both data sets.

    Args:
        config: The reference's config, as a source.
        toolbox: The toolbox's base configs, as a source.
    """
    return {
        "norm": Field("SyncBN", config),
        "norm_eval": Field(False, config),
        "frozen_stages": Field(-1, f"{config}: nothing is frozen"),
        "strides": Field((1, 2, 1, 1), toolbox),
        "dilations": Field((1, 1, 2, 4), f"{toolbox}, contracted in the first block of a stage"),
        "dropout": Field(0.1, toolbox),
        "auxiliary_loss_weight": Field(0.4, toolbox),
        "ignored_label": Field(255, toolbox),
        "scale_range": Field((0.5, 2.0), toolbox),
        "crop_largest_share": Field(0.75, f"{toolbox}: a crop in which one class has more is drawn anew, 10 times"),
        "flip": Field(0.5, toolbox),
        "brightness": Field(32, "mmsegmentation PhotoMetricDistortion, its defaults"),
        "contrast": Field((0.5, 1.5), "mmsegmentation PhotoMetricDistortion, its defaults"),
        "saturation": Field((0.5, 1.5), "mmsegmentation PhotoMetricDistortion, its defaults"),
        "hue": Field(18, "mmsegmentation PhotoMetricDistortion, its defaults"),
        "decoder": Field("cv2", toolbox),
        "optimizer": Field("SGD", toolbox),
        "learning_rate": Field(0.01, toolbox),
        "momentum": Field(0.9, toolbox),
        "weight_decay": Field(5e-4, toolbox),
        "poly_power": Field(0.9, toolbox),
        "smallest_learning_rate": Field(1e-4, toolbox),
        "workers": Field(4, toolbox),
        "ranks": Field(4, config),
    }


SMOKE = {
    "batch_size": 2,
    "ranks": 1,
    "batch_size_per_rank": 2,
    "workers": 0,
    "iterations": 20,
    "evaluation_interval": 20,
    "checkpoint_interval": 5,
}
"""What the smoke profile of both segmentors replaces beside the pixels."""
