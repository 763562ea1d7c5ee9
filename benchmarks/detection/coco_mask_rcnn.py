"""Detection and instance segmentation on COCO: Mask R-CNN with a feature pyramid, 1x schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchmarks.base import JobContext
from benchmarks.detection.detector import SMOKE, Detector, detector_fields
from benchmarks.protocol import Field, Protocol, Variant
from results.errors import HarnessError
from results.record import Column

CONFIG = "mmselfsup 0.x configs/benchmarks/mmdetection/coco/mask_rcnn_r50_fpn_mstrain_1x_coco.py"
TOOLBOX = "mmdetection 2.x configs/_base_/models/mask_rcnn_r50_fpn.py and datasets/coco_instance.py"

C4 = "mmselfsup 0.x configs/benchmarks/mmdetection/coco/mask_rcnn_r50_c4_mstrain_1x_coco.py"

C4_VALUES = {
    "anchor_scales": (2, 4, 8, 16, 32),
    "anchor_strides": (16,),
    "rpn_allowed_border": 0,
    "train_proposals_before_nms": 12_000,
    "train_proposals": 2000,
    "test_proposals_before_nms": 6000,
    "roi_match_low_quality": False,
    "mask_head_convolutions": 0,
    "mask_size": 14,
}
EXTRA_NORM = {"extra_norm": Field(True, f"{C4}: ResLayerExtraNorm, one SyncBN after layer4 in the head of the regions")}
BOX_HEAD = ("box_head_channels", "box_head_outputs")
"""How Mask R-CNN on the C4 feature map differs: other values, what only it has, and what it does without."""

METRICS = {
    "bbox_mAP": ("coco/bbox_mAP", "mAP(Box)"),
    "bbox_AP50": ("coco/bbox_mAP_50", "AP50(Box)"),
    "bbox_AP75": ("coco/bbox_mAP_75", "AP75(Box)"),
    "segm_mAP": ("coco/segm_mAP", "mAP(Mask)"),
    "segm_AP50": ("coco/segm_mAP_50", "AP50(Mask)"),
    "segm_AP75": ("coco/segm_mAP_75", "AP75(Mask)"),
}
"""The evaluator's name and the page's title of every metric."""


class CocoMaskRcnn(Detector):
    """The six COCO columns, as MoCo set the protocol up and mmselfsup 0.x measured it."""

    name: ClassVar[str] = "coco_mask_rcnn"
    title: ClassVar[str] = "Mask R-CNN FPN on COCO 2017"
    data: ClassVar[str] = "coco"
    version: ClassVar[int] = 1
    length: ClassVar[str] = "epochs"
    hours: ClassVar[float] = 80
    table: ClassVar[Mapping[str, Field]] = {
        **detector_fields(CONFIG, TOOLBOX),
        "classes": Field(80, "Lin et al. 2014, COCO"),
        "anchor_scales": Field((8,), TOOLBOX),
        "anchor_strides": Field((4, 8, 16, 32, 64), TOOLBOX),
        "rpn_allowed_border": Field(-1, TOOLBOX),
        "train_proposals_before_nms": Field(2000, TOOLBOX),
        "train_proposals": Field(1000, TOOLBOX),
        "test_proposals_before_nms": Field(1000, TOOLBOX),
        "roi_match_low_quality": Field(True, TOOLBOX),
        "box_head_channels": Field(256, f"{CONFIG}: Shared4Conv1FCBBoxHead"),
        "box_head_outputs": Field(1024, f"{CONFIG}: Shared4Conv1FCBBoxHead"),
        "mask_head_convolutions": Field(4, TOOLBOX),
        "mask_size": Field(28, TOOLBOX),
        "test_mask_threshold": Field(0.5, TOOLBOX),
        "short_edges": Field((640, 672, 704, 736, 768, 800), CONFIG),
        "epochs": Field(12, CONFIG),
        "milestones": Field((8, 11), CONFIG),
        "warmup_iterations": Field(1000, CONFIG),
        "evaluation_interval": Field(1, TOOLBOX),
        "checkpoint_interval": Field(1, "the same as the evaluation's; the number does not depend on it"),
    }
    smoke: ClassVar[Mapping[str, Any]] = {**SMOKE, "epochs": 2, "milestones": (1,), "evaluation_interval": 2}
    variants: ClassVar[Mapping[str, Variant]] = {
        "1x": Variant(
            "mmselfsup 1.x configs/benchmarks/mmdetection/coco/mask-rcnn_r50_fpn_ms-1x_coco.py, as it resolves",
            {"warmup_iterations": 500},
        ),
        "c4": Variant(C4, C4_VALUES, EXTRA_NORM, BOX_HEAD),
        "c4-1x": Variant(
            "mmselfsup 1.x configs/benchmarks/mmdetection/coco/mask-rcnn_r50-c4_ms-1x_coco.py, as it resolves",
            {**C4_VALUES, "warmup_iterations": 500},
            EXTRA_NORM,
            BOX_HEAD,
        ),
    }

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """Boxes first, then masks."""
        return tuple(Column(metric, title, 1) for metric, (_, title) in METRICS.items())

    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """Of pycocotools, which mmdetection rounds to three decimals."""
        return {metric: name for metric, (name, _) in METRICS.items()}

    def classes(self, context: JobContext) -> Sequence[str]:
        """The categories, in the order of their ids."""
        from benchmarks.datasets.layout import data_set, read_categories

        places = data_set(self.data).where
        train, val = (read_categories(context.data_root / places[split].listing) for split in ("train", "val"))
        if train != val:
            raise HarnessError(
                "training and test annotations of COCO name different categories",
                str(context.data_root / places["train"].listing),
                "take both json files from one release",
            )
        return val

    def config(self, context: JobContext, classes: Sequence[str]) -> dict[str, Any]:
        """The built config."""
        from benchmarks.toolbox.detection import mask_rcnn_config

        return mask_rcnn_config(context, classes)
