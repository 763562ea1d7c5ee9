"""What the detectors share: the facts of their protocols, training on the whole backbone, and the last evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchmarks.base import SMOKE_RESOURCES, Batch, Benchmark, JobContext, Outcome, Resources
from benchmarks.protocol import Field, Protocol
from results.record import MetricValue

FOUND = "detections"
"""The evaluator's name of how many objects were found."""


class Detector(Benchmark):
    """A detector that is trained as a whole, backbone included, and evaluated after the last step."""

    group: ClassVar[str] = "detection"
    random: ClassVar[bool] = True
    length: ClassVar[str]
    """Field that says how long it is trained: ``iterations`` or ``epochs``."""
    hours: ClassVar[float]
    """Rough hours of the full protocol on one GPU that holds the whole batch."""

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

    def resources(self, protocol: Protocol) -> Resources:
        """One GPU; hours grow with the length of training."""
        if protocol.profile == "smoke":
            return SMOKE_RESOURCES
        return Resources(gpus=1, hours=self.hours * protocol[self.length] / self.table[self.length].value)

    def check(self, protocol: Protocol) -> None:
        """Refuses batches, pixels and words that the config could not follow."""
        from benchmarks.toolbox.detection import check

        check(protocol)

    def batch(self, protocol: Protocol) -> Batch:
        """One process sees the whole batch, and so do its norms."""
        return Batch(effective=protocol["batch_size"], batch_norm=protocol["batch_size"])

    def run(self, context: JobContext) -> Outcome:
        """Trains the detector and takes the average precision after the last step.

        Raises:
            HarnessError: A proof failed; an image, a list or the protocol is bad; the disk is full.
        """
        from benchmarks.toolbox.config import AUTOCAST, config_digest
        from benchmarks.toolbox.detection import evaluation_pixels, fed
        from benchmarks.toolbox.runner import train

        protocol = context.protocol
        config = self.config(context, self.classes(context))
        training = train(config, fed(context), evaluation_pixels(protocol), frozen=False)
        last = training.last(protocol[self.length])
        names = self.evaluated(protocol)
        return Outcome(
            metrics={metric: average_precision(last, name) for metric, name in names.items()},
            details={
                "detections": int(last[FOUND]),
                "autocast": AUTOCAST.get((context.numerics.precision, context.device), "none"),
                f"resumed_from_{self.length.removesuffix('s')}": training.resumed_from,
            },
            curves={
                self.length: [when for when, _ in training.evaluations],
                **{
                    metric: [average_precision(found, name).value for _, found in training.evaluations]
                    for metric, name in names.items()
                },
            },
            config_digest=config_digest(config),
        )


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
