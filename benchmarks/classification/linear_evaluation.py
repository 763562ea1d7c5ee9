"""What the linear evaluations share: classifiers on a frozen backbone, and the facts of their protocols."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.base import Batch, JobContext
from benchmarks.protocol import Field, Protocol
from benchmarks.trained import TrainedBenchmark
from results.record import Column, MetricValue

if TYPE_CHECKING:
    from benchmarks.proof import Pixels

HEAD = "mmselfsup 0.x mmselfsup/models/heads/multi_cls_head.py"
POOLING = "mmselfsup 0.x mmselfsup/models/utils/multi_pooling.py, pool type specified"
TORCHVISION = "torchvision transforms.RandomResizedCrop, its defaults"
DECODER = "mmselfsup 0.x mmselfsup/datasets/data_sources/base.py"


class LinearEvaluation(TrainedBenchmark):
    """A benchmark that trains linear classifiers on a frozen backbone."""

    group: ClassVar[str] = "classification"
    length: ClassVar[str] = "epochs"
    frozen: ClassVar[bool] = True

    @abstractmethod
    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """The evaluator's name of every metric."""

    def check(self, protocol: Protocol) -> None:
        """Refuses batches, pixels, layers and words that the config could not follow."""
        from benchmarks.toolbox.frozen import check

        check(protocol)

    def batch(self, protocol: Protocol) -> Batch:
        """One process sees the whole batch, and so does a BatchNorm in a head."""
        trained_norm = "head_norm" in protocol.fields
        return Batch(effective=protocol["batch_size"], batch_norm=protocol["batch_size"] if trained_norm else None)

    def built_config(self, context: JobContext) -> Mapping[str, Any]:
        """Of the classifiers on the frozen backbone."""
        from benchmarks.toolbox.frozen import frozen_config

        return frozen_config(context, self.data)

    def pixels(self, protocol: Protocol) -> Pixels:
        """A centre crop."""
        from benchmarks.toolbox.frozen import evaluation_pixels

        return evaluation_pixels(protocol)

    def metrics(self, protocol: Protocol, evaluation: Mapping[str, float]) -> dict[str, MetricValue]:
        """Accuracies in percent."""
        return {metric: MetricValue(evaluation[name]) for metric, name in self.evaluated(protocol).items()}


class MultiHeadEvaluation(LinearEvaluation):
    """Feature1 to Feature5: a classifier on each of five feature maps, as mmselfsup 0.x measured them."""

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """Top-1 of every layer, and of VISSL's heads on the average, in the main table; top-5 in a hidden one."""
        heads = protocol.values().get("average_heads", ())
        titles = {**{layer: layer.capitalize() for layer in protocol["layers"]}, **{head: head for head in heads}}
        return (
            *(Column(name, title, 2) for name, title in titles.items()),
            *(Column(f"{name}_top5", f"{title} top-5", 2, "hidden") for name, title in titles.items()),
        )

    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """Metrics bear the evaluator's names."""
        return {column.metric: column.metric for column in self.columns(protocol)}

    def details(self, protocol: Protocol, evaluation: Mapping[str, float]) -> Mapping[str, Any]:
        """The layer with the highest top-1."""
        return {"best_layer": max(protocol["layers"], key=lambda layer: evaluation[layer])}


def multi_head_fields(config: str) -> dict[str, Field]:
    """Fields of the classifiers and of their optimiser, which are the same on all data sets.

    Args:
        config: The reference's config, as a source.
    """
    return {
        "layers": Field(("feature1", "feature2", "feature3", "feature4", "feature5"), f"{config}, in_indices 0 to 4"),
        "pooling": Field("grid", POOLING),
        "head_norm": Field("SyncBN", HEAD),
        "head_norm_affine": Field(False, HEAD),
        "head_norm_momentum": Field(0.1, "torch BatchNorm's default"),
        "head_norm_epsilon": Field(1e-5, "torch BatchNorm's default"),
        "init_std": Field(0.01, HEAD),
        "init_bias": Field(0.0, HEAD),
        "optimizer": Field("SGD", config),
        "learning_rate": Field(0.01, config),
        "momentum": Field(0.9, config),
        "weight_decay": Field(1e-4, config),
        "nesterov": Field(True, config),
        "schedule": Field("step", config),
        "gamma": Field(0.1, config),
        "batch_size": Field(256, f"{config}, 8 ranks of 32"),
        "ranks": Field(8, config),
        "batch_size_per_rank": Field(32, config),
        "evaluation_interval": Field(10, config),
    }


def pixel_fields(pipeline: str) -> dict[str, Field]:
    """Fields of reading and of the test pipeline, which all linear evaluations share.

    Args:
        pipeline: The reference's config of the data, as a source.
    """
    return {
        "workers": Field(4, pipeline),
        "decoder": Field("cv2", DECODER),
        "crop": Field(224, pipeline),
        "short_edge": Field(256, pipeline),
        "interpolation": Field("bilinear", pipeline),
        "flip": Field(0.5, pipeline),
    }


RANDOM_RESIZED_CROP = {
    "crop_area": Field((0.08, 1.0), TORCHVISION),
    "crop_aspect": Field((3 / 4, 4 / 3), TORCHVISION),
}
"""Fields of random resized crops."""

PUBLISHED_INIT = ("init_std", "init_bias")
"""Fields of how mmselfsup draws the first weights of a classifier."""

VISSL_INIT = {
    "init": Field(
        "torch", "vissl models/heads/mlp.py: what torch draws, times MODEL.HEAD.PARAMS_MULTIPLIER, which is 1"
    )
}
"""What VISSL has in their place."""

SMOKE = {
    "batch_size": 32,
    "ranks": 1,
    "batch_size_per_rank": 32,
    "workers": 0,
    "crop": 64,
    "short_edge": 73,
}
"""What the smoke profile of every linear evaluation replaces beside the epochs."""
