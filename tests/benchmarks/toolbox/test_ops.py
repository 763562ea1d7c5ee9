from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.toolbox import ops
from benchmarks.toolbox.ops import EXTENSION, SuppliedOperations, nms, operations, provide_ops
from results.errors import HarnessError

PROVIDED = provide_ops()

import mmcv.ops  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


# Non-maximum suppression. Boxes of whole numbers have overlaps that can be told by counting squares.


def kept(boxes: list[list[float]], scores: list[float], threshold: float, offset: int = 0) -> list[int]:
    return nms(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), threshold, offset).tolist()


SIDE_BY_SIDE = [[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]]
"""The first two share 50 of 150 squares, a third; the last stands alone."""


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, [0, 2]), (0.34, [0, 1, 2])])
def test_a_box_goes_where_it_overlaps_more_than_the_threshold(threshold: float, expected: list[int]) -> None:
    assert kept(SIDE_BY_SIDE, [0.9, 0.8, 0.7], threshold) == expected


def test_boxes_are_kept_by_falling_score() -> None:
    assert kept(SIDE_BY_SIDE, [0.2, 0.5, 0.9], 0.3) == [2, 1]


def test_an_overlap_that_equals_the_threshold_stays() -> None:
    """Three of ten squares. In float32 3/10 is larger than the double 0.3, and torchvision compares with that."""
    assert kept([[0.0, 0, 10, 1], [0, 0, 3, 1]], [0.9, 0.8], 0.3) == [0, 1]
    assert kept([[0.0, 0, 10, 1], [0, 0, 4, 1]], [0.9, 0.8], 0.3) == [0]


def test_a_box_that_went_takes_no_other_along() -> None:
    """Neighbours share 60 of 140 squares, the outer two 20 of 180."""
    assert kept([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], [0.9, 0.8, 0.7], 0.4) == [0, 2]


def test_with_offset_the_last_pixel_counts() -> None:
    """Ten by ten pixels each, 50 of 150 shared; without the last pixels nine by nine, 36 of 126 shared."""
    pixels = [[0.0, 0, 9, 9], [5, 0, 14, 9]]
    assert kept(pixels, [0.9, 0.8], 0.3, offset=1) == [0]
    assert kept(pixels, [0.9, 0.8], 0.3, offset=0) == [0, 1]


def test_with_offset_a_box_of_one_pixel_has_an_area() -> None:
    point = [[3.0, 3, 3, 3], [3, 3, 3, 3]]
    assert kept(point, [0.9, 0.8], 0.5, offset=1) == [0]
    assert kept(point, [0.9, 0.8], 0.5, offset=0) == [0, 1]


@pytest.mark.parametrize("first", [0, 1])
def test_of_equal_scores_the_box_that_comes_first_is_kept(first: int) -> None:
    boxes = [SIDE_BY_SIDE[first], SIDE_BY_SIDE[1 - first]]
    assert kept(boxes, [0.5, 0.5], 0.3) == [0]


def test_equal_scores_stay_in_order_however_many() -> None:
    """An unstable sort shows from some dozens on."""
    count = 200
    boxes = [[20.0 * place, 0, 20.0 * place + 10, 10] for place in range(count)]
    scores = [0.5 if place % 3 else 0.7 for place in range(count)]
    assert kept(boxes, scores, 0.5) == [*range(0, count, 3), *(place for place in range(count) if place % 3)]


def test_of_identical_boxes_the_best_stays() -> None:
    assert kept([[1.0, 2, 30, 40]] * 4, [0.1, 0.9, 0.9, 0.3], 0.5) == [1]


def test_no_boxes_give_no_boxes() -> None:
    found = nms(torch.empty(0, 4), torch.empty(0), 0.5)
    assert found.shape == (0,)
    assert found.dtype == torch.int64


def by_counting(boxes: np.ndarray, scores: np.ndarray, tenths: int, offset: int) -> list[int]:
    """The definition, in whole numbers: an overlap is larger than ``tenths`` tenths or it is not."""
    order = sorted(range(len(boxes)), key=lambda place: (-scores[place], place))
    stay: list[int] = []
    for place in order:
        x1, y1, x2, y2 = (int(value) for value in boxes[place])
        for other in stay:
            a1, b1, a2, b2 = (int(value) for value in boxes[other])
            shared = max(0, min(x2, a2) - max(x1, a1) + offset) * max(0, min(y2, b2) - max(y1, b1) + offset)
            union = (x2 - x1 + offset) * (y2 - y1 + offset) + (a2 - a1 + offset) * (b2 - b1 + offset) - shared
            if 10 * shared > tenths * union:
                break
        else:
            stay.append(place)
    return stay


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("levels", [3, 1_000_000], ids=["ties", "few ties"])
def test_many_random_boxes_as_by_counting(offset: int, levels: int) -> None:
    draw = np.random.default_rng(levels + offset)
    lengths = []
    for case in range(60):
        corner = draw.integers(0, 25, (70, 2))
        boxes = np.concatenate([corner, corner + draw.integers(1, 20, (70, 2))], axis=1)
        scores = draw.integers(0, levels, 70)
        tenths = 1 + case % 9
        expected = by_counting(boxes, scores, tenths, offset)
        found = nms(torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores).float(), tenths / 10, offset)
        assert found.tolist() == expected, f"case {case}"
        lengths.append(len(expected))
    assert min(lengths) < 20
    assert max(lengths) > 55


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_nms_takes_other_dtypes(dtype: torch.dtype) -> None:
    found = nms(torch.tensor(SIDE_BY_SIDE, dtype=dtype), torch.tensor([0.9, 0.8, 0.7], dtype=dtype), 0.3)
    assert found.tolist() == [0, 2]


