"""Ground truth fed back as predictions is perfect, nothing is 0: through the data sets, pipelines and evaluators that
the benchmarks build."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.detection.detector import average_precision
from tests.benchmarks.dense.conftest import Dense, build

Feed = Callable[[Any], None]


def evaluate(dense: Dense, name: str, feed: Feed) -> dict[str, float]:
    """What the job's evaluators say when ``feed`` has put predictions into every test sample."""
    from benchmarks.toolbox.runner import session

    context = dense.job(name)
    with session(build(context), context, context.digest) as runner:
        loop = runner.val_loop
        for batch in loop.dataloader:
            samples = runner.model.data_preprocessor(batch, False)["data_samples"]
            for sample in samples:
                feed(sample)
            loop.evaluator.process(data_samples=samples, data_batch=batch)
        return dict(loop.evaluator.evaluate(len(loop.dataloader.dataset)))


def objects(sample: Any) -> None:
    from mmengine.structures import InstanceData

    truth = sample.gt_instances
    boxes = getattr(truth.bboxes, "tensor", truth.bboxes)
    found = InstanceData(bboxes=boxes, labels=truth.labels, scores=torch.ones(len(boxes)))
    if "masks" in truth:
        found.masks = truth.masks.to_tensor(torch.bool, "cpu")
    sample.pred_instances = found


def annotations(path: Path) -> Feed:
    """COCO's annotations as they stand in the file: mmdet's data set leaves objects of less than a pixel out."""
    from mmengine.structures import InstanceData
    from pycocotools.coco import COCO

    coco = COCO(path)
    numbers = {category: label for label, category in enumerate(sorted(coco.getCatIds()))}

    def feed(sample: Any) -> None:
        found = [one for one in coco.loadAnns(coco.getAnnIds(sample.img_id)) if not one["iscrowd"]]
        corners = [(x, y, x + width, y + height) for x, y, width, height in (one["bbox"] for one in found)]
        masks = [coco.annToMask(one) for one in found] or [np.zeros(sample.ori_shape, np.uint8)]
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor([numbers[one["category_id"]] for one in found], dtype=torch.int64),
            scores=torch.ones(len(found)),
            masks=torch.from_numpy(np.stack(masks)).bool()[: len(found)],
        )

    return feed


def nothing(sample: Any) -> None:
    objects(sample)
    sample.pred_instances = sample.pred_instances[:0]


def labels(sample: Any) -> None:
    from mmengine.structures import PixelData

    truth = sample.gt_sem_seg.data.clone()
    # Void pixels do not count, whatever is said of them.
    truth[truth == 255] = 0
    sample.pred_sem_seg = PixelData(data=truth)


def check(dense: Dense) -> None:
    voc = evaluate(dense, "voc0712_faster_rcnn", objects)
    assert voc["pascal_voc/mAP"] == pytest.approx(1.0, abs=1e-6)
    listed = annotations(dense.root / "coco/annotations/instances_val2017.json")
    coco = evaluate(dense, "coco_mask_rcnn", listed)
    for kind in ("bbox", "segm"):
        for metric in ("mAP", "mAP_50", "mAP_75"):
            assert coco[f"coco/{kind}_{metric}"] == 1.0, (kind, metric)
    for name in ("voc12aug_fcn", "cityscapes_fcn"):
        assert evaluate(dense, name, labels)["mIoU"] == 100.0, name


def test_on_the_sample(dense: Dense) -> None:
    check(dense)


@pytest.mark.skipif("TRANSFER_TEST_DATA" not in os.environ, reason="TRANSFER_TEST_DATA names no data root")
def test_on_real_photographs(tmp_path: Path) -> None:
    check(Dense(Path(os.environ["TRANSFER_TEST_DATA"]), tmp_path))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("voc0712_faster_rcnn", "pascal_voc/mAP"),
        ("coco_mask_rcnn", "coco/bbox_mAP"),
        ("coco_mask_rcnn", "coco/segm_mAP_75"),
    ],
)
def test_a_detector_that_finds_nothing_scores_0_with_a_note(dense: Dense, name: str, metric: str) -> None:
    value = average_precision(evaluate(dense, name, nothing), metric)
    assert value.value == 0.0
    assert "found nothing" in value.note


def test_boxes_that_are_wrong_do_not_score(dense: Dense) -> None:
    def beside(sample: Any) -> None:
        objects(sample)
        sample.pred_instances.bboxes = sample.pred_instances.bboxes + 60

    assert evaluate(dense, "voc0712_faster_rcnn", beside)["pascal_voc/mAP"] < 0.1
    assert evaluate(dense, "coco_mask_rcnn", beside)["coco/bbox_mAP"] < 0.1


def test_labels_that_are_shifted_do_not_score(dense: Dense) -> None:
    def other(sample: Any) -> None:
        objects(sample)
        sample.pred_instances.labels = (sample.pred_instances.labels + 1) % 10

    assert evaluate(dense, "voc0712_faster_rcnn", other)["pascal_voc/mAP"] < 0.3
    assert evaluate(dense, "coco_mask_rcnn", other)["coco/segm_mAP"] < 0.3


def test_evaluation_forks_no_process(dense: Dense, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise AssertionError("a process that computes with threads was forked")

    monkeypatch.setattr(os, "fork", fork)
    assert evaluate(dense, "voc0712_faster_rcnn", objects)["pascal_voc/mAP"] == pytest.approx(1.0, abs=1e-6)
