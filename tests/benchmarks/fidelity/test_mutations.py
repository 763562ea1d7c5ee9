"""The checks of this folder see wrong values: each one here, put into protocol or builder, makes one of them fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from benchmarks.toolbox import detection, frozen, segmentation
from tests.benchmarks.fidelity import (
    detectors,
    multi_head,
    segmentors,
    test_cityscapes_fcn,
    test_coco_mask_rcnn,
    test_detectors_1x,
    test_imagenet_linear,
    test_imagenet_mhead,
    test_places205_mhead,
    test_voc0712_faster_rcnn,
    test_voc0712_faster_rcnn_moco,
)
from tests.benchmarks.fidelity.built import Built, built
from tests.benchmarks.fidelity.checks import check_fitted_pixels, check_frozen, check_loaders
from tests.benchmarks.fidelity.spoiling import Spoil, edited, field, put, varied

Check = Callable[[Built], None]


def early_ramp(made: dict[str, Any]) -> None:
    made["param_scheduler"][0]["end"] -= 1


@TRANSFORMS.register_module()
class RoundedForMutation:
    """Float pixels as 8 bits again, which PIL takes."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        results["img"] = np.clip(np.rint(results["img"]), 0, 255).astype(np.uint8)
        return results


@TRANSFORMS.register_module()
class ClippedForMutation:
    """Float pixels between 0 and 255."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        results["img"] = results["img"].clip(0, 255)
        return results


def lighting_first(steps: Any) -> None:
    """Lighting before jitter."""
    jitter = next(step for step in steps if step["type"].endswith("ColorJitter"))
    steps.remove(jitter)
    to_pil, to_numpy = {"type": "NumpyToPIL", "to_rgb": True}, {"type": "PILToNumpy", "to_bgr": True}
    assert steps[-2]["type"] == "PCALighting"
    steps[-1:-1] = [{"type": "RoundedForMutation"}, to_pil, jitter, to_numpy]


def clipped_lighting(steps: Any) -> None:
    """Lighting that stays in the range of 8 bits."""
    assert steps[-2]["type"] == "PCALighting"
    steps.insert(-1, {"type": "ClippedForMutation"})


def bicubic(steps: Any) -> None:
    for step in steps:
        if "interpolation" in step:
            step["interpolation"] = "bicubic"


def opencv(steps: Any) -> None:
    for step in steps:
        if step["type"] == "ResizeEdge":
            step["backend"] = "cv2"


def bgr_in(module: Any, key: str) -> Spoil:
    """Channels left as OpenCV decodes them."""
    return edited(module, "normalisation", put(key, False))


VISSL = "imagenet_mhead@vissl"
ONE_X, FPN_1X = test_detectors_1x.VOC, test_detectors_1x.FPN
MOCO = test_voc0712_faster_rcnn_moco.NAME
NOT_FROZEN = {"frozen_stages": -1, "norm_eval": False}

BUILT: dict[str, tuple[str, Spoil, Check]] = {
    "milestone 60 -> 80": (
        "imagenet_mhead", field("imagenet_mhead", milestones=(30, 80)), test_imagenet_mhead.check_schedule,
    ),
    "learning rate 0.01 -> 0.1": (
        "imagenet_mhead", field("imagenet_mhead", learning_rate=0.1), test_imagenet_mhead.check_sgd,
    ),
    "weight decay 1e-4 -> 5e-4": (
        "imagenet_mhead", field("imagenet_mhead", weight_decay=5e-4), test_imagenet_mhead.check_sgd,
    ),
    "no nesterov": (
        "imagenet_mhead", field("imagenet_mhead", nesterov=False), test_imagenet_mhead.check_sgd,
    ),
    "batch of one rank": (
        "imagenet_mhead", field("imagenet_mhead", batch_size=32, ranks=1), lambda job: check_loaders(job, 256, 256),
    ),
    "four heads": (
        "imagenet_mhead", field("imagenet_mhead", layers=("feature2", "feature3", "feature4", "feature5")),
        lambda job: multi_head.check_heads(job, 10),
    ),
    "affine head norm": (
        "imagenet_mhead", field("imagenet_mhead", head_norm_affine=True),
        lambda job: multi_head.check_heads(job, 10),
    ),
    "frozen BN in training mode": (
        "imagenet_mhead",
        edited(frozen, "frozen_config", lambda made: made["model"]["backbone"].update(NOT_FROZEN)), check_frozen,
    ),
    "last stage trained": (
        "imagenet_mhead", edited(frozen, "frozen_config", put("model.backbone.frozen_stages", 3)), check_frozen,
    ),
    "lighting before jitter": (
        "imagenet_mhead", edited(frozen, "training_pipeline", lighting_first),
        test_imagenet_mhead.check_training_pixels,
    ),
    "lighting of a tenth the deviation": (
        "imagenet_mhead", field("imagenet_mhead", lighting_std=0.01), test_imagenet_mhead.check_training_pixels,
    ),
    "clipped lighting": (
        "imagenet_mhead", edited(frozen, "training_pipeline", clipped_lighting),
        test_imagenet_mhead.check_training_pixels,
    ),
    "bicubic training crops": (
        "imagenet_mhead", edited(frozen, "training_pipeline", bicubic), test_imagenet_mhead.check_training_pixels,
    ),
    "test images resized by OpenCV": (
        "imagenet_mhead", edited(frozen, "evaluation_pipeline", opencv), multi_head.check_linear_test_pixels,
    ),
    "BGR in classification": (
        "imagenet_mhead", bgr_in(frozen, "to_rgb"), multi_head.check_linear_test_pixels,
    ),
    "Places205 random crop without the centre crop": (
        "places205_mhead", edited(frozen, "training_pipeline", lambda steps: steps.pop(3)),
        test_places205_mhead.check_training_pixels,
    ),
    "LARS with its exclusions": (
        "imagenet_linear",
        edited(frozen, "frozen_config", put("optim_wrapper.paramwise_cfg", {"bias_decay_mult": 0.0, "custom_keys": {
            "bias": {"lars_exclude": True}}})),
        test_imagenet_linear.check_lars,
    ),
    "LARS coefficient 0.001 -> 0.02": (
        "imagenet_linear", field("imagenet_linear", lars_coefficient=0.02), test_imagenet_linear.check_lars_steps,
    ),
    "cosine by iteration": (
        "imagenet_linear",
        edited(frozen, "frozen_config", put("param_scheduler.0.convert_to_iter_based", True)),
        test_imagenet_linear.check_schedule,
    ),
    "BGR in detection": (
        "voc0712_faster_rcnn", bgr_in(detection, "bgr_to_rgb"), lambda job: check_fitted_pixels(job, 1333, 800, 32),
    ),
    "no extra norm": (
        "voc0712_faster_rcnn", field("voc0712_faster_rcnn", extra_norm=False),
        test_voc0712_faster_rcnn.check_backbone,
    ),
    "frozen stem in detection": (
        "voc0712_faster_rcnn", field("voc0712_faster_rcnn", frozen_stages=1),
        test_voc0712_faster_rcnn.check_backbone,
    ),
    "BN for SyncBN": (
        "voc0712_faster_rcnn", field("voc0712_faster_rcnn", norm="BN"), test_voc0712_faster_rcnn.check_backbone,
    ),
    "area instead of 11 points in detection": (
        "voc0712_faster_rcnn", field("voc0712_faster_rcnn", average_precision="area"),
        test_voc0712_faster_rcnn.check_eleven_points,
    ),
    "warm-up one iteration short": (
        "voc0712_faster_rcnn", edited(detection, "faster_rcnn_config", early_ramp),
        test_voc0712_faster_rcnn.check_schedule,
    ),
    "anchors over the border, as in 1.x": (
        "voc0712_faster_rcnn", field("voc0712_faster_rcnn", rpn_allowed_border=-1),
        lambda job: detectors.check_proposals(job, 0, (12_000, 2000), (6000, 1000)),
    ),
    "VISSL's heads without the one without a norm": (
        VISSL, varied(*VISSL.split("@"), average_heads=("res5avg_bn",)),
        lambda job: multi_head.check_vissl_heads(job, 10, ("res5avg_bn", "res5avg")),
    ),
    "VISSL's weight decay of the Caffe2 original": (
        VISSL, varied(*VISSL.split("@"), weight_decay=1e-4), multi_head.check_vissl_decay,
    ),
    "1.x's VOC detector without its bug": (
        ONE_X, varied(*ONE_X.split("@"), input_convention="rgb-mean-std"), test_detectors_1x.check_caffe_pixels,
    ),
    "1.x's Mask R-CNN with the warm-up of 0.x": (
        FPN_1X, varied(*FPN_1X.split("@"), warmup_iterations=1000), test_detectors_1x.check_warmup,
    ),
    "MoCo's detector with difficult objects left out": (
        MOCO, varied(*MOCO.split("@"), difficult_in_training="ignored"), test_voc0712_faster_rcnn_moco.check_objects,
    ),
    "MoCo's detector with all corners shifted": (
        MOCO, varied(*MOCO.split("@"), shifted_corners=("xmin", "ymin", "xmax", "ymax")),
        test_voc0712_faster_rcnn_moco.check_objects,
    ),
    "MoCo's detector with weight decay on norms": (
        MOCO, varied(*MOCO.split("@"), norm_weight_decay=1e-4), test_voc0712_faster_rcnn_moco.check_optimizer,
    ),
    "PreciseBN over 100 batches": (
        MOCO, varied(*MOCO.split("@"), precise_bn_iterations=100), test_voc0712_faster_rcnn_moco.check_precise_bn,
    ),
    "MoCo's detector resized by OpenCV": (
        MOCO, varied(*MOCO.split("@"), resize="cv2"), test_voc0712_faster_rcnn_moco.check_pixels,
    ),
    "MoCo's detector padded to 32": (
        MOCO, varied(*MOCO.split("@"), pad_multiple=32), test_voc0712_faster_rcnn_moco.check_pixels,
    ),
    "warm-up of 500 iterations, as in 1.x": (
        "coco_mask_rcnn", field("coco_mask_rcnn", warmup_iterations=500), test_coco_mask_rcnn.check_schedule,
    ),
    "no norm in the pyramid": (
        "coco_mask_rcnn", edited(detection, "mask_rcnn_config", put("model.neck.norm_cfg", None)),
        test_coco_mask_rcnn.check_norms,
    ),
    "stem of three convolutions": (
        "voc12aug_fcn", edited(segmentation, "voc12aug_config", put("model.backbone.type", "ResNetV1c")),
        segmentors.check_backbone,
    ),
    "polynomial decay one iteration short": (
        "voc12aug_fcn", edited(segmentation, "voc12aug_config", early_ramp),
        lambda job: segmentors.check_schedule(job, 20_000, 2000),
    ),
    "mean over labelled pixels only": (
        "voc12aug_fcn",
        edited(segmentation, "voc12aug_config", put("model.decode_head.loss_decode.avg_non_ignore", True)),
        lambda job: segmentors.check_heads(job, 21, False),
    ),
    "slide stride 513 -> 512": (
        "cityscapes_fcn", field("cityscapes_fcn", slide_stride=512), test_cityscapes_fcn.check_slide,
    ),
    "corners not aligned": (
        "cityscapes_fcn", field("cityscapes_fcn", align_corners=False),
        lambda job: segmentors.check_heads(job, 19, True),
    ),
}  # fmt: skip
"""Benchmark, what is made wrong, and the check that has to fail."""


@pytest.mark.parametrize("wrong", BUILT)
def test_a_wrong_value_is_seen(
    wrong: str, fidelity_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, spoil, check = BUILT[wrong]
    spoil(monkeypatch)
    with built(name, fidelity_root, tmp_path) as job, pytest.raises(AssertionError):
        check(job)
