"""COCO's statistics by every evaluator that is installed, and through the metric, against pycocotools and mmdet."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
import pytest
import torch
from mmdet.evaluation import CocoMetric

from benchmarks.toolbox import coco_evaluation
from benchmarks.toolbox.coco_evaluation import EVALUATORS, STATISTICS, coco_statistics, installed_evaluator
from benchmarks.toolbox.modules import CocoAveragePrecision
from tests.perf.made_coco import make_coco

QUICK = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in EVALUATORS[:-1]
]


def statistics(truth: Any, detections: Any, kind: str, evaluator: str, **more: Any) -> dict[str, float]:
    ids = {name: [one["id"] for one in truth[name]] for name in ("categories", "images")}
    return coco_statistics(truth, detections, kind, evaluator=evaluator, most_detections=(100, 300, 1000), **ids | more)


@pytest.mark.parametrize("evaluator", QUICK)
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_all_statistics_are_those_of_pycocotools(kind: str, evaluator: str) -> None:
    truth, detections = make_coco(40, 3, kind == "segm", 30)
    assert any(one["iscrowd"] for one in truth["annotations"])
    expected = statistics(truth, detections, kind, "pycocotools")
    found = statistics(truth, detections, kind, evaluator)
    assert list(found) == list(STATISTICS)
    # The same counts, averaged in another order.
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0.05 < found["mAP"] < 0.95


@pytest.mark.parametrize("evaluator", QUICK)
def test_some_images_and_categories_only(evaluator: str) -> None:
    truth, detections = make_coco(30, 4, False, 20)
    some: dict[str, Any] = {"images": list(range(1, 20)), "categories": list(range(1, 50))}
    expected = statistics(truth, detections, "bbox", "pycocotools", **some)
    assert statistics(truth, detections, "bbox", evaluator, **some) == pytest.approx(expected, abs=1e-12)
    assert expected != statistics(truth, detections, "bbox", "pycocotools")


@pytest.mark.parametrize("evaluator", QUICK)
def test_nothing_to_average_gives_minus_one(evaluator: str) -> None:
    truth, detections = make_coco(3, 5, False, 5)
    for annotation in truth["annotations"]:
        annotation["area"] = 1.0
    expected = statistics(truth, detections, "bbox", "pycocotools")
    assert expected["mAP_l"] == -1
    assert statistics(truth, detections, "bbox", evaluator) == pytest.approx(expected, abs=1e-12)


def test_the_quickest_installed_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: set[str] = set()
    real = importlib.util.find_spec
    monkeypatch.setattr(
        coco_evaluation.importlib.util, "find_spec", lambda name: None if name in missing else real("json")
    )
    for name in EVALUATORS:
        assert installed_evaluator() == name
        missing.add(name)


def metric_of(kind: type[CocoMetric], path: Path, truth: Any, results: Any) -> dict[str, float]:
    """What a metric says of detections in the toolbox's form, as the runner asks it."""
    metric = kind(ann_file=str(path), metric=["bbox", "segm"])
    metric.dataset_meta = {"classes": tuple(one["name"] for one in truth["categories"])}
    metric.process({}, results)
    return metric.evaluate(len(results))  # type: ignore[no-any-return]


def in_toolbox_form(truth: Any, detections: Any) -> list[dict[str, Any]]:
    """Boxes by corners around the masks, labels from 0 on, masks as boolean tensors."""
    results = []
    for image in truth["images"]:
        own = [one for one in detections if one["image_id"] == image["id"]]
        boxes = np.array([pycocotools.mask.toBbox(one["segmentation"]) for one in own]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = np.array([pycocotools.mask.decode(one["segmentation"]) for one in own], dtype=bool)
        instances = {
            "bboxes": torch.from_numpy(boxes).float(),
            "scores": torch.tensor([one["score"] for one in own]),
            "labels": torch.tensor([one["category_id"] - 1 for one in own], dtype=torch.int64),
            "masks": torch.from_numpy(masks.reshape(-1, image["height"], image["width"])),
        }
        shape = (image["height"], image["width"])
        results.append({"img_id": image["id"], "ori_shape": shape, "pred_instances": instances})
    return results


def test_the_metric_is_that_of_the_toolbox_but_for_its_rounding(tmp_path: Path) -> None:
    truth, detections = make_coco(8, 6, True, 12)
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(truth))
    results = in_toolbox_form(truth, detections)
    found = metric_of(CocoAveragePrecision, path, truth, results)
    expected = metric_of(CocoMetric, path, truth, results)
    assert set(found) == set(expected)
    assert len(found) == 12
    for name, value in expected.items():
        # A third decimal is rounded from within half a thousandth.
        assert found[name] == pytest.approx(value, abs=0.0005 + 1e-9)
    assert any(round(value, 3) != value for value in found.values())


def test_the_metric_says_nothing_where_nothing_was_detected(tmp_path: Path) -> None:
    truth, _ = make_coco(3, 7, True, 0)
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(truth))
    assert metric_of(CocoAveragePrecision, path, truth, in_toolbox_form(truth, [])) == {}
