"""Semantic segmentation on Pascal VOC 2012 with the masks of SBD: FCN on a dilated ResNet-50, 20k iterations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import JobContext
from benchmarks.protocol import Field
from benchmarks.segmentation.segmentor import SMOKE, Segmentor, segmentor_fields

CONFIG = "mmselfsup 0.x configs/benchmarks/mmsegmentation/voc12aug/fcn_r50-d8_512x512_20k_voc12aug.py"
TOOLBOX = "mmselfsup 0.x configs/benchmarks/mmsegmentation/_base_"


class Voc12augFcn(Segmentor):
    """mIoU on VOC2012 val, as mmselfsup 0.x measured it: with the plain stem, which the 1.x config gave up."""

    name: ClassVar[str] = "voc12aug_fcn"
    title: ClassVar[str] = "FCN on VOC2012+SBD"
    data: ClassVar[str] = "voc12aug_segmentation"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 12
    table: ClassVar[Mapping[str, Field]] = {
        **segmentor_fields(CONFIG, TOOLBOX),
        "classes": Field(21, "Everingham et al. 2010, The PASCAL VOC Challenge: 20 and background"),
        "align_corners": Field(False, TOOLBOX),
        "batch_size": Field(16, f"{CONFIG}, 4 ranks of 4"),
        "batch_size_per_rank": Field(4, CONFIG),
        "iterations": Field(20_000, CONFIG),
        "long_edge": Field(2048, TOOLBOX),
        "short_edge": Field(512, TOOLBOX),
        "crop": Field(512, CONFIG),
        "test_mode": Field("whole", TOOLBOX),
        "evaluation_interval": Field(2000, TOOLBOX),
        "checkpoint_interval": Field(2000, "the same as the evaluation's; the number does not depend on it"),
    }
    smoke: ClassVar[Mapping[str, Any]] = {**SMOKE, "long_edge": 256, "short_edge": 64, "crop": 64}

    def config(self, context: JobContext) -> dict[str, Any]:
        """The built config."""
        from benchmarks.toolbox.segmentation import voc12aug_config

        return voc12aug_config(context)
