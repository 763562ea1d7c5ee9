"""The configs of the two detectors, out of their protocols, laid over those that mmdetection ships."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.base import JobContext
from benchmarks.input_convention import CONVENTIONS, input_convention
from benchmarks.proof import FittedPixels
from benchmarks.protocol import Protocol, contradiction
from benchmarks.toolbox.config import (
    evaluation_loader,
    normalisation,
    refuse_weights,
    shipped_config,
    training_loader,
    use_hooks,
    use_runtime,
    use_trained_numerics,
)

FASTER_RCNN = "pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py"
MASK_RCNN = "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
MASK_RCNN_C4 = "mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py"
"""Configs of mmdetection that everything below is laid over."""

CHOICES = {
    "optimizer": ("SGD",),
    "norm": ("SyncBN", "BN"),
    "decoder": ("cv2",),
    "resize": ("cv2", "pillow"),
    "difficult_in_training": ("ignored", "positive"),
    "input_convention": tuple(CONVENTIONS),
    "average_precision": ("11points", "area"),
}
"""Values that a field of text may have."""

ALL_CORNERS = ("xmin", "ymin", "xmax", "ymax")
NEAR_CORNERS = ALL_CORNERS[:2]
"""Corners of VOC's boxes that 1 is taken from, in mmdetection and in detectron2."""

META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def check(protocol: Protocol) -> None:
    """Refuses fields that the config could not follow.

    Raises:
        HarnessError: As said.
    """
    length = "iterations" if "iterations" in protocol.fields else "epochs"
    protocol.require_positive(
        length, "batch_size", "long_edge", "test_short_edge", "evaluation_interval", "roi_samples", "test_detections"
    )
    protocol.require_ranks()
    protocol.require_choices(CHOICES)
    if "precise_bn_iterations" in protocol.fields:
        protocol.require_positive("precise_bn_iterations")
    if "shifted_corners" in protocol.fields and protocol["shifted_corners"] not in (NEAR_CORNERS, ALL_CORNERS):
        raise contradiction(
            protocol,
            f"shifted_corners cannot be {list(protocol['shifted_corners'])}",
            "shifted_corners",
            f"give it {json.dumps(ALL_CORNERS)} or {json.dumps(NEAR_CORNERS)}",
        )
    if "ious" in protocol.fields and not {0.5, 0.75} <= set(protocol["ious"]):
        raise contradiction(protocol, "ious lacks 0.5 or 0.75", "ious", "name both: AP50 and AP75 are reported")


def fed(context: JobContext) -> JobContext:
    """The job with the input convention that its network is fed by: the backbone's, unless the protocol has its own."""
    if "input_convention" not in context.protocol.fields:
        return context
    return dataclasses.replace(context, input=input_convention(context.protocol["input_convention"]))


def evaluation_pixels(protocol: Protocol) -> FittedPixels:
    """The test pipeline in the words of the proof."""
    return FittedPixels(
        protocol["long_edge"], protocol["test_short_edge"], protocol["pad_multiple"], protocol["resize"]
    )


def faster_rcnn_config(context: JobContext, classes: Sequence[str]) -> dict[str, Any]:
    """Faster R-CNN on the C4 feature map, trained by iterations on VOC2007 and VOC2012 trainval.

    Args:
        context: The job.
        classes: Names of the classes, in the order of their labels.

    Returns:
        Nested plain dicts, ready for :func:`benchmarks.toolbox.runner.train`.

    Raises:
        HarnessError: The fields of the protocol contradict each other.
    """
    protocol, seed = context.protocol, context.required_seed()
    check(protocol)
    config = shipped_config("mmdet", FASTER_RCNN)
    use_runtime(config, "mmdet", seed)
    model = config["model"]
    _use_backbone(model, context)
    _use_c4_head(model["roi_head"], protocol)
    model["roi_head"]["bbox_head"]["num_classes"] = len(classes)
    _use_proposals(model, protocol)
    model["train_cfg"]["rpn"]["allowed_border"] = protocol["rpn_allowed_border"]

    root = f"{context.data_root}/VOCdevkit/"

    def voc(year: int, split: str, pipeline: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "type": "VOCDataset",
            "data_root": root,
            "ann_file": f"VOC{year}/ImageSets/Main/{split}.txt",
            "data_prefix": {"sub_data_root": f"VOC{year}/"},
            "metainfo": {"classes": tuple(classes)},
            "pipeline": pipeline,
            **more,
        }

    kept = {"filter_cfg": _filter(protocol)}
    pipeline = training_pipeline(protocol, masks=False)
    train = {"type": "ConcatDataset", "datasets": [voc(year, "trainval", pipeline, **kept) for year in (2007, 2012)]}
    config["train_dataloader"] = training_loader(train, protocol, seed, endless=True, by_aspect=True)
    test = voc(2007, "test", evaluation_pipeline(protocol, masks=False), test_mode=True)
    config["val_dataloader"] = evaluation_loader(test, protocol)
    config["val_evaluator"] = [_voc_metric(protocol), {"type": "CountDetections"}]
    iterations, interval = protocol["iterations"], protocol["evaluation_interval"]
    config["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": iterations,
        "val_interval": interval,
    }
    _use_schedule(config, context, by_epoch=False, checkpoint_every=protocol["checkpoint_interval"])
    return config