def test_mmcv_keeps_apart_what_is_of_another_class() -> None:
    """Through mmcv, as RPN and RoI heads call it."""
    boxes, scores = torch.tensor([*SIDE_BY_SIDE, SIDE_BY_SIDE[0]]), torch.tensor([0.9, 0.8, 0.7, 0.6])
    found, places = mmcv.ops.batched_nms(
        boxes, scores, torch.tensor([0, 0, 0, 1]), {"type": "nms", "iou_threshold": 0.3}
    )
    assert places.tolist() == [0, 2, 3]
    torch.testing.assert_close(found, torch.cat([boxes, scores[:, None]], dim=1)[places])


# Soft non-maximum suppression.

HALVES = [[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10]]
"""The second is one half of the first; the last stands alone."""


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("naive", [(0, 0.9), (2, 0.6)]),
        ("linear", [(0, 0.9), (2, 0.6), (1, 0.8 * (1 - 0.5))]),
        ("gaussian", [(0, 0.9), (2, 0.6), (1, 0.8 * math.exp(-(0.5**2) / 0.5))]),
    ],
)
def test_soft_suppression_lowers_scores(method: str, expected: list[tuple[int, float]]) -> None:
    boxes = torch.tensor(HALVES)
    found, places = mmcv.ops.soft_nms(boxes, torch.tensor([0.9, 0.8, 0.6]), 0.4, sigma=0.5, method=method)
    assert places.tolist() == [place for place, _ in expected]
    torch.testing.assert_close(found[:, 4], torch.tensor([score for _, score in expected]))
    torch.testing.assert_close(found[:, :4], boxes[places])


def test_linear_suppression_leaves_alone_what_overlaps_less() -> None:
    found, places = mmcv.ops.soft_nms(torch.tensor(HALVES), torch.tensor([0.9, 0.8, 0.6]), 0.51, method="linear")
    assert places.tolist() == [0, 1, 2]
    torch.testing.assert_close(found[:, 4], torch.tensor([0.9, 0.8, 0.6]))


def soft(boxes: list[list[float]], scores: list[float], method: int, **options: Any) -> list[int]:
    arguments = {"iou_threshold": 0.4, "sigma": 0.5, "min_score": 1e-3, "offset": 0, **options}
    return ops.softnms(
        torch.tensor(boxes), torch.tensor(scores), torch.zeros(len(boxes), 5), method=method, **arguments
    ).tolist()


def test_soft_suppression_drops_what_falls_below_the_least_score() -> None:
    assert soft(HALVES, [0.9, 0.8, 0.6], ops.LINEAR, min_score=0.41) == [0, 2]
    assert soft(HALVES, [0.9, 0.8, 0.6], ops.LINEAR, min_score=0.39) == [0, 2, 1]


def test_soft_suppression_takes_the_first_of_equal_scores() -> None:
    assert soft([[20.0 * place, 0, 20.0 * place + 5, 5] for place in range(50)], [0.5] * 50, ops.GAUSSIAN) == [
        *range(50)
    ]


def test_soft_suppression_with_offset_counts_the_last_pixel() -> None:
    """Half of ten by ten pixels; without the last ones 36 of 81."""
    boxes = [[0.0, 0, 9, 9], [0, 0, 9, 4]]
    assert soft(boxes, [0.9, 0.8], ops.NAIVE, iou_threshold=0.45, offset=1) == [0]
    assert soft(boxes, [0.9, 0.8], ops.NAIVE, iou_threshold=0.45, offset=0) == [0, 1]


@pytest.mark.parametrize("method", [ops.NAIVE, ops.LINEAR, ops.GAUSSIAN])
def test_boxes_without_area_lose_no_score(method: int) -> None:
    dets = torch.zeros(3, 5)
    points = torch.tensor([[3.0, 1, 3, 1]] * 3)
    found = ops.softnms(points, torch.tensor([0.5, 0.5, 0.4]), dets, 0.6, 0.5, 1e-3, method, 0)
    assert found.tolist() == [0, 1, 2]
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.5, 0.5, 0.4]))


def test_no_boxes_are_softly_suppressed() -> None:
    found, places = mmcv.ops.soft_nms(torch.empty(0, 4), torch.empty(0))
    assert found.shape == (0, 5)
    assert places.tolist() == []


