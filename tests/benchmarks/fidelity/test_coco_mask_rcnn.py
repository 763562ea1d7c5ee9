"""Mask R-CNN on COCO as it is built, against section 7.2 (P0)."""

from __future__ import annotations

import torch

from benchmarks.catalogue import find_benchmark
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

NAME, CLASSES = "coco_mask_rcnn", 80


def check_schedule(built: Built) -> None:
    """12 epochs, a tenth after 8 and 11, linear warm-up of 1,000 iterations from a thousandth; a test every epoch."""
    trace = train_through(built, batches=1100)
    # In the ramp: 0.02 (0.001 + 0.999 t / 1000).
    ramp = {0: 2e-5, 1: 0.02 * 0.001999, 500: 0.02 * 0.5005, 999: 0.02 * 0.999001, 1000: 0.02}
    falls = {8799: 0.02, 8800: 2e-3, 12_099: 2e-3, 12_100: 2e-4, 13_199: 2e-4}
    check_rates(trace, 13_200, ramp | falls)
    assert trace.evaluated == [1100 * epoch for epoch in range(1, 13)]


def check_norms(built: Built) -> None:
    """SyncBN in the backbone (53), the pyramid (4 + 4), the box head (4) and the mask head (4), nothing frozen."""
    check_trained(built, 53 + 8 + 4 + 4)
    backbone = built.model.backbone
    check_plain_resnet(backbone, 4)
    assert backbone.out_indices == (0, 1, 2, 3)
    assert (backbone.frozen_stages, backbone.norm_eval) == (-1, False)


def check_pyramid(built: Built) -> None:
    """256 channels, five levels, norms and no activation."""
    neck = built.model.neck
    assert (neck.out_channels, neck.num_outs) == (256, 5)
    convolutions = [*neck.lateral_convs, *neck.fpn_convs]
    assert [part.conv.kernel_size for part in convolutions] == [(1, 1)] * 4 + [(3, 3)] * 4
    assert all(type(part.norm).__name__ in SYNCED and not part.with_activation for part in convolutions)
    maps = [torch.zeros(1, 256 * 2**level, 64 // 2**level, 64 // 2**level) for level in range(4)]
    neck.eval()
    assert [tuple(level.shape[1:]) for level in neck(maps)] == [(256, side, side) for side in (64, 32, 16, 8, 4)]
    neck.train()


def check_box_head(built: Built) -> None:
    """Four 3x3 convolutions with norm and ReLU, then one layer of 1024."""
    head = built.model.roi_head.bbox_head
    assert [part.conv.weight.shape for part in head.shared_convs] == [(256, 256, 3, 3)] * 4
    assert all(type(part.norm).__name__ in SYNCED and part.with_activation for part in head.shared_convs)
    assert [layer.weight.shape for layer in head.shared_fcs] == [(1024, 256 * 7 * 7)]
    assert head.fc_cls.in_features == 1024


def check_mask_head(built: Built) -> None:
    """Four convolutions with norms on a grid of 14, masks of 28, one for each class."""
    head = built.model.roi_head.mask_head
    assert [part.conv.weight.shape for part in head.convs] == [(256, 256, 3, 3)] * 4
    assert all(type(part.norm).__name__ in SYNCED and part.with_activation for part in head.convs)
    assert head.conv_logits.out_channels == 80
    assert head.loss_mask.use_mask
    detectors.check_aligned(built.model.roi_head.mask_roi_extractor, 14)
    head.eval()
    assert head(torch.zeros(1, 256, 14, 14)).shape == (1, 80, 28, 28)
    head.train()
    assert built.model.train_cfg["rcnn"]["mask_size"] == 28
    assert built.model.test_cfg["rcnn"]["mask_thr_binary"] == 0.5


def test_optimiser(job: Built) -> None:
    check_optimizer(job, "SGD", lr=0.02, momentum=0.9, weight_decay=1e-4, nesterov=False, dampening=0)


def test_norms(job: Built) -> None:
    check_norms(job)


def test_pyramid(job: Built) -> None:
    check_pyramid(job)


def test_proposals(job: Built) -> None:
    detectors.check_anchors(job, (8,), (4, 8, 16, 32, 64), 256)
    detectors.check_proposals(job, border=-1, train=(2000, 1000), test=(1000, 1000))


def test_regions(job: Built) -> None:
    detectors.check_regions(job, low_quality=True)
    detectors.check_boxes(job, 80, 7)
    check_box_head(job)
    strides = job.model.roi_head.bbox_roi_extractor.featmap_strides
    assert strides == job.model.roi_head.mask_roi_extractor.featmap_strides == [4, 8, 16, 32]


def test_mask_head(job: Built) -> None:
    check_mask_head(job)


def test_training_images(job: Built) -> None:
    detectors.check_training_images(job, (640, 672, 704, 736, 768, 800), masks=True)
    detectors.check_kept(job.train_loader.dataset.dataset)


def test_test_images(job: Built) -> None:
    check_fitted_pixels(job, 1333, 800, 32)


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 2, 1)
    detectors.check_one_shape_a_batch(job)
    for loader, split in ((job.train_loader, "train"), (job.val_loader, "val")):
        path = loader.dataset.get_data_info(0)["img_path"]
        assert path.startswith(f"{job.root}/coco/{split}2017/")


def test_evaluator(job: Built) -> None:
    """Boxes and masks at IoU 0.5 to 0.95; the six columns of section 9."""
    metric = job.evaluator.metrics[0]
    assert metric.metrics == ["bbox", "segm"]
    thresholds = [round(float(value), 2) for value in metric.iou_thrs]
    assert thresholds == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    benchmark = find_benchmark(NAME)
    columns = benchmark.columns(benchmark.protocol())
    assert [(column.title, column.decimals) for column in columns] == [
        (f"{metric}({kind})", 1) for kind in ("Box", "Mask") for metric in ("mAP", "AP50", "AP75")
    ]
    assert list(benchmark.evaluated(benchmark.protocol()).values()) == [  # type: ignore[attr-defined]
        f"coco/{kind}_{metric}" for kind in ("bbox", "segm") for metric in ("mAP", "mAP_50", "mAP_75")
    ]


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