def _voc_metric(protocol: Protocol) -> dict[str, Any]:
    several = "ious" in protocol.fields
    return {
        "type": "Detectron2VOCMetric" if several else "VOCMetric",
        "metric": "mAP",
        "iou_thrs": list(protocol["ious"]) if several else protocol["iou"],
        "eval_mode": protocol["average_precision"],
    }


def mask_rcnn_config(context: JobContext, classes: Sequence[str]) -> dict[str, Any]:
    """Mask R-CNN with a feature pyramid, or on the C4 feature map, trained by epochs on COCO train2017.

    Arguments, result and errors as :func:`faster_rcnn_config`.
    """
    protocol, seed = context.protocol, context.required_seed()
    check(protocol)
    c4 = "extra_norm" in protocol.fields
    config = shipped_config("mmdet", MASK_RCNN_C4 if c4 else MASK_RCNN)
    use_runtime(config, "mmdet", seed)
    model = config["model"]
    _use_backbone(model, context)
    if c4:
        _use_c4_head(model["roi_head"], protocol)
    else:
        _use_pyramid(model, protocol)
    for head in ("bbox_head", "mask_head"):
        model["roi_head"][head]["num_classes"] = len(classes)
    model["roi_head"]["mask_head"]["num_convs"] = protocol["mask_head_convolutions"]
    model["train_cfg"]["rcnn"]["mask_size"] = protocol["mask_size"]
    model["test_cfg"]["rcnn"]["mask_thr_binary"] = protocol["test_mask_threshold"]
    _use_proposals(model, protocol)
    model["train_cfg"]["rpn"]["allowed_border"] = protocol["rpn_allowed_border"]

    root = f"{context.data_root}/coco/"

    def coco(split: str, pipeline: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "type": "CocoDataset",
            "data_root": root,
            "ann_file": f"annotations/instances_{split}2017.json",
            "data_prefix": {"img": f"{split}2017/"},
            "metainfo": {"classes": tuple(classes)},
            "pipeline": pipeline,
            **more,
        }

    train = coco("train", training_pipeline(protocol, masks=True), filter_cfg=_filter(protocol))
    config["train_dataloader"] = training_loader(train, protocol, seed, by_aspect=True)
    config["val_dataloader"] = evaluation_loader(
        coco("val", evaluation_pipeline(protocol, masks=True), test_mode=True), protocol
    )
    config["val_evaluator"] = [
        {
            "type": "CocoAveragePrecision",
            "ann_file": f"{root}annotations/instances_val2017.json",
            "metric": ["bbox", "segm"],
        },
        {"type": "CountDetections"},
    ]
    config["train_cfg"] = {
        "type": "EpochBasedTrainLoop",
        "max_epochs": protocol["epochs"],
        "val_interval": protocol["evaluation_interval"],
    }
    _use_schedule(config, context, by_epoch=True, checkpoint_every=protocol["checkpoint_interval"])
    return config


def training_pipeline(protocol: Protocol, masks: bool) -> list[dict[str, Any]]:
    """Training transforms: one of several sizes, a flip."""
    return [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": masks},
        *_objects(protocol),
        {
            "type": "RandomChoiceResize",
            "scales": [(protocol["long_edge"], edge) for edge in protocol["short_edges"]],
            "keep_ratio": True,
            "backend": protocol["resize"],
        },
        {"type": "RandomFlip", "prob": protocol["flip"]},
        {"type": "PackDetInputs"},
    ]


def _objects(protocol: Protocol) -> list[dict[str, Any]]:
    """What is done to VOC's objects where they are not taken as mmdetection reads them."""
    if "shifted_corners" not in protocol.fields:
        return []
    positive, near = protocol["difficult_in_training"] == "positive", protocol["shifted_corners"] == NEAR_CORNERS
    return [{"type": "VOCObjects", "positive": positive, "far_corners": float(near)}] if positive or near else []


def evaluation_pipeline(protocol: Protocol, masks: bool) -> list[dict[str, Any]]:
    """Test transforms; boxes and masks are read for the evaluation, after the resize."""
    return [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {
            "type": "Resize",
            "scale": (protocol["long_edge"], protocol["test_short_edge"]),
            "keep_ratio": True,
            "backend": protocol["resize"],
        },
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": masks},
        {"type": "PackDetInputs", "meta_keys": META},
    ]


def _norm(protocol: Protocol) -> dict[str, Any]:
    return {"type": protocol["norm"], "requires_grad": True}


def _without_weights(module: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in module.items() if key not in ("init_cfg", "pretrained")}


def _filter(protocol: Protocol) -> dict[str, Any]:
    return {"filter_empty_gt": True, "min_size": protocol["smallest_image"]}


