"""ImageNet multi-head linear evaluation: a linear classifier on each of five feature maps of the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import Batch, Benchmark, JobContext, Outcome, Resources
from benchmarks.protocol import Field, Protocol
from results.record import Column, MetricValue

CONFIG = "mmselfsup 0.x configs/benchmarks/classification/imagenet/resnet50_mhead_linear-8xb32-steplr-90e_in1k.py"
PIPELINE = "mmselfsup 0.x configs/benchmarks/classification/_base_/datasets/imagenet.py"
HEAD = "mmselfsup 0.x mmselfsup/models/heads/multi_cls_head.py"
POOLING = "mmselfsup 0.x mmselfsup/models/utils/multi_pooling.py, pool type specified"
TORCHVISION = "torchvision transforms.RandomResizedCrop, its defaults"
PCA = "Krizhevsky et al. 2012, as in fb.resnet.torch datasets/imagenet.lua and mmselfsup 0.x pipelines"

FULL_EPOCHS = 90


class ImagenetMhead(Benchmark):
    """Feature1 to Feature5 of the ImageNet tables, as mmselfsup 0.x measured them."""

    name: ClassVar[str] = "imagenet_mhead"
    title: ClassVar[str] = "ImageNet linear evaluation (multi-head)"
    group: ClassVar[str] = "classification"
    data: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1
    random: ClassVar[bool] = True
    table: ClassVar[Mapping[str, Field]] = {
        "layers": Field(("feature1", "feature2", "feature3", "feature4", "feature5"), f"{CONFIG}, in_indices 0 to 4"),
        "pooling": Field("grid", POOLING),
        "head_norm": Field("SyncBN", HEAD),
        "head_norm_affine": Field(False, HEAD),
        "head_norm_momentum": Field(0.1, "torch BatchNorm's default"),
        "head_norm_epsilon": Field(1e-5, "torch BatchNorm's default"),
        "init_std": Field(0.01, HEAD),
        "init_bias": Field(0.0, HEAD),
        "classes": Field(1000, "Russakovsky et al. 2015, ILSVRC 2012"),
        "optimizer": Field("SGD", CONFIG),
        "learning_rate": Field(0.01, CONFIG),
        "momentum": Field(0.9, CONFIG),
        "weight_decay": Field(1e-4, CONFIG),
        "nesterov": Field(True, CONFIG),
        "epochs": Field(FULL_EPOCHS, CONFIG),
        "milestones": Field((30, 60), CONFIG),
        "gamma": Field(0.1, CONFIG),
        "batch_size": Field(256, f"{CONFIG}, 8 ranks of 32"),
        "ranks": Field(8, CONFIG),
        "batch_size_per_rank": Field(32, CONFIG),
        "workers": Field(4, PIPELINE),
        "evaluation_interval": Field(10, CONFIG),
        "decoder": Field("cv2", "mmselfsup 0.x mmselfsup/datasets/data_sources/base.py"),
        "crop": Field(224, PIPELINE),
        "short_edge": Field(256, PIPELINE),
        "interpolation": Field("bilinear", PIPELINE),
        "crop_area": Field((0.08, 1.0), TORCHVISION),
        "crop_aspect": Field((3 / 4, 4 / 3), TORCHVISION),
        "flip": Field(0.5, PIPELINE),
        "brightness": Field(0.4, PIPELINE),
        "contrast": Field(0.4, PIPELINE),
        "saturation": Field(0.4, PIPELINE),
        "hue": Field(0.0, PIPELINE),
        "lighting_std": Field(0.1, PIPELINE),
        "lighting_eigenvalues": Field((0.2175, 0.0188, 0.0045), PCA),
        "lighting_eigenvectors": Field(
            ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)), PCA
        ),
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        "epochs": 5,
        "milestones": (3, 4),
        "batch_size": 32,
        "ranks": 1,
        "batch_size_per_rank": 32,
        "workers": 0,
        "crop": 64,
        "short_edge": 73,
    }

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """Top-1 of every layer in the main table; top-5 in one that pages do not show."""
        layers = protocol["layers"]
        return (
            *(Column(layer, layer.capitalize(), 2) for layer in layers),
            *(Column(f"{layer}_top5", f"{layer.capitalize()} top-5", 2, "hidden") for layer in layers),
        )

    def resources(self, protocol: Protocol) -> Resources:
        """One GPU, whose 90 epochs four workers can feed in about three and a half days."""
        if protocol.profile == "smoke":
            return Resources(gpus=1, hours=0.02)
        return Resources(gpus=1, hours=80 * protocol["epochs"] / FULL_EPOCHS)

    def check(self, protocol: Protocol) -> None:
        """Refuses batches, pixels, layers and words that the config could not follow."""
        from benchmarks.toolbox.multi_head import check

        check(protocol)

    def batch(self, protocol: Protocol) -> Batch:
        """One process sees the whole batch, and so does the heads' BatchNorm."""
        return Batch(effective=protocol["batch_size"], batch_norm=protocol["batch_size"])

    def run(self, context: JobContext) -> Outcome:
        """Trains the classifiers and takes the accuracies after the last epoch.

        Raises:
            HarnessError: A proof failed; an image, a list or the protocol is bad; the disk is full.
        """
        from benchmarks.toolbox.config import AUTOCAST, config_digest
        from benchmarks.toolbox.multi_head import evaluation_pixels, multi_head_config
        from benchmarks.toolbox.runner import train_frozen

        protocol, numerics = context.protocol, context.numerics
        if context.seed is None:
            raise ValueError(f"{self.name} is random and needs a seed")
        config = multi_head_config(
            protocol,
            self.data,
            context.data_root,
            context.data.counts["classes"],
            context.input,
            numerics,
            context.seed,
        )
        training = train_frozen(config, context, evaluation_pixels(protocol))
        epochs, last = training.evaluations[-1]
        if epochs != protocol["epochs"]:
            raise RuntimeError(f"the last evaluation is of epoch {epochs}, not {protocol['epochs']}")
        names = [column.metric for column in self.columns(protocol)]
        return Outcome(
            metrics={name: MetricValue(last[name]) for name in names},
            details={
                "best_layer": max(protocol["layers"], key=lambda layer: last[layer]),
                "autocast": AUTOCAST.get((numerics.precision, context.device), "none"),
                "resumed_from_epoch": training.resumed_from,
            },
            curves={
                "epochs": [epoch for epoch, _ in training.evaluations],
                **{name: [metrics[name] for _, metrics in training.evaluations] for name in names},
            },
            config_digest=config_digest(config),
        )
