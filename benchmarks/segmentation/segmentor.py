"""What the segmentors share: the facts of their protocols, and what their evaluations say."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.base import JobContext
from benchmarks.protocol import Field, Protocol
from benchmarks.trained import TrainedBenchmark
from results.record import Column, MetricValue

if TYPE_CHECKING:
    from benchmarks.proof import Pixels


class Segmentor(TrainedBenchmark):
    """An FCN on a dilated ResNet-50 that is trained as a whole."""

    group: ClassVar[str] = "segmentation"
    length: ClassVar[str] = "iterations"
    dilated: ClassVar[bool] = True

    @abstractmethod
    def config(self, context: JobContext) -> dict[str, Any]:
        """The built config."""

    def built_config(self, context: JobContext) -> Mapping[str, Any]:
        """The classes are those of the protocol."""
        return self.config(context)

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """The mean over classes alone."""
        return (Column("mIoU", "mIOU", 2),)

    def check(self, protocol: Protocol) -> None:
        """Refuses batches, pixels and words that the config could not follow."""
        from benchmarks.toolbox.segmentation import check

        check(protocol)

    def pixels(self, protocol: Protocol) -> Pixels:
        """Fitted into a rectangle."""
        from benchmarks.toolbox.segmentation import evaluation_pixels

        return evaluation_pixels(protocol)

    def metrics(self, protocol: Protocol, evaluation: Mapping[str, float]) -> dict[str, MetricValue]:
        """The mIoU in percent."""
        value = evaluation["mIoU"]
        if not math.isfinite(value):
            return {"mIoU": MetricValue(None, note="no pixel of the test images has a label")}
        return {"mIoU": MetricValue(value)}


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