def _use_backbone(model: dict[str, Any], context: JobContext) -> None:
    protocol = context.protocol
    model["backbone"] = {
        **_without_weights(model["backbone"]),
        "style": "pytorch",
        "frozen_stages": protocol["frozen_stages"],
        "norm_cfg": _norm(protocol),
        "norm_eval": protocol["norm_eval"],
    }
    model["data_preprocessor"] |= {
        **normalisation(fed(context).input, "bgr_to_rgb"),
        "pad_size_divisor": protocol["pad_multiple"],
    }


def _use_c4_head(roi_head: dict[str, Any], protocol: Protocol) -> None:
    """layer4 in the head of the regions, and one more norm."""
    roi_head["shared_head"] = {
        **_without_weights(roi_head["shared_head"]),
        # mmpretrain registers it with mmdet when it is imported.
        "type": "ResLayerExtraNorm" if protocol["extra_norm"] else "ResLayer",
        "style": "pytorch",
        "norm_cfg": _norm(protocol),
        "norm_eval": protocol["norm_eval"],
    }


def _use_pyramid(model: dict[str, Any], protocol: Protocol) -> None:
    """Norms in the pyramid and in the heads, and a box head of four convolutions and one fully connected layer (He et
    al. 2019, arXiv:1811.08883).
    """
    norm = _norm(protocol)
    model["neck"]["norm_cfg"] = norm
    model["roi_head"]["bbox_head"] |= {
        "type": "Shared4Conv1FCBBoxHead",
        "conv_out_channels": protocol["box_head_channels"],
        "fc_out_channels": protocol["box_head_outputs"],
        "norm_cfg": norm,
    }
    model["roi_head"]["mask_head"]["norm_cfg"] = norm


def _use_proposals(model: dict[str, Any], protocol: Protocol) -> None:
    """Anchors, proposals, samples and what is kept of the detections."""
    anchors = model["rpn_head"]["anchor_generator"]
    anchors["scales"] = list(protocol["anchor_scales"])
    anchors["ratios"] = list(protocol["anchor_ratios"])
    anchors["strides"] = list(protocol["anchor_strides"])
    train, test = model["train_cfg"], model["test_cfg"]
    train["rpn"]["sampler"] |= {"num": protocol["rpn_samples"], "pos_fraction": protocol["rpn_positive_fraction"]}
    train["rpn"]["assigner"] |= {
        "pos_iou_thr": protocol["rpn_positive_iou"],
        "neg_iou_thr": protocol["rpn_negative_iou"],
        "min_pos_iou": protocol["rpn_negative_iou"],
    }
    for part, when in ((train["rpn_proposal"], "train"), (test["rpn"], "test")):
        part["nms_pre"] = protocol[f"{when}_proposals_before_nms"]
        part["max_per_img"] = protocol[f"{when}_proposals"]
        part["nms"]["iou_threshold"] = protocol["rpn_nms"]
    train["rcnn"]["sampler"] |= {"num": protocol["roi_samples"], "pos_fraction": protocol["roi_positive_fraction"]}
    train["rcnn"]["assigner"] |= {
        "pos_iou_thr": protocol["roi_iou"],
        "neg_iou_thr": protocol["roi_iou"],
        "min_pos_iou": protocol["roi_iou"],
        "match_low_quality": protocol["roi_match_low_quality"],
    }
    test["rcnn"]["score_thr"] = protocol["test_score"]
    test["rcnn"]["nms"]["iou_threshold"] = protocol["test_nms"]
    test["rcnn"]["max_per_img"] = protocol["test_detections"]


def _use_schedule(config: dict[str, Any], context: JobContext, by_epoch: bool, checkpoint_every: int) -> None:
    protocol = context.protocol
    use_trained_numerics(config, context)
    if "norm_weight_decay" in protocol.fields:
        share = protocol["norm_weight_decay"] / protocol["weight_decay"] if protocol["weight_decay"] else 0.0
        config["optim_wrapper"]["paramwise_cfg"] = {"norm_decay_mult": share}
    config["param_scheduler"] = [
        {
            "type": "LinearLR",
            "start_factor": protocol["warmup_factor"],
            "by_epoch": False,
            "begin": 0,
            # mmengine ends a ramp one iteration early; mmcv 1, which made the published numbers, did not.
            "end": protocol["warmup_iterations"] + 1,
        },
        {
            "type": "MultiStepLR",
            "by_epoch": by_epoch,
            "milestones": list(protocol["milestones"]),
            "gamma": protocol["gamma"],
        },
    ]
    config["val_cfg"] = {"type": "ValLoop"}
    use_hooks(config, by_epoch, checkpoint_every, context.required_seed())
    if "precise_bn_iterations" in protocol.fields:
        precise = {"type": "PreciseBatchNorm", "iterations": protocol["precise_bn_iterations"]}
        config["custom_hooks"].append({**precise, "seed": context.required_seed()})
    refuse_weights(config)
