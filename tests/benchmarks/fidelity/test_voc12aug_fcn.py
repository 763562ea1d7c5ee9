"""FCN on VOC2012 and SBD as it is built, against section 8.1 (P0)."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.benchmarks.fidelity import segmentors
from tests.benchmarks.fidelity.built import Built
from tests.benchmarks.fidelity.checks import check_fitted_pixels, check_loaders

NAME, CLASSES = "voc12aug_fcn", 21


def check_whole_image(built: Built) -> None:
    """The whole image at once, scores resized to the original size before the arg-max."""
    model = built.model
    assert model.test_cfg["mode"] == "whole"
    _check_resized_scores(model)


def _check_resized_scores(model: object) -> None:
    from mmseg.structures import SegDataSample

    sample = SegDataSample(metainfo={"ori_shape": (4, 6), "img_shape": (2, 3), "pad_shape": (2, 3)})
    scores = torch.randn(1, 21, 2, 3, generator=torch.Generator().manual_seed(0))
    (found,) = model.postprocess_result(scores, [sample])  # type: ignore[attr-defined]
    resized = torch.nn.functional.interpolate(scores, (4, 6), mode="bilinear", align_corners=False)
    assert torch.equal(found.pred_sem_seg.data[0], resized[0].argmax(0))


def test_optimiser(job: Built) -> None:
    segmentors.check_sgd(job)


def test_backbone(job: Built) -> None:
    segmentors.check_backbone(job)


def test_heads(job: Built) -> None:
    segmentors.check_heads(job, 21, align_corners=False)


def test_training_images(job: Built) -> None:
    segmentors.check_training_images(job, (2048, 512), 512)


def test_training_images_are_train_and_aug(job: Built) -> None:
    home = job.root / "VOCdevkit/VOC2012"
    sets = job.train_loader.dataset.dataset.datasets
    for dataset, split, masks in zip(
        sets, ("train", "aug"), ("SegmentationClass", "SegmentationClassAug"), strict=True
    ):
        listed = (home / f"ImageSets/Segmentation/{split}.txt").read_text().split()
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        assert [Path(info["img_path"]).stem for info in infos] == listed
        assert {Path(info["seg_map_path"]).parent for info in infos} == {home / masks}
    listed = (home / "ImageSets/Segmentation/val.txt").read_text().split()
    assert len(job.val_loader.dataset) == len(listed)


def test_test_images(job: Built) -> None:
    check_fitted_pixels(job, 2048, 512, 1)
    check_whole_image(job)


def test_loaders(job: Built) -> None:
    check_loaders(job, 4 * 4, 1)


def test_evaluator(job: Built) -> None:
    segmentors.check_overlap(job, 21)


def test_learning_rates(job: Built) -> None:
    segmentors.check_schedule(job, 20_000, 2000)