# The module.


def test_operations_are_those_that_the_suite_needs() -> None:
    assert operations() == ("nms", "softnms", "roi_align_forward", "roi_align_backward")
    assert all(getattr(SuppliedOperations(), name) is getattr(ops, name) for name in operations())


@pytest.mark.skipif(PROVIDED == "compiled", reason="this mmcv was built with its operations")
def test_mmcv_has_ours() -> None:
    assert isinstance(sys.modules[EXTENSION], SuppliedOperations)
    assert provide_ops() == "torchvision"
    assert "torchvision" in mmcv.ops.get_compiler_version()
    assert mmcv.ops.get_compiling_cuda_version() == "not available"


@pytest.mark.skipif(PROVIDED == "compiled", reason="this mmcv was built with its operations")
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: mmcv.ops.RoIPool(2)(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 1, 1, 5, 5]])), "roi_pool_forward"),
        (lambda: mmcv.ops.nms_match(torch.tensor([[0.0, 0, 5, 5, 0.9]]), 0.5), "nms_match"),
        (
            lambda: mmcv.ops.RoIAlign(2, pool_mode="max")(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 1, 1, 5, 5]])),
            "pool_mode 'max'",
        ),
    ],
)
def test_an_operation_that_is_missing_says_which_and_how_to_build_it(call: Callable[[], Any], name: str) -> None:
    with pytest.raises(HarnessError) as refusal:
        call()
    assert name in refusal.value.what
    assert "MMCV_WITH_OPS=1" in refusal.value.mend
    assert f"onedl-mmcv=={mmcv.__version__}" in refusal.value.mend


def test_no_special_name_is_made_up() -> None:
    """Else inspect, doctest and pickle would take the module for what it is not."""
    assert not hasattr(SuppliedOperations(), "__wrapped__")


def test_compiled_operations_are_left_alone_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_ext.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.delitem(sys.modules, EXTENSION)
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    assert provide_ops() == "compiled"
    assert EXTENSION not in sys.modules


def test_compiled_operations_that_are_imported_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = types.ModuleType(EXTENSION)
    monkeypatch.setitem(sys.modules, EXTENSION, compiled)
    assert provide_ops() == "compiled"
    assert sys.modules[EXTENSION] is compiled


def test_it_is_too_late_once_mmcv_ops_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, EXTENSION)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"before mmcv\.ops"):
        provide_ops()
    assert EXTENSION not in sys.modules


def in_a_process(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(PROVIDED == "compiled", reason="this mmcv was built with its operations")
@pytest.mark.parametrize(
    ("first", "named"), [("mmpretrain.models", "mmdet.models"), ("mmdet.datasets", "mmdet.structures.mask")]
)
def test_it_is_too_late_once_mmdet_has_its_stand_ins(first: str, named: str) -> None:
    """mmpretrain's models leave half of mmdet behind, with a ``batched_nms`` that fails when it is called, and mmdet's
    data sets a ``roi_align`` for the targets of masks.
    """
    said = in_a_process(
        f"import {first}"
        + """
from benchmarks.toolbox.ops import provide_ops
try:
    provide_ops()
except RuntimeError as error:
    print("refused:", error)
"""
    )
    assert f"refused: provide_ops must be called before {named}" in said


def test_toolboxes_import_and_a_detector_runs() -> None:
    """Faster R-CNN C4, as shipped: proposals, RoIAlign, suppression by class; a training step, and predictions."""
    said = in_a_process("""
import sys
from benchmarks.toolbox.ops import provide_ops

said = provide_ops()
assert "mmcv.ops" not in sys.modules
import mmcv.ops, mmdet.models, mmpretrain.models, mmseg.models, torch
from mmdet.models.dense_heads import rpn_head
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from benchmarks.toolbox.config import shipped_config

assert rpn_head.batched_nms is mmcv.ops.batched_nms
config = shipped_config("mmdet", "faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py")["model"]
config["backbone"]["init_cfg"] = None
# A thousand proposals through the last stage of the network take half a minute.
config["train_cfg"]["rcnn"]["sampler"]["num"] = config["test_cfg"]["rpn"]["max_per_img"] = 16
torch.manual_seed(0)
init_default_scope("mmdet")
model = MODELS.build(ConfigDict(config))
shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape"), (96, 96))
sample = DetDataSample(metainfo={**shapes, "scale_factor": (1.0, 1.0)})
sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8, 60, 70]]), labels=torch.tensor([3]))
images = torch.randn(1, 3, 96, 96)
losses = model.loss(images, [sample])
model.parse_losses(losses)[0].backward()
assert model.backbone.layer3[0].conv1.weight.grad.abs().sum() > 0
with torch.inference_mode():
    found = model.eval().predict(images, [sample])[0].pred_instances
assert found.bboxes.shape == (len(found.scores), 4)
assert found.bboxes.isfinite().all() and (found.scores.diff() <= 0).all()
print("ran with", said)
""")
    assert f"ran with {PROVIDED}" in said
