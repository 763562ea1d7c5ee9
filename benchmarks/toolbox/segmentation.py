"""The configs of the FCN segmentors, out of their protocols, laid over those that mmsegmentation ships."""

from __future__ import annotations

from typing import Any

from benchmarks.base import JobContext
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

VOC12AUG = "fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py"
CITYSCAPES = "fcn/fcn_r50-d8_4xb2-40k_cityscapes-769x769.py"
"""Configs of mmsegmentation that everything below is laid over."""

CHOICES = {"optimizer": ("SGD",), "norm": ("SyncBN", "BN"), "decoder": ("cv2",), "test_mode": ("whole", "slide")}
"""Values that a field of text may have."""

META = ("img_path", "seg_map_path", "ori_shape", "img_shape", "pad_shape", "scale_factor")


def check(protocol: Protocol) -> None:
    """Refuses fields that the config could not follow.

    Raises:
        HarnessError: As said.
    """
    protocol.require_positive("iterations", "batch_size", "crop", "long_edge", "short_edge", "evaluation_interval")
    protocol.require_ranks()
    protocol.require_choices(CHOICES)
    if protocol["test_mode"] == "slide" and not 0 < protocol["slide_stride"] <= protocol["slide_window"]:
        raise contradiction(
            protocol,
            f"a window of {protocol['slide_window']} pixels cannot move by {protocol['slide_stride']}",
            "slide_stride",
            "give it a value from 1 to slide_window",
        )


def evaluation_pixels(protocol: Protocol) -> FittedPixels:
    """The test pipeline in the words of the proof."""
    return FittedPixels(protocol["long_edge"], protocol["short_edge"])


def voc12aug_config(context: JobContext) -> dict[str, Any]:
    """FCN on VOC2012 train and the masks of SBD.

    Args:
        context: The job.

    Returns:
        Nested plain dicts, ready for :func:`benchmarks.toolbox.runner.train`.

    Raises:
        HarnessError: The fields of the protocol contradict each other.
    """
    root = f"{context.data_root}/VOCdevkit/VOC2012"

    def voc(split: str, masks: str, pipeline: list[dict[str, Any]], test: bool = False) -> dict[str, Any]:
        return {
            "type": "PascalVOCDataset",
            "data_root": root,
            "data_prefix": {"img_path": "JPEGImages", "seg_map_path": masks},
            "ann_file": f"ImageSets/Segmentation/{split}.txt",
            "pipeline": pipeline,
            "test_mode": test,
        }

    protocol = context.protocol
    pipeline = training_pipeline(protocol)
    train = {
        "type": "ConcatDataset",
        "datasets": [voc("train", "SegmentationClass", pipeline), voc("aug", "SegmentationClassAug", pipeline)],
    }
    return _config(context, VOC12AUG, train, voc("val", "SegmentationClass", evaluation_pipeline(protocol), True))


def cityscapes_config(context: JobContext) -> dict[str, Any]:
    """FCN on the finely annotated images of Cityscapes. Arguments, result and errors as :func:`voc12aug_config`."""

    def cityscapes(split: str, pipeline: list[dict[str, Any]], test: bool = False) -> dict[str, Any]:
        return {
            "type": "CityscapesDataset",
            "data_root": f"{context.data_root}/cityscapes",
            "data_prefix": {"img_path": f"leftImg8bit/{split}", "seg_map_path": f"gtFine/{split}"},
            "pipeline": pipeline,
            "test_mode": test,
        }

    protocol = context.protocol
    test = cityscapes("val", evaluation_pipeline(protocol), True)
    return _config(context, CITYSCAPES, cityscapes("train", training_pipeline(protocol)), test)


