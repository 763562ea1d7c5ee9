"""iNaturalist 2018 multi-head linear evaluation: a linear classifier on each of five feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.classification.linear_evaluation import (
    RANDOM_RESIZED_CROP,
    SMOKE,
    MultiHeadEvaluation,
    multi_head_fields,
    pixel_fields,
)
from benchmarks.protocol import Field

CONFIG = "mmselfsup 0.x configs/benchmarks/classification/inaturalist2018/resnet50_mhead_8xb32-steplr-84e_inat18.py"


class Inaturalist2018Mhead(MultiHeadEvaluation):
    """Feature1 to Feature5 on iNaturalist 2018, of which mmselfsup ships the config and published no numbers."""

    name: ClassVar[str] = "inaturalist2018_mhead"
    title: ClassVar[str] = "iNaturalist2018 linear evaluation (multi-head)"
    data: ClassVar[str] = "inaturalist2018"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 26
    table: ClassVar[Mapping[str, Field]] = {
        **multi_head_fields(CONFIG),
        **pixel_fields(CONFIG),
        **RANDOM_RESIZED_CROP,
        "classes": Field(8142, "Van Horn et al. 2018, the 2018 competition"),
        "epochs": Field(84, CONFIG),
        "milestones": Field((24, 48, 72), CONFIG),
    }
    smoke: ClassVar[Mapping[str, Any]] = {**SMOKE, "epochs": 4, "milestones": (2, 3), "evaluation_interval": 4}
