"""SimCLR pretraining of a ResNet-50 on ImageNet: 8 x 32 images, 200 epochs, the config of the published page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import Batch, Outcome, Resources, TrainingContext
from benchmarks.protocol import Field, Protocol, contradiction
from pretrain.base import Pretraining, Product
from results.record import MetricValue

CONFIGS = "mmselfsup 1.x configs/selfsup"
CONFIG = f"{CONFIGS}/simclr/simclr_resnet50_8xb32-coslr-200e_in1k.py"
MODEL = f"{CONFIGS}/_base_/models/simclr.py"
DATA = f"{CONFIGS}/_base_/datasets/imagenet_simclr.py"
SCHEDULE = f"{CONFIGS}/_base_/schedules/lars_coslr-200e_in1k.py"
NECK = "mmselfsup 1.x mmselfsup/models/necks/nonlinear_neck.py"
LARS = "mmselfsup 1.x mmselfsup/engine/optimizers/lars.py"
CROP = "mmcls 1.x mmcls/datasets/transforms/processing.py, RandomResizedCrop, its defaults"
PAPER = "Chen et al. 2020, arXiv:2002.05709"

CHOICES = {
    "norm": ("SyncBN", "BN"),
    "optimizer": ("LARS",),
    "schedule": ("cosine",),
    "decoder": ("cv2", "pillow"),
    "interpolation": ("bilinear",),
}
"""Values that a field of text may have."""

PROBABILITIES = ("flip", "jitter", "grayscale", "blur")


class SimCLR(Pretraining):
    """SimCLR as mmselfsup 1.x trains it; in one process that sees the whole batch."""

    name: ClassVar[str] = "simclr_resnet50_8xb32-coslr-200e_in1k"
    title: ClassVar[str] = "SimCLR, ResNet-50, batch 256, 200 epochs"
    data: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1
    format: ClassVar[str] = "mmpretrain"
    encoder: ClassVar[str] = "backbone"
    input: ClassVar[str] = "rgb-mean-std"
    table: ClassVar[Mapping[str, Field]] = {
        "norm": Field("SyncBN", MODEL),
        "zero_init_residual": Field(True, f"{MODEL}; not in 0.x before 0.9"),
        "neck_hidden": Field(2048, MODEL),
        "neck_output": Field(128, f"{MODEL}; {PAPER}, section 4.2"),
        "neck_bias": Field(False, f"{NECK}, its defaults; a BatchNorm follows both layers"),
        "temperature": Field(0.1, MODEL),
        "workers": Field(4, DATA),
        "decoder": Field("cv2", "mmcv LoadImageFromFile, its default"),
        "crop": Field(224, DATA),
        "crop_area": Field((0.08, 1.0), CROP),
        "crop_aspect": Field((3 / 4, 4 / 3), CROP),
        "interpolation": Field("bilinear", f"{DATA}, by PIL"),
        "flip": Field(0.5, DATA),
        "jitter": Field(0.8, f"{DATA}, probability of the colour jitter"),
        "brightness": Field(0.8, DATA),
        "contrast": Field(0.8, DATA),
        "saturation": Field(0.8, DATA),
        "hue": Field(0.2, DATA),
        "grayscale": Field(0.2, f"{DATA}, probability"),
        "blur": Field(0.5, f"{DATA}, probability"),
        "blur_sigma": Field((0.1, 2.0), f"{DATA}, uniform, radius of PIL's Gaussian blur"),
        "optimizer": Field("LARS", SCHEDULE),
        "learning_rate": Field(0.3, f"{CONFIG}: 0.3 x batch / 256"),
        "momentum": Field(0.9, CONFIG),
        "weight_decay": Field(1e-6, CONFIG),
        "nesterov": Field(False, LARS),
        "dampening": Field(0.0, LARS),
        "lars_coefficient": Field(0.001, LARS),
        "lars_epsilon": Field(1e-8, LARS),
        "lars_exclusions": Field(
            ("bn", "bias", "downsample.1"),
            f"{CONFIG}: neither weight decay nor LARS where the name holds one; 0.x keeps both on downsample.1.weight",
        ),
        "schedule": Field("cosine", f"{SCHEDULE}: by epoch, to 0"),
        "epochs": Field(200, SCHEDULE),
        "warmup_epochs": Field(10, f"{SCHEDULE}: linear, by iteration"),
        "warmup_ratio": Field(1e-4, SCHEDULE),
        "batch_size": Field(256, f"{CONFIG}, 8 ranks of 32"),
        "ranks": Field(8, CONFIG),
        "batch_size_per_rank": Field(32, DATA),
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        "epochs": 3,
        "warmup_epochs": 1,
        "batch_size": 32,
        "ranks": 1,
        "batch_size_per_rank": 32,
        "workers": 0,
        "crop": 40,
    }

    def check(self, protocol: Protocol) -> None:
        """Refuses numbers out of their range, words that nothing follows, and a warm-up that never ends."""
        protocol.require_positive("epochs", "batch_size", "crop", "neck_hidden", "neck_output")
        protocol.require_ranks()
        protocol.require_choices(CHOICES)
        for name in PROBABILITIES:
            if not 0 <= protocol[name] <= 1:
                raise contradiction(protocol, f"{name} is {protocol[name]}", name, "give a probability from 0 to 1")
        if protocol["temperature"] <= 0:
            raise contradiction(
                protocol, f"temperature is {protocol['temperature']}", "temperature", "give a value above 0"
            )
        if protocol["batch_size"] < 2:
            raise contradiction(protocol, "one image has no negatives", "batch_size", "give it a value from 2 on")
        if not 0 <= protocol["warmup_epochs"] < protocol["epochs"]:
            raise contradiction(
                protocol,
                f"a warm-up of {protocol['warmup_epochs']} epochs does not fit into {protocol['epochs']}",
                "warmup_epochs",
                f"also give --set {protocol.name}.epochs=N",
            )

    def resources(self, protocol: Protocol) -> Resources:
        """One GPU; about twenty minutes an epoch on a V100-class one."""
        return Resources(gpus=1, hours=0.35 * protocol["epochs"])

    def batch(self, protocol: Protocol) -> Batch:
        """One process sees the whole batch, two views of each image, and so does every BatchNorm."""
        return Batch(effective=protocol["batch_size"], batch_norm=protocol["batch_size"])

    def run(self, context: TrainingContext) -> Product:
        """Trains and writes the network.

        Raises:
            HarnessError: An image or a list is bad, the loss is not finite, the disk is full.
        """
        from benchmarks.toolbox.config import AUTOCAST, config_digest
        from benchmarks.toolbox.simclr import pretrain, simclr_config

        protocol = context.protocol
        config = simclr_config(context, self.data)
        made = pretrain(config, context, self._meta(context))
        return Product(
            Outcome(
                metrics={"loss": MetricValue(made.losses[-1], "nats")},
                details={
                    "epochs": protocol["epochs"],
                    "autocast": AUTOCAST.get((context.numerics.precision, context.device), "none"),
                    "resumed_from_epoch": made.resumed_from,
                },
                curves={"epochs": list(range(1, len(made.losses) + 1)), "loss": list(made.losses)},
                config_digest=config_digest(config),
            ),
            made.path,
            made.digest,
        )

    def _meta(self, context: TrainingContext) -> dict[str, Any]:
        """What the checkpoint says of itself; nothing of the machine that it was made on."""
        protocol = context.protocol
        return {
            "config": self.name,
            "protocol": protocol.hash,
            "protocol_version": protocol.version,
            "profile": protocol.profile,
            "modified": list(protocol.modified),
            "data": context.data.fingerprint,
            "epoch": protocol["epochs"],
            "seed": context.required_seed(),
        }
