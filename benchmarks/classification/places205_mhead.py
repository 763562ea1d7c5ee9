"""Places205 multi-head linear evaluation: a linear classifier on each of five feature maps of the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.classification.linear_evaluation import SMOKE, MultiHeadEvaluation, multi_head_fields, pixel_fields
from benchmarks.protocol import Field

CONFIG = "mmselfsup 0.x configs/benchmarks/classification/places205/resnet50_mhead_8xb32-steplr-28e_places205.py"


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
