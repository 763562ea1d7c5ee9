"""Semantic segmentation on Cityscapes: FCN on a dilated ResNet-50, 40k iterations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import JobContext
from benchmarks.protocol import Field
from benchmarks.segmentation.segmentor import SMOKE, Segmentor, segmentor_fields

CONFIG = "mmselfsup 0.x configs/benchmarks/mmsegmentation/cityscapes/fcn_r50-d8_769x769_40k_cityscapes.py"
TOOLBOX = "mmselfsup 0.x configs/benchmarks/mmsegmentation/_base_"


class CityscapesFcn(Segmentor):
    """mIoU on Cityscapes val, of which mmselfsup ships the config and published no numbers."""

    name: ClassVar[str] = "cityscapes_fcn"
    title: ClassVar[str] = "FCN on Cityscapes"
    data: ClassVar[str] = "cityscapes"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 30
    table: ClassVar[Mapping[str, Field]] = {
        **segmentor_fields(CONFIG, TOOLBOX),
        "classes": Field(19, "Cordts et al. 2016, Cityscapes"),
        "align_corners": Field(True, CONFIG),
        "batch_size": Field(8, f"{CONFIG}, 4 ranks of 2"),
        "batch_size_per_rank": Field(2, CONFIG),
        "iterations": Field(40_000, CONFIG),
        "long_edge": Field(2049, TOOLBOX),
        "short_edge": Field(1025, TOOLBOX),
        "crop": Field(769, CONFIG),
        "test_mode": Field("slide", CONFIG),
        "slide_window": Field(769, CONFIG),
        "slide_stride": Field(513, CONFIG),
        "evaluation_interval": Field(4000, TOOLBOX),
        "checkpoint_interval": Field(4000, "the same as the evaluation's; the number does not depend on it"),
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        **SMOKE,
        "long_edge": 128,
        "short_edge": 64,
        "crop": 65,
        "slide_window": 65,
        "slide_stride": 43,
    }

    def config(self, context: JobContext) -> dict[str, Any]:
        """The built config."""
        from benchmarks.toolbox.segmentation import cityscapes_config

        return cityscapes_config(context)
