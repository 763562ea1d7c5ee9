"""ImageNet linear evaluation: one linear classifier on the globally average-pooled features of the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.classification.linear_evaluation import RANDOM_RESIZED_CROP, SMOKE, LinearEvaluation, pixel_fields
from benchmarks.protocol import Field, Protocol, Variant
from results.record import Column

CONFIG = "mmselfsup 1.x configs/benchmarks/classification/imagenet/resnet50_linear-8xb512-coslr-90e_in1k.py"
LARS = "mmselfsup 1.x mmselfsup/engine/optimizers/lars.py"
SIMSIAM = "Chen and He 2021, arXiv:2011.10566: 0.1 x 4096 / 256"


STEP = (
    "mmselfsup 1.x .../resnet50_linear-8xb32-steplr-100e_in1k.py (MoCo v2, DenseCL, NPID, relative location, rotation)"
)
COSINE = "mmselfsup 1.x .../resnet50_linear-8xb32-coslr-100e_in1k.py (SwAV, Barlow Twins)"
_SGD = {"optimizer": "SGD", "epochs": 100, "batch_size": 256, "batch_size_per_rank": 32}
"""What both have in common."""


class ImagenetLinear(LinearEvaluation):
    """Linear Eval of the SimCLR, BYOL and SimSiam pages. These numbers were measured with 1.x."""

    name: ClassVar[str] = "imagenet_linear"
    title: ClassVar[str] = "ImageNet linear evaluation (average-pooled)"
    data: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 80
    table: ClassVar[Mapping[str, Field]] = {
        **pixel_fields(CONFIG),
        **RANDOM_RESIZED_CROP,
        "pooling": Field("global_average", f"{CONFIG}, neck"),
        "init_std": Field(0.01, f"{CONFIG}, head"),
        "init_bias": Field(0.0, f"{CONFIG}, head"),
        "classes": Field(1000, "Russakovsky et al. 2015, ILSVRC 2012"),
        "optimizer": Field("LARS", f"{CONFIG}; without exclusions: the bias is scaled too"),
        "learning_rate": Field(1.6, f"{CONFIG}; {SIMSIAM}"),
        "momentum": Field(0.9, CONFIG),
        "weight_decay": Field(0.0, CONFIG),
        "nesterov": Field(False, LARS),
        "lars_coefficient": Field(0.001, LARS),
        "schedule": Field("cosine", f"{CONFIG}: by epoch, to 0, without warm-up"),
        "epochs": Field(90, CONFIG),
        "batch_size": Field(4096, f"{CONFIG}, 8 ranks of 512"),
        "ranks": Field(8, CONFIG),
        "batch_size_per_rank": Field(512, CONFIG),
        "evaluation_interval": Field(1, CONFIG),
    }
    smoke: ClassVar[Mapping[str, Any]] = {**SMOKE, "epochs": 3, "evaluation_interval": 3}
    variants: ClassVar[Mapping[str, Variant]] = {
        "sgd-100e": Variant(
            STEP,
            {**_SGD, "learning_rate": 30.0, "weight_decay": 0.0, "schedule": "step"},
            {"milestones": Field((60, 80), STEP), "gamma": Field(0.1, STEP)},
            ("lars_coefficient",),
        ),
        "cosine-100e": Variant(
            COSINE,
            {**_SGD, "learning_rate": 0.3, "weight_decay": 1e-6},
            removed=("lars_coefficient",),
        ),
    }

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """Top-1 on the page, top-5 in ``results.csv``."""
        return (Column("top1", "Linear Eval", 1), Column("top5", "Top-5", 1, "hidden"))

    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """Names that the one classifier has in the evaluation."""
        from benchmarks.toolbox.frozen import AVERAGE

        return {"top1": AVERAGE, "top5": f"{AVERAGE}_top5"}
