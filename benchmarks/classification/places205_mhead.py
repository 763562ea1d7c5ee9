"""Places205 multi-head linear evaluation: a linear classifier on each of five feature maps of the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.classification.linear_evaluation import (
    PUBLISHED_INIT,
    RANDOM_RESIZED_CROP,
    SMOKE,
    VISSL_INIT,
    MultiHeadEvaluation,
    multi_head_fields,
    pixel_fields,
)
from benchmarks.protocol import Field, Variant

CONFIG = "mmselfsup 0.x configs/benchmarks/classification/places205/resnet50_mhead_8xb32-steplr-28e_places205.py"


VISSL = (
    "vissl configs/config/benchmark/linear_image_classification/places205/"
    "eval_resnet_8gpu_transfer_places205_linear.yaml; "
    "its norms are left out of weight decay"
)


class Places205Mhead(MultiHeadEvaluation):
    """Feature1 to Feature5 of the Places205 tables. Training crops keep the scale of the image."""

    name: ClassVar[str] = "places205_mhead"
    title: ClassVar[str] = "Places205 linear evaluation (multi-head)"
    data: ClassVar[str] = "places205"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 48
    table: ClassVar[Mapping[str, Field]] = {
        **multi_head_fields(CONFIG),
        **pixel_fields(CONFIG),
        "training_center_crop": Field(256, f"{CONFIG}: resize, centre crop 256, random crop 224, flip"),
        "classes": Field(205, "Zhou et al. 2014, Places205"),
        "epochs": Field(28, CONFIG),
        "milestones": Field((7, 14, 21), CONFIG),
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        **SMOKE,
        "training_center_crop": 73,
        "epochs": 4,
        "milestones": (2, 3),
        "evaluation_interval": 4,
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "vissl": Variant(
            VISSL,
            {"epochs": 14, "milestones": (4, 8, 12), "weight_decay": 5e-4, "head_norm_affine": True},
            {**RANDOM_RESIZED_CROP, **VISSL_INIT},
            ("training_center_crop", *PUBLISHED_INIT),
        )
    }
