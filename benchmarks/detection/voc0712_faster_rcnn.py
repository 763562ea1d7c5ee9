"""Detection on Pascal VOC: Faster R-CNN with the C4 feature map, trained on VOC2007 and VOC2012 trainval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchmarks.base import JobContext
from benchmarks.detection.detector import SMOKE, Detector, detector_fields
from benchmarks.protocol import Field, Protocol, Variant
from results.record import Column

CONFIG = "mmselfsup 0.x configs/benchmarks/mmdetection/voc0712/faster_rcnn_r50_c4_mstrain_24k_voc0712.py"
TOOLBOX = "mmdetection 2.x configs/_base_/models/faster_rcnn_r50_caffe_c4.py and datasets/voc0712.py"
OBJECTS = "mmdetection 2.x mmdet/datasets/xml_style.py"
ONE_X = "mmselfsup 1.x configs/benchmarks/mmdetection/voc0712/faster-rcnn_r50-c4_ms-24k_voc0712.py, as it resolves"
MOCO = "facebookresearch/moco detection/configs/pascal_voc_R_50_C4_24k_moco.yaml with its bases"
DETECTRON2_OBJECTS = "detectron2 data/datasets/pascal_voc.py"
EVALUATION = "mmdetection 2.x mmdet/datasets/voc.py: 11 points, widths that count the last pixel"


class Voc0712FasterRcnn(Detector):
    """AP50 on VOC2007 test, as MoCo set the protocol up and mmselfsup 0.x measured it."""

    name: ClassVar[str] = "voc0712_faster_rcnn"
    title: ClassVar[str] = "Faster R-CNN C4 on VOC2007+2012"
    data: ClassVar[str] = "voc0712_detection"
    version: ClassVar[int] = 1
    length: ClassVar[str] = "iterations"
    hours: ClassVar[float] = 70
    table: ClassVar[Mapping[str, Field]] = {
        **detector_fields(CONFIG, TOOLBOX),
        "classes": Field(20, "Everingham et al. 2010, The PASCAL VOC Challenge"),
        "extra_norm": Field(True, f"{CONFIG}: ResLayerExtraNorm, one SyncBN after layer4 in the head of the regions"),
        "anchor_scales": Field((2, 4, 8, 16, 32), TOOLBOX),
        "anchor_strides": Field((16,), TOOLBOX),
        "rpn_allowed_border": Field(0, TOOLBOX),
        "train_proposals_before_nms": Field(12_000, TOOLBOX),
        "train_proposals": Field(2000, TOOLBOX),
        "test_proposals_before_nms": Field(6000, TOOLBOX),
        "roi_match_low_quality": Field(False, TOOLBOX),
        "short_edges": Field(tuple(range(480, 801, 32)), CONFIG),
        "iterations": Field(24_000, CONFIG),
        "milestones": Field((18_000, 22_000), CONFIG),
        "warmup_iterations": Field(100, CONFIG),
        "evaluation_interval": Field(2000, CONFIG),
        "checkpoint_interval": Field(2000, "the same as the evaluation's; the number does not depend on it"),
        "difficult_in_training": Field("ignored", OBJECTS),
        "shifted_corners": Field(("xmin", "ymin", "xmax", "ymax"), f"{OBJECTS}: 1 is taken from them"),
        "iou": Field(0.5, EVALUATION),
        "average_precision": Field("11points", EVALUATION),
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        **SMOKE,
        "iterations": 12,
        "milestones": (9, 11),
        "evaluation_interval": 12,
        "checkpoint_interval": 4,
        "train_proposals_before_nms": 400,
        "train_proposals": 100,
        "precise_bn_iterations": 2,
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "1x": Variant(
            ONE_X,
            {"rpn_allowed_border": -1},
            {"input_convention": Field("bgr-mean", f"{ONE_X}: its preprocessor stands beside the model, not in it")},
        ),
        "moco": Variant(
            MOCO,
            {
                "rpn_allowed_border": -1,
                "smallest_image": 0,
                "resize": "pillow",
                "pad_multiple": 1,
                "difficult_in_training": "positive",
                "shifted_corners": ("xmin", "ymin"),
                "evaluation_interval": 24_000,
            },
            {
                "precise_bn_iterations": Field(200, f"{MOCO} TEST.PRECISE_BN; detectron2 config/defaults.py"),
                "norm_weight_decay": Field(0.0, "detectron2 config/defaults.py SOLVER.WEIGHT_DECAY_NORM"),
                "ious": Field(
                    (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
                    "detectron2 evaluation/pascal_voc_evaluation.py",
                ),
            },
            ("iou",),
            {
                "rpn_allowed_border": "detectron2 config/defaults.py MODEL.RPN.BOUNDARY_THRESH",
                "smallest_image": "detectron2 data/build.py: only images without objects are left out",
                "resize": "detectron2 data/transforms/transform.py: PIL's bilinear",
                "pad_multiple": "detectron2 modeling/backbone/backbone.py size_divisibility: to the largest of a batch",
                "difficult_in_training": DETECTRON2_OBJECTS,
                "shifted_corners": DETECTRON2_OBJECTS,
                "evaluation_interval": "detectron2 config/defaults.py TEST.EVAL_PERIOD: after the last iteration only",
            },
        ),
    }

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """AP50 alone; with several thresholds also their mean and AP75, as MoCo's tables have them."""
        if "ious" in protocol.fields:
            return tuple(Column(metric, metric, 1) for metric in ("AP50", "AP", "AP75"))
        return (Column("AP50", "AP50", 2),)

    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """Unrounded: of mmdetection's metric that is the mean over its one threshold."""
        if "ious" in protocol.fields:
            return {metric: f"pascal_voc/{metric}" for metric in ("AP50", "AP", "AP75")}
        return {"AP50": "pascal_voc/mAP"}

    def classes(self, context: JobContext) -> Sequence[str]:
        """The classes that VOC2007 has lists of."""
        from benchmarks.datasets.layout import class_names

        return class_names(self.data, context.data_root)

    def config(self, context: JobContext, classes: Sequence[str]) -> dict[str, Any]:
        """The built config."""
        from benchmarks.toolbox.detection import faster_rcnn_config

        return faster_rcnn_config(context, classes)
