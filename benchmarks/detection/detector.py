"""What the detectors share: the facts of their protocols, and what their evaluations say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.base import JobContext
from benchmarks.protocol import Field, Protocol
from benchmarks.trained import TrainedBenchmark
from results.record import MetricValue

if TYPE_CHECKING:
    from benchmarks.proof import Pixels

FOUND = "detections"
"""The evaluator's name of how many objects were found."""


class Detector(TrainedBenchmark):
    """A detector that is trained as a whole, backbone included."""

    group: ClassVar[str] = "detection"

    @abstractmethod
    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """The evaluator's name of every metric, a fraction."""

    @abstractmethod
    def classes(self, context: JobContext) -> Sequence[str]:
        """Names of the classes that the data has.

        Raises:
            HarnessError: A list is bad, or training and test data disagree.
        """

    @abstractmethod
    def config(self, context: JobContext, classes: Sequence[str]) -> dict[str, Any]:
        """The built config."""

    def built_config(self, context: JobContext) -> Mapping[str, Any]:
        """With numbers for the names of the classes, which only the data tells."""
        return self.config(context, [str(number) for number in range(context.data.counts["classes"])])

    def job_config(self, context: JobContext) -> Mapping[str, Any]:
        """With the names."""
        return self.config(context, self.classes(context))

    def check(self, protocol: Protocol) -> None:
        """Refuses batches, pixels and words that the config could not follow."""
        from benchmarks.toolbox.detection import check

        check(protocol)

    def pixels(self, protocol: Protocol) -> Pixels:
        """Fitted into a rectangle."""
        from benchmarks.toolbox.detection import evaluation_pixels

        return evaluation_pixels(protocol)

    def fed(self, context: JobContext) -> JobContext:
        """By the protocol's own convention where it has one."""
        from benchmarks.toolbox.detection import fed

        return fed(context)

    def metrics(self, protocol: Protocol, evaluation: Mapping[str, float]) -> dict[str, MetricValue]:
        """Average precisions in percent."""
        return {metric: average_precision(evaluation, name) for metric, name in self.evaluated(protocol).items()}

    def details(self, protocol: Protocol, evaluation: Mapping[str, float]) -> Mapping[str, Any]:
        """How many objects were found."""
        return {"detections": int(evaluation[FOUND])}


def average_precision(metrics: Mapping[str, float], name: str) -> MetricValue:
    """One average precision in percent; 0 with a note where the detector found nothing.

    Args:
        metrics: What the evaluators say: fractions, and how many objects were found.
        name: Which of them.
    """
    if metrics[FOUND] == 0:
        return MetricValue(0.0, note="the detector found nothing")
    if metrics[name] < 0:
        # pycocotools' word for a mean over nothing.
        return MetricValue(None, note="the test images have no object")
    return MetricValue(100.0 * metrics[name])


def detector_fields(config: str, toolbox: str) -> dict[str, Field]:
    """Fields that have the same values in both detectors.

    Args:
        config: The reference's config, as a source.
        toolbox: The toolbox's base config, as a source.
    """
    return {
        "norm": Field("SyncBN", config),
        "norm_eval": Field(False, config),
        "frozen_stages": Field(-1, f"{config}: nothing is frozen"),
        "anchor_ratios": Field((0.5, 1.0, 2.0), toolbox),
        "rpn_samples": Field(256, toolbox),
        "rpn_positive_fraction": Field(0.5, toolbox),
        "rpn_positive_iou": Field(0.7, toolbox),
        "rpn_negative_iou": Field(0.3, toolbox),
        "rpn_nms": Field(0.7, toolbox),
        "test_proposals": Field(1000, toolbox),
        "roi_samples": Field(512, toolbox),
        "roi_positive_fraction": Field(0.25, toolbox),
        "roi_iou": Field(0.5, toolbox),
        "test_score": Field(0.05, toolbox),
        "test_nms": Field(0.5, toolbox),
        "test_detections": Field(100, toolbox),
        "optimizer": Field("SGD", toolbox),
        "learning_rate": Field(0.02, config),
        "momentum": Field(0.9, toolbox),
        "weight_decay": Field(1e-4, f"{toolbox}: on norms too"),
        "gamma": Field(0.1, toolbox),
        "warmup_factor": Field(0.001, toolbox),
        "batch_size": Field(16, f"{config}, 8 ranks of 2"),
        "ranks": Field(8, config),
        "batch_size_per_rank": Field(2, config),
        "workers": Field(2, toolbox),
        "decoder": Field("cv2", toolbox),
        "resize": Field("cv2", toolbox),
        "long_edge": Field(1333, config),
        "test_short_edge": Field(800, config),
        "smallest_image": Field(32, f"{toolbox}: smaller images and those without objects are left out of training"),
        "flip": Field(0.5, toolbox),
        "pad_multiple": Field(32, toolbox),
    }


SMOKE = {
    "warmup_iterations": 5,
    "batch_size": 2,
    "ranks": 1,
    "batch_size_per_rank": 2,
    "workers": 0,
    "long_edge": 160,
    "short_edges": (96,),
    "test_short_edge": 96,
    "roi_samples": 8,
    "test_proposals_before_nms": 100,
    "test_proposals": 5,
}
"""What the smoke profile of both detectors replaces beside the length of training."""
