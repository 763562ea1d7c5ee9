"""The checks of this folder see wrong values: each one here, put into protocol or builder, makes one of them fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS
from torchvision import transforms

from benchmarks.catalogue import find_benchmark
from benchmarks.probes.average_precision import average_precision
from benchmarks.probes.svm import liblinear, low_shot, solver
from benchmarks.protocol import Field
from benchmarks.toolbox import detection, frozen, segmentation
from tests.benchmarks.fidelity import (
    detectors,
    multi_head,
    segmentors,
    test_cityscapes_fcn,
    test_coco_mask_rcnn,
    test_imagenet_knn,
    test_imagenet_linear,
    test_imagenet_mhead,
    test_places205_mhead,
    test_voc07_svm,
    test_voc0712_faster_rcnn,
)
from tests.benchmarks.fidelity.built import Built, built
from tests.benchmarks.fidelity.checks import check_fitted_pixels, check_frozen, check_loaders
from tests.benchmarks.fidelity.probes import check_pixels

Spoil = Callable[[pytest.MonkeyPatch], None]
Check = Callable[[Built], None]


def field(name: str, **values: Any) -> Spoil:
    """Other values in a benchmark's protocol."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        benchmark = type(find_benchmark(name))
        other = {key: Field(value, "a mutation") for key, value in values.items()}
        assert other.keys() <= benchmark.table.keys()
        assert all(benchmark.table[key].value != item.value for key, item in other.items())
        patch.setattr(benchmark, "table", {**benchmark.table, **other})

    return spoil


def edited(module: Any, function: str, edit: Callable[[dict[str, Any]], None]) -> Spoil:
    """A change of what a builder returns."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        original = getattr(module, function)

        def changed(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            edit(result)
            return result

        patch.setattr(module, function, changed)

    return spoil


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets an entry of a nested config."""

    def edit(made: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        inner: Any = made
        for part in parents:
            inner = inner[int(part)] if part.isdigit() else inner[part]
        assert inner.get(last, ...) != value
        inner[last] = value

    return edit


def early_ramp(made: dict[str, Any]) -> None:
    made["param_scheduler"][0]["end"] -= 1


@TRANSFORMS.register_module()
class RoundedForMutation:
    """Float pixels as 8 bits again, which PIL takes."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        results["img"] = np.clip(np.rint(results["img"]), 0, 255).astype(np.uint8)
        return results


def lighting_first(steps: Any) -> None:
    """Lighting before jitter."""
    jitter = next(step for step in steps if step["type"].endswith("ColorJitter"))
    steps.remove(jitter)
    to_pil, to_numpy = {"type": "NumpyToPIL", "to_rgb": True}, {"type": "PILToNumpy", "to_bgr": True}
    assert steps[-2]["type"] == "PCALighting"
    steps[-1:-1] = [{"type": "RoundedForMutation"}, to_pil, jitter, to_numpy]


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


def eleven_points(scores: Any, positive: Any) -> float:
    """The AP of VOC2007's development kit."""
    hits = np.asarray(positive)[np.argsort(-np.asarray(scores), kind="stable")]
    precision, recall = np.cumsum(hits) / np.arange(1, len(hits) + 1), np.cumsum(hits) / hits.sum()
    return float(np.mean([max([0.0, *precision[recall >= at]]) for at in np.linspace(0, 1, 11)]))


def unstable(scores: Any, positive: Any) -> float:
    """Ties in the order of falling index."""
    return REAL_AP(np.asarray(scores)[::-1], np.asarray(positive)[::-1])


REAL_AP = average_precision


@pytest.mark.parametrize("wrong", [eleven_points, unstable])
def test_a_wrong_average_precision_is_seen(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        solver, "average_precisions", lambda scores, truth: np.array([wrong(row, truth) for row in scores])
    )
    with pytest.raises(AssertionError):
        test_voc07_svm.check_average_precision()


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"low_shot_negatives_per_positive": 1}, test_voc07_svm.check_low_shot),
        ({"low_shot_samples": 4}, test_voc07_svm.check_low_shot),
        ({"positive_weight": 1.0}, test_voc07_svm.check_machines),
        ({"costs": (1.0, 0.1, 0.01)}, test_voc07_svm.check_full),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_value_of_the_svm_is_seen(
    values: dict[str, Any], check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field("voc07_svm", **values)(monkeypatch)
    run = test_voc07_svm.run_full_protocol(tmp_path)
    with pytest.raises(AssertionError):
        check(run)


def test_difficult_images_that_are_left_out_of_training_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liblinear, "signs", lambda labels: np.where(labels == 0, -1, 1).astype(np.int8))
    run = test_voc07_svm.run_full_protocol(tmp_path)
    with pytest.raises(AssertionError):
        test_voc07_svm.check_full(run)


def test_samples_that_take_difficult_images_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = low_shot.low_shot_rows
    monkeypatch.setattr(test_voc07_svm, "low_shot_rows", lambda labels, *rest: real(np.maximum(labels, 0), *rest))
    with pytest.raises(AssertionError):
        test_voc07_svm.check_sampling()


@pytest.mark.parametrize("values", [{"temperature": 0.1}, {"k": (10, 20, 100)}])
def test_a_wrong_value_of_knn_is_seen(values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field("imagenet_knn", **values)(monkeypatch)
    run = test_imagenet_knn.run_full_protocol(tmp_path)
    with pytest.raises(AssertionError):
        test_imagenet_knn.check_votes(run)


def test_a_crop_instead_of_the_squash_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = type(find_benchmark("voc07_svm"))
    real = benchmark.feature_request

    def cropped(self: Any, protocol: Any) -> Any:
        request = real(self, protocol)
        return dataclasses.replace(request, pixels=dataclasses.replace(request.pixels, squash=None, crop=224))

    monkeypatch.setattr(benchmark, "feature_request", cropped)
    with pytest.raises(AssertionError):
        check_pixels("voc07_svm", tmp_path, transforms.Resize((224, 224)))
