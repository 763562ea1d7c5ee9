"""Checks of the two segmentors, section 8."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import (
    check_kinds,
    check_optimizer,
    check_plain_resnet,
    check_rates,
    check_settings,
    check_trained,
    network_input,
    normalised,
    steps_of,
)


def check_schedule(built: Built, iterations: int, interval: int) -> None:
    """lr = (0.01 - 1e-4) (1 - t / T)^0.9 + 1e-4, by iteration, without warm-up."""
    trace = train_through(built)
    half = 0.0099 * 0.5**0.9 + 1e-4
    last = 0.0099 * (1 / iterations) ** 0.9 + 1e-4
    first = 0.0099 * ((iterations - 1) / iterations) ** 0.9 + 1e-4
    quarter = 0.0099 * 0.25**0.9 + 1e-4
    expected = {0: 0.01, 1: first, iterations // 2: half, 3 * iterations // 4: quarter, iterations - 1: last}
    check_rates(trace, iterations, expected)
    assert trace.evaluated == list(range(interval, iterations + 1, interval))


def check_sgd(built: Built) -> None:
    """No other rate for the heads, no clipping."""
    check_optimizer(built, "SGD", lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=False, dampening=0)


def check_backbone(built: Built) -> None:
    """The plain stem, stride 8, dilations 1, 1, 2, 4 of which the first block of a stage has the one before."""
    # 53 of the backbone, 2 + 1 of the head, 1 of the auxiliary head.
    check_trained(built, 53 + 3 + 1)
    backbone = built.model.backbone
    check_plain_resnet(backbone, 4)
    assert (backbone.frozen_stages, backbone.norm_eval) == (-1, False)
    convolutions = [[block.conv2 for block in getattr(backbone, name)] for name in backbone.res_layers]
    assert [stage[0].stride[0] for stage in convolutions] == [1, 2, 1, 1]
    assert all(convolution.stride == (1, 1) for stage in convolutions for convolution in stage[1:])
    dilations = [[convolution.dilation[0] for convolution in stage] for stage in convolutions]
    assert dilations == [[1] * 3, [1] * 4, [1] + [2] * 5, [2] + [4] * 2]


def check_heads(built: Built, classes: int, align_corners: bool) -> None:
    """FCN on layer4 (two convolutions, then one over them and the input) and on layer3 (one), losses 1 and 0.4."""
    head, auxiliary = built.model.decode_head, built.model.auxiliary_head
    assert [part.conv.weight.shape for part in head.convs] == [(512, 2048, 3, 3), (512, 512, 3, 3)]
    assert head.concat_input
    assert head.conv_cat.conv.weight.shape == (512, 2048 + 512, 3, 3)
    assert [part.conv.weight.shape for part in auxiliary.convs] == [(256, 1024, 3, 3)]
    assert not auxiliary.concat_input
    assert (head.in_index, auxiliary.in_index) == (3, 2)
    for part, weight in ((head, 1.0), (auxiliary, 0.4)):
        assert part.conv_seg.out_channels == classes
        assert part.conv_seg.kernel_size == (1, 1)
        assert part.dropout.p == 0.1
        assert part.align_corners is align_corners
        assert part.ignore_index == 255
        assert part.sampler is None
        check_settings(part.loss_decode, use_sigmoid=False, loss_weight=weight, avg_non_ignore=False, class_weight=None)
    # The mean is over all pixels, those without a label included.
    scores, labels = torch.zeros(1, classes, 1, 4), torch.tensor([[[0, 1, 255, 255]]])
    loss = float(head.loss_decode(scores, labels, ignore_index=255))
    assert abs(loss - np.log(classes) / 2) < 1e-6


def check_training_images(built: Built, scale: tuple[int, int], crop: int) -> None:
    """Resize by 0.5 to 2, crop of which one class has at most 0.75, flip, distortion; padded to the crop."""
    steps = steps_of(built.train_loader)
    kinds = ["RandomResize", "RandomCrop", "RandomFlip", "PhotoMetricDistortion"]
    check_kinds(steps, ["ReadImage", "LoadAnnotations", *kinds, "PackSegInputs"])
    check_settings(steps[2], scale=scale, ratio_range=(0.5, 2.0))
    check_settings(steps[2].resize, keep_ratio=True, interpolation="bilinear", backend="cv2")
    check_settings(steps[3], crop_size=(crop, crop), cat_max_ratio=0.75, ignore_index=255)
    check_settings(steps[4], prob=0.5, direction="horizontal")
    check_settings(
        steps[5],
        brightness_delta=32,
        contrast_lower=0.5,
        contrast_upper=1.5,
        saturation_lower=0.5,
        saturation_upper=1.5,
        hue_delta=18,
    )
    assert steps[1].reduce_zero_label is not True
    check_settings(built.model.data_preprocessor, pad_val=0, seg_pad_val=255, size=(crop, crop))
    dataset, loader = built.train_loader.dataset, built.train_loader
    for index in range(3):
        sample = dataset[index]
        pixels, labels = sample["inputs"], sample["data_samples"].gt_sem_seg.data
        assert pixels.dtype == torch.uint8
        assert pixels.shape[1:] == labels.shape[1:]
        _, found = network_input(built, loader, index, training=True)
        height, width = pixels.shape[1:]
        assert height <= crop
        assert width <= crop
        inputs, padded = found["inputs"][0], found["data_samples"][0].gt_sem_seg.data
        assert inputs.shape == (3, crop, crop)
        torch.testing.assert_close(
            inputs[:, :height, :width], normalised(pixels.flip(0).permute(1, 2, 0)), atol=1e-4, rtol=0
        )
        assert (padded[:, height:] == 255).all()
        assert (padded[:, :, width:] == 255).all()
        assert not inputs[:, height:].any()


def check_overlap(built: Built, classes: int) -> None:
    """mIoU over all pixels of all images, in percent: 255 does not count, nor does a class that comes nowhere."""
    (metric,) = built.evaluator.metrics
    assert len(metric.dataset_meta["classes"]) == classes
    pairs: list[tuple[Any, Any]] = [([[0, 0, 5, 5]], [[0, 0, 0, 5]]), ([[5, 5, 0, 0]], [[5, 0, 255, 0]])]
    samples = [
        {"pred_sem_seg": {"data": torch.tensor([predicted])}, "gt_sem_seg": {"data": torch.tensor([truth])}}
        for predicted, truth in pairs
    ]
    metric.process({}, samples)
    # Class 0: shared 2 + 1, together 3 + 2; class 5: shared 1 + 1, together 2 + 2.
    assert abs(metric.evaluate(2)["mIoU"] - 100 * (3 / 5 + 2 / 4) / 2) < 1e-9
