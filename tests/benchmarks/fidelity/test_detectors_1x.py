"""The detectors of mmselfsup 1.x as they are built, against the P1 columns of sections 7.1 to 7.3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.benchmarks.fidelity import detectors, test_coco_mask_rcnn
from tests.benchmarks.fidelity.built import Built, built, train_through
from tests.benchmarks.fidelity.checks import check_fitted_pixels, check_rates, check_trained, network_input, read_rgb
from tests.benchmarks.fidelity.test_voc0712_faster_rcnn import check_backbone, check_eleven_points, check_extra_norm
from tests.benchmarks.fidelity.test_voc0712_faster_rcnn import check_schedule as check_24k

VOC, FPN, C4 = "voc0712_faster_rcnn@1x", "coco_mask_rcnn@1x", "coco_mask_rcnn@c4-1x"


@pytest.fixture(scope="module")
def voc(fidelity_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with built(VOC, fidelity_root, tmp_path_factory.mktemp("voc")) as made:
        yield made


@pytest.fixture(scope="module", params=[FPN, C4])
def coco(
    request: pytest.FixtureRequest, fidelity_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    with built(request.param, fidelity_root, tmp_path_factory.mktemp("coco")) as made:
        yield made


def check_caffe_pixels(built: Built) -> None:
    """Effective in 1.x: BGR, means 103.53, 116.28, 123.675, deviation 1; padded to 32 (section 7.1)."""
    path, found = network_input(built, built.val_loader, 0, training=False)
    height, width = detectors.fitted(read_rgb(path), 1333, 800)
    bgr = cv2.resize(cv2.imread(path, cv2.IMREAD_COLOR), (width, height), interpolation=cv2.INTER_LINEAR)
    expected = torch.from_numpy(bgr - np.array([103.53, 116.28, 123.675])).permute(2, 0, 1).float()
    torch.testing.assert_close(found["inputs"][0, :, :height, :width], expected, atol=1e-3, rtol=0)


def check_warmup(built: Built) -> None:
    """500 iterations from a thousandth, where 0.x has 1,000."""
    trace = train_through(built, batches=600)
    ramp = {0: 2e-5, 250: 0.02 * 0.5005, 499: 0.02 * 0.998002, 500: 0.02}
    check_rates(trace, 7200, ramp | {4799: 0.02, 4800: 2e-3, 6599: 2e-3, 6600: 2e-4})


def test_voc_pixels(voc: Built) -> None:
    check_caffe_pixels(voc)


def test_voc_keeps_anchors_over_the_border(voc: Built) -> None:
    detectors.check_anchors(voc, (2, 4, 8, 16, 32), (16,), 1024)
    detectors.check_proposals(voc, border=-1, train=(12_000, 2000), test=(6000, 1000))


def test_all_else_of_voc_is_as_in_0x(voc: Built) -> None:
    check_backbone(voc)
    check_extra_norm(voc)
    check_eleven_points(voc)
    detectors.check_regions(voc, low_quality=False)
    check_24k(voc)


def test_coco_pixels(coco: Built) -> None:
    """Right in 1.x: the preprocessor stands in the model."""
    check_fitted_pixels(coco, 1333, 800, 32)
    detectors.check_training_images(coco, (640, 672, 704, 736, 768, 800), masks=True)


def test_coco_network(coco: Built) -> None:
    if coco.name == FPN:
        test_coco_mask_rcnn.check_norms(coco)
        detectors.check_proposals(coco, border=-1, train=(2000, 1000), test=(1000, 1000))
        return
    check_trained(coco, 43 + 10 + 1)
    check_extra_norm(coco)
    detectors.check_proposals(coco, border=0, train=(12_000, 2000), test=(6000, 1000))
    head = coco.model.roi_head.mask_head
    assert not len(head.convs)
    assert head.upsample.out_channels == 256
    head.eval()
    # layer4 halves the 14 of RoIAlign, and the transposed convolution doubles it again.
    assert head(torch.zeros(1, 2048, 7, 7)).shape == (1, 80, 14, 14)
    head.train()
    assert coco.model.roi_head.mask_roi_extractor is coco.model.roi_head.bbox_roi_extractor


def test_coco_warmup(coco: Built) -> None:
    check_warmup(coco)