def training_pipeline(protocol: Protocol) -> list[dict[str, Any]]:
    """Training transforms: scale, crop, flip, colours; padding to the crop is the preprocessor's."""
    size = protocol["crop"]
    return [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {"type": "LoadAnnotations"},
        {
            "type": "RandomResize",
            "scale": (protocol["long_edge"], protocol["short_edge"]),
            "ratio_range": protocol["scale_range"],
            "keep_ratio": True,
        },
        {"type": "RandomCrop", "crop_size": (size, size), "cat_max_ratio": protocol["crop_largest_share"]},
        {"type": "RandomFlip", "prob": protocol["flip"]},
        {
            "type": "PhotoMetricDistortion",
            "brightness_delta": protocol["brightness"],
            "contrast_range": protocol["contrast"],
            "saturation_range": protocol["saturation"],
            "hue_delta": protocol["hue"],
        },
        {"type": "PackSegInputs", "meta_keys": META},
    ]


def evaluation_pipeline(protocol: Protocol) -> list[dict[str, Any]]:
    """Test transforms; the mask is read after the resize and keeps its own size."""
    return [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {"type": "Resize", "scale": (protocol["long_edge"], protocol["short_edge"]), "keep_ratio": True},
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs", "meta_keys": META},
    ]


def _config(context: JobContext, base: str, train: dict[str, Any], test: dict[str, Any]) -> dict[str, Any]:
    protocol, seed = context.protocol, context.required_seed()
    check(protocol)
    config = shipped_config("mmseg", base)
    use_runtime(config, "mmseg", seed)
    _use_model(config["model"], context)
    config["train_dataloader"] = training_loader(train, protocol, seed, endless=True)
    config["val_dataloader"] = evaluation_loader(test, protocol)
    config["val_evaluator"] = {"type": "IntersectionOverUnion", "ignore_index": protocol["ignored_label"]}
    iterations = protocol["iterations"]
    config["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": iterations,
        "val_interval": protocol["evaluation_interval"],
    }
    config["val_cfg"] = {"type": "ValLoop"}
    use_trained_numerics(config, context)
    config["param_scheduler"] = [
        {
            "type": "PolyLR",
            "power": protocol["poly_power"],
            "eta_min": protocol["smallest_learning_rate"],
            "by_epoch": False,
            "begin": 0,
            # lr = (lr0 - min) (1 - t / T)^power + min; mmengine would reach the minimum in the last iteration already.
            "end": iterations + 1,
        }
    ]
    use_hooks(config, by_epoch=False, checkpoint_every=protocol["checkpoint_interval"], seed=seed)
    refuse_weights(config)
    return config


def _use_model(model: dict[str, Any], context: JobContext) -> None:
    protocol, size = context.protocol, context.protocol["crop"]
    norm = {"type": protocol["norm"], "requires_grad": True}
    model.pop("pretrained", None)
    model["data_preprocessor"] |= {
        **normalisation(context.input, "bgr_to_rgb"),
        "size": (size, size),
        "pad_val": 0,
        "seg_pad_val": protocol["ignored_label"],
    }
    model["backbone"] |= {
        # The plain stem of a ResNet; the shipped config has the one of three convolutions.
        "type": "ResNet",
        "strides": protocol["strides"],
        "dilations": protocol["dilations"],
        "contract_dilation": True,
        "frozen_stages": protocol["frozen_stages"],
        "norm_cfg": norm,
        "norm_eval": protocol["norm_eval"],
    }
    for head in ("decode_head", "auxiliary_head"):
        model[head] |= {
            "num_classes": protocol["classes"],
            "norm_cfg": norm,
            "align_corners": protocol["align_corners"],
            "dropout_ratio": protocol["dropout"],
            "ignore_index": protocol["ignored_label"],
        }
    model["auxiliary_head"]["loss_decode"]["loss_weight"] = protocol["auxiliary_loss_weight"]
    if protocol["test_mode"] == "slide":
        window, stride = protocol["slide_window"], protocol["slide_stride"]
        model["test_cfg"] = {"mode": "slide", "crop_size": (window, window), "stride": (stride, stride)}
    else:
        model["test_cfg"] = {"mode": "whole"}
