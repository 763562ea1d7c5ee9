"""Faster R-CNN on VOC2007 and VOC2012 as it is built, against section 7.1 (P0)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.fidelity import detectors
from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import (
    SYNCED,
    check_fitted_pixels,
    check_loaders,
    check_optimizer,
    check_plain_resnet,
    check_rates,
    check_trained,
)

NAME, CLASSES = "voc0712_faster_rcnn", 20


def check_schedule(built: Built) -> None:
    """24,000 iterations, a tenth at 18,000 and 22,000, linear warm-up of 100 from a thousandth; every 2,000 a test."""
    trace = train_through(built)
    # In the ramp: 0.02 (0.001 + 0.999 t / 100).
    ramp = {0: 2e-5, 1: 0.02 * 0.01099, 50: 0.02 * 0.5005, 99: 0.02 * 0.99001, 100: 0.02}
    falls = {17_999: 0.02, 18_000: 2e-3, 21_999: 2e-3, 22_000: 2e-4, 23_999: 2e-4}
    check_rates(trace, 24_000, ramp | falls)
    assert trace.evaluated == list(range(2000, 24_001, 2000))


def check_backbone(built: Built) -> None:
    """Three stages to stride 16, all trained: 43 norms; layer4 and one more norm in the head: 11."""
    check_trained(built, 43 + 10 + 1)
    backbone = built.model.backbone
    check_plain_resnet(backbone, 3)
    assert not hasattr(backbone, "layer4")
    strides = [getattr(backbone, f"layer{number}")[0].conv2.stride for number in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (2, 2)]
    assert backbone.out_indices == (2,)
    assert (backbone.frozen_stages, backbone.norm_eval) == (-1, False)


def check_extra_norm(built: Built) -> None:
    """layer4 (stride 2 on the 3x3), then one fresh norm over its output, and nothing after it."""
    head = built.model.roi_head.shared_head
    assert not head.norm_eval
    assert [block.conv2.stride for block in head.layer4] == [(2, 2), (1, 1), (1, 1)]
    assert [name for name, _ in head.named_children()] == ["layer4", "norm"]
    assert type(head.norm).__name__ in SYNCED
    assert head.norm.num_features == 2048
    assert (head.norm.weight == 1).all()
    assert not head.norm.bias.any()
    head.eval()
    regions = torch.randn(2, 1024, 14, 14, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        head.norm.bias.fill_(-3.0)
        plain, found = head.layer4(regions), head(regions)
        head.norm.bias.zero_()
    head.train()
    assert found.shape == (2, 2048, 7, 7)
    # Running mean 0 and variance 1; values below 0 stay, so no ReLU follows.
    torch.testing.assert_close(found, plain / (1 + 1e-5) ** 0.5 - 3.0)
    assert found.min() < 0


def check_eleven_points(built: Built) -> None:
    """One of two objects found first: precision 1 up to recall 0.5, of 11 thresholds 6.

    The box that finds it has half its area only where widths count the last pixel, and the best score is given to a
    difficult object, which counts neither way.
    """
    metric = built.evaluator.metrics[0]
    metric.process(
        None,
        [
            _sample(
                found=[(50, 50, 69, 69), (0, 0, 9, 4), (100, 100, 110, 110)],
                scores=[0.95, 0.9, 0.8],
                truth=[(0, 0, 9, 9)],
                difficult=[(50, 50, 69, 69)],
            ),
            _sample(found=[], scores=[], truth=[(0, 0, 19, 19)], difficult=[]),
        ],
    )
    found = metric.evaluate(2)
    # float32 precisions; the area under the curve would be 0.5.
    assert abs(found["pascal_voc/mAP"] - 6 / 11) < 1e-6
    assert metric.iou_thrs == [0.5]


def _sample(found: list[Any], scores: list[float], truth: list[Any], difficult: list[Any]) -> dict[str, Any]:
    def boxes(corners: list[Any]) -> torch.Tensor:
        return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)

    def labels(corners: list[Any]) -> torch.Tensor:
        return torch.full((len(corners),), 11)

    return {
        "gt_instances": {"bboxes": boxes(truth), "labels": labels(truth)},
        "ignored_instances": {"bboxes": boxes(difficult), "labels": labels(difficult)},
        "pred_instances": {"bboxes": boxes(found), "scores": torch.tensor(scores), "labels": labels(found)},
    }


def test_optimiser(job: Built) -> None:
    """Weight decay on norms too."""
    check_optimizer(job, "SGD", lr=0.02, momentum=0.9, weight_decay=1e-4, nesterov=False, dampening=0)


def test_backbone(job: Built) -> None:
    check_backbone(job)


def test_extra_norm(job: Built) -> None:
    check_extra_norm(job)


def test_proposals(job: Built) -> None:
    detectors.check_anchors(job, (2, 4, 8, 16, 32), (16,), 1024)
    detectors.check_proposals(job, border=0, train=(12_000, 2000), test=(6000, 1000))


def test_regions(job: Built) -> None:
    detectors.check_regions(job, low_quality=False)
    detectors.check_boxes(job, 20, 14)
    head = job.model.roi_head.bbox_head
    assert head.with_avg_pool
    assert head.avg_pool.kernel_size == (7, 7)
    assert head.fc_cls.in_features == 2048
    assert not job.model.roi_head.with_mask


def test_training_images(job: Built) -> None:
    edges = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    detectors.check_training_images(job, edges, masks=False)
    for dataset in job.train_loader.dataset.dataset.datasets:
        detectors.check_kept(dataset)


def test_training_images_are_both_trainvals(job: Built) -> None:
    sets = job.train_loader.dataset.dataset.datasets
    root = job.root / "VOCdevkit"
    for year, dataset in zip((2007, 2012), sets, strict=True):
        listed = (root / f"VOC{year}/ImageSets/Main/trainval.txt").read_text().split()
        paths = [Path(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]
        assert {path.stem for path in paths} <= set(listed)
        assert all(path.parent == root / f"VOC{year}/JPEGImages" for path in paths)
    names = (root / "VOC2007/ImageSets/Main/test.txt").read_text().split()
    assert len(job.val_loader.dataset) == len(names)


def test_difficult_objects_are_ignored_and_corners_begin_at_0(job: Built) -> None:
    seen = set()
    for loader in (job.train_loader, job.val_loader):
        dataset = loader.dataset
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            objects = ET.parse(info["xml_path"]).getroot().findall("object")
            for one, instance in zip(objects, info["instances"], strict=True):
                box = one.find("bndbox")
                assert box is not None
                corners = [int(box.findtext(key, "")) - 1 for key in ("xmin", "ymin", "xmax", "ymax")]
                assert instance["bbox"] == corners
                assert instance["ignore_flag"] == int(one.findtext("difficult", ""))
                seen.add(instance["ignore_flag"])
    assert seen == {0, 1}
    sample = job.train_loader.dataset[0]["data_samples"]
    flags = [instance["ignore_flag"] for instance in job.train_loader.dataset.get_data_info(0)["instances"]]
    assert len(sample.ignored_instances) == sum(flags) == 1
    assert len(sample.gt_instances) == len(flags) - 1


def test_test_images(job: Built) -> None:
    check_fitted_pixels(job, 1333, 800, 32)


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 2, 1)
    detectors.check_one_shape_a_batch(job)


def test_evaluator(job: Built) -> None:
    check_eleven_points(job)


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
