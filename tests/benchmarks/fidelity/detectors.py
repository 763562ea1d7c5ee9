"""Checks of the two detectors, section 7."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import torch

from benchmarks.toolbox.modules.samples import seed_generators
from tests.benchmarks.fidelity.built import Built
from tests.benchmarks.fidelity.checks import (
    check_kinds,
    check_settings,
    network_input,
    normalised,
    read_rgb,
    steps_of,
)


def check_anchors(built: Built, scales: Sequence[int], strides: Sequence[int], channels: int) -> None:
    """Areas and ratios of the anchors of each level, and deltas that are not scaled."""
    head = built.model.rpn_head
    assert head.rpn_conv.weight.shape == (channels, channels, 3, 3)
    anchors = head.prior_generator
    assert anchors.strides == [(stride, stride) for stride in strides]
    for stride, boxes in zip(strides, anchors.base_anchors, strict=True):
        areas = sorted(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).tolist())
        expected = sorted((scale * stride) ** 2 for scale in scales for _ in (0.5, 1, 2))
        # float32.
        assert len(areas) == len(expected)
        assert all(abs(found / area - 1) < 1e-5 for found, area in zip(areas, expected, strict=True))
        shapes = (boxes[:, 3] - boxes[:, 1]) / (boxes[:, 2] - boxes[:, 0])
        assert {round(value, 4) for value in shapes.tolist()} == {0.5, 1.0, 2.0}
    check_settings(head.bbox_coder, means=(0.0, 0.0, 0.0, 0.0), stds=(1.0, 1.0, 1.0, 1.0))
    assert (head.loss_cls.use_sigmoid, head.loss_cls.loss_weight, head.loss_bbox.loss_weight) == (True, 1.0, 1.0)
    assert type(head.loss_bbox).__name__ == "L1Loss"


def check_proposals(built: Built, border: int, train: tuple[int, int], test: tuple[int, int]) -> None:
    """What the region proposal network is trained on, and (before, after) suppression at 0.7."""
    head, settings = built.model.rpn_head, built.model
    assert head.train_cfg["allowed_border"] == border
    check_settings(head.assigner, pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True)
    check_settings(head.sampler, num=256, pos_fraction=0.5, add_gt_as_proposals=False)
    for found, numbers in ((settings.train_cfg["rpn_proposal"], train), (settings.test_cfg["rpn"], test)):
        assert (found["nms_pre"], found["max_per_img"]) == numbers
        assert found["nms"] == {"type": "nms", "iou_threshold": 0.7}


def check_regions(built: Built, low_quality: bool) -> None:
    """512 regions, a quarter of them positive, true boxes among them; test: score 0.05, suppression at 0.5, 100."""
    head = built.model.roi_head
    check_settings(
        head.bbox_assigner,
        pos_iou_thr=0.5,
        neg_iou_thr=0.5,
        min_pos_iou=0.5,
        match_low_quality=low_quality,
        ignore_iof_thr=-1,
    )
    check_settings(head.bbox_sampler, num=512, pos_fraction=0.25, add_gt_as_proposals=True)
    assert head.test_cfg["score_thr"] == 0.05
    assert head.test_cfg["nms"] == {"type": "nms", "iou_threshold": 0.5}
    assert head.test_cfg["max_per_img"] == 100


def check_boxes(built: Built, classes: int, size: int) -> None:
    """Class-specific boxes, softmax and L1."""
    head = built.model.roi_head.bbox_head
    assert head.fc_cls.out_features == classes + 1
    assert head.fc_reg.out_features == 4 * classes
    check_settings(head.bbox_coder, means=(0.0, 0.0, 0.0, 0.0), stds=(0.1, 0.1, 0.2, 0.2))
    assert type(head.loss_bbox).__name__ == "L1Loss"
    assert (head.loss_cls.use_sigmoid, head.loss_cls.loss_weight, head.loss_bbox.loss_weight) == (False, 1.0, 1.0)
    check_aligned(built.model.roi_head.bbox_roi_extractor, size)


def check_aligned(extractor: Any, size: int) -> None:
    """RoIAlign on a grid of ``size``, as many samples as fit."""
    for layer in extractor.roi_layers:
        check_settings(layer, output_size=(size, size), sampling_ratio=0, pool_mode="avg", aligned=True)


def check_training_images(built: Built, edges: Iterable[int], masks: bool) -> None:
    """A short edge out of a list, a flip, and from the file to the network's input, in RGB."""
    steps = steps_of(built.train_loader)
    check_kinds(steps, ["ReadImage", "LoadAnnotations", "RandomChoiceResize", "RandomFlip", "PackDetInputs"])
    assert steps[1].with_mask is masks
    assert steps[2].scales == [(1333, edge) for edge in edges]
    check_settings(steps[2].resize, keep_ratio=True, interpolation="bilinear", backend="cv2")
    check_settings(steps[3], prob=0.5, direction="horizontal")
    dataset = built.train_loader.dataset
    chosen = []
    for index in range(3):
        path, found = network_input(built, built.train_loader, index, training=True)
        image, inputs = read_rgb(path), found["inputs"][0]
        height, width = found["data_samples"][0].img_shape
        assert (height, width) in {fitted(image, 1333, edge) for edge in edges}
        assert inputs.shape[1] % 32 == inputs.shape[2] % 32 == 0
        expected = normalised(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))
        if found["data_samples"][0].flip:
            expected = expected.flip(2)
        torch.testing.assert_close(inputs[:, :height, :width], expected, atol=1e-4, rtol=0)
        chosen.append(min(height, width))
    # Drawn anew: 40 draws of one image hit more than half of the sizes.
    seed_generators(1)
    sizes = {tuple(dataset.dataset[0]["inputs"].shape) for _ in range(40)}
    assert len(sizes) > len(list(edges)) / 2


def fitted(image: Any, long_edge: int, short_edge: int) -> tuple[int, int]:
    """Height and width into which an image is resized."""
    height, width = image.shape[:2]
    factor = min(long_edge / max(height, width), short_edge / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def check_kept(dataset: Any) -> None:
    """Images without objects, or with a side below 32 pixels, are left out of training."""
    assert dataset.filter_cfg == {"filter_empty_gt": True, "min_size": 32}
    assert not dataset.test_mode


def check_one_shape_a_batch(built: Built) -> None:
    """Batches hold either high or wide images, and training by iterations never ends an epoch with a small one."""
    batches = built.train_loader.batch_sampler
    assert batches.by_aspect
    count = len(built.train_loader.dataset)
    infos = [built.train_loader.dataset.get_data_info(index) for index in range(count)]
    for _, batch in zip(range(6), batches, strict=False):
        shapes = {infos[draw % count]["width"] >= infos[draw % count]["height"] for draw in batch}
        assert len(shapes) == 1 or not batches.endless
