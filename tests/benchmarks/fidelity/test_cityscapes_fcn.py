"""FCN on Cityscapes as it is built, against section 8.2 (P0)."""

from __future__ import annotations

from typing import Any

import torch

from tests.benchmarks.fidelity import segmentors
from tests.benchmarks.fidelity.built import Built
from tests.benchmarks.fidelity.checks import check_fitted_pixels, check_loaders

NAME, CLASSES = "cityscapes_fcn", 19


def check_slide(built: Built) -> None:
    """Windows of 769 pixels, 513 apart, the last one moved back to the border of 2049x1025."""
    model = built.model
    windows = []

    def recorded(crop: Any, *_: Any) -> Any:
        windows.append((int(crop[0, 0, 0, 0]), int(crop[0, 1, 0, 0]), tuple(crop.shape[2:])))
        return torch.zeros(1, 19, *crop.shape[2:])

    rows, columns = torch.meshgrid(torch.arange(1025.0), torch.arange(2049.0), indexing="ij")
    image = torch.stack([rows, columns, rows])[None]
    inner, model.encode_decode = model.encode_decode, recorded
    try:
        model.inference(image, [{"ori_shape": (1024, 2048), "img_shape": (1025, 2049), "pad_shape": (1025, 2049)}])
    finally:
        model.encode_decode = inner
    corners = [(top, left) for top in (0, 256) for left in (0, 513, 1026, 1280)]
    assert windows == [(top, left, (769, 769)) for top, left in corners]


def test_optimiser(job: Built) -> None:
    segmentors.check_sgd(job)


def test_backbone(job: Built) -> None:
    segmentors.check_backbone(job)


def test_heads(job: Built) -> None:
    segmentors.check_heads(job, 19, align_corners=True)


def test_training_images(job: Built) -> None:
    segmentors.check_training_images(job, (2049, 1025), 769)


def test_test_images(job: Built) -> None:
    check_fitted_pixels(job, 2049, 1025, 1)


def test_slide(job: Built) -> None:
    check_slide(job)


def test_loaders(job: Built) -> None:
    check_loaders(job, 4 * 2, 1)
    for loader, split in ((job.train_loader, "train"), (job.val_loader, "val")):
        info = loader.dataset.get_data_info(0)
        assert info["img_path"].startswith(f"{job.root}/cityscapes/leftImg8bit/{split}/")
        assert info["seg_map_path"].endswith("_gtFine_labelTrainIds.png")


def test_evaluator(job: Built) -> None:
    segmentors.check_overlap(job, 19)


def test_learning_rates(job: Built) -> None:
    segmentors.check_schedule(job, 40_000, 4000)
