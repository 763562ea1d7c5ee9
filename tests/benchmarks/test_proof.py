from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.backbone import FEATURES
from benchmarks.base import PixelPipeline
from benchmarks.input_convention import CONVENTIONS, input_convention
from benchmarks.proof import (
    TOLERANCES,
    FittedPixels,
    fixed_image,
    prove_features,
    prove_tensors,
    reference_feature_maps,
    reference_input,
    write_fixed_image,
    write_fixed_mask,
)
from results.errors import HarnessError

PIXELS = PixelPipeline(short_edge=74, crop=64)
DEFAULT = input_convention("rgb-mean-std")


def test_the_fixed_image_tells_channels_and_directions_apart() -> None:
    image = fixed_image()
    assert image.shape == (200, 300, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, fixed_image())
    for other in (image[..., ::-1], image[:, ::-1], image[::-1]):
        assert np.abs(image.astype(int) - other).mean() > 10


def test_the_written_image_is_the_fixed_one(tmp_path: Path) -> None:
    path = write_fixed_image(tmp_path)
    assert np.array_equal(np.asarray(Image.open(path)), fixed_image())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("short_edge", [64, 73, 74, 131, 256])
@pytest.mark.parametrize("shape", [(200, 300), (301, 203)])
def test_reference_input_against_torchvision(short_edge: int, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = transforms.Compose(
        [
            transforms.Resize(short_edge),
            transforms.CenterCrop(60),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )(Image.fromarray(image))
    found = reference_input(image, PixelPipeline(short_edge=short_edge, crop=60), DEFAULT)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)


def test_squashing_takes_the_whole_image() -> None:
    image = fixed_image()
    picture = transforms.Resize((48, 48))(transforms.Resize(50)(Image.fromarray(image)))
    found = reference_input(image, PixelPipeline(short_edge=50, squash=48), input_convention("rgb-unit"))
    torch.testing.assert_close(found[0], transforms.ToTensor()(picture), atol=1e-6, rtol=0)


def test_the_written_mask_goes_with_the_image(tmp_path: Path) -> None:
    mask = np.asarray(Image.open(write_fixed_mask(tmp_path)))
    assert mask.shape == fixed_image().shape[:2]
    assert not mask.any()


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        # The long edge of 300 would become 600, the short one of 200 becomes 180: the smaller factor counts.
        (FittedPixels(long_edge=600, short_edge=180), (180, 270)),
        (FittedPixels(long_edge=240, short_edge=180), (160, 240)),
        (FittedPixels(long_edge=600, short_edge=400), (400, 600)),
    ],
)
@pytest.mark.parametrize("resize", ["cv2", "pillow"])
def test_fitted_pixels_against_torch(pixels: FittedPixels, size: tuple[int, int], resize: str) -> None:
    image = torch.from_numpy(fixed_image()).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(
        image, size, mode="bilinear", align_corners=False, antialias=resize == "pillow"
    )
    found = reference_input(fixed_image(), dataclasses.replace(pixels, resize=resize), input_convention("rgb-unit"))
    # OpenCV interpolates 8-bit values with weights of 11 bits, and rounds; PIL rounds after each direction.
    torch.testing.assert_close(255 * found.double(), expected, atol=1.01, rtol=0)


def test_padding_is_zero_after_normalisation_and_on_the_right_and_below() -> None:
    plain = reference_input(fixed_image(), FittedPixels(long_edge=240, short_edge=180), DEFAULT)
    padded = reference_input(fixed_image(), FittedPixels(long_edge=240, short_edge=180, multiple=32), DEFAULT)
    assert plain.shape == (1, 3, 160, 240)
    assert padded.shape == (1, 3, 160, 256)
    assert torch.equal(padded[..., :240], plain)
    assert not padded[..., 240:].any()


def test_conventions_differ_as_they_say() -> None:
    image = fixed_image()
    unit = reference_input(image, PIXELS, input_convention("rgb-unit"))
    bgr = reference_input(image, PIXELS, input_convention("bgr-mean"))
    mean = torch.tensor([103.53, 116.28, 123.675])[:, None, None]
    torch.testing.assert_close(bgr[0], unit[0].flip(0) * 255 - mean, atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def expected(untrained_tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return reference_feature_maps(untrained_tensors, PIXELS, DEFAULT)


def test_reference_features_by_hand(
    untrained_tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]
) -> None:
    tensors = {name: value.double() for name, value in untrained_tensors.items()}
    stem = torch.nn.functional.conv2d(
        reference_input(fixed_image(), PIXELS, DEFAULT).double(), tensors["conv1.weight"], stride=2, padding=3
    )
    mean, variance, weight, bias = (
        tensors[f"bn1.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    stem = ((stem - mean) / (variance + 1e-5).sqrt() * weight + bias).clamp(min=0)
    torch.testing.assert_close(expected["feature1"].double(), stem, atol=1e-5, rtol=1e-5)
    shapes = [tuple(expected[feature].shape[1:]) for feature in FEATURES]
    assert shapes == [(64, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (2048, 2, 2)]


def test_equal_features_are_accepted(expected: dict[str, torch.Tensor]) -> None:
    prove_features(expected, expected, "fp32", "the test pipeline")


@pytest.mark.parametrize("name", sorted(set(CONVENTIONS) - {DEFAULT.name}))
def test_another_convention_is_refused_at_every_precision(
    untrained_tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], name: str
) -> None:
    other = reference_feature_maps(untrained_tensors, PIXELS, CONVENTIONS[name])
    for precision in TOLERANCES:
        with pytest.raises(HarnessError, match="does not reproduce"):
            prove_features(other, expected, precision, "the test pipeline")


def test_another_size_is_refused(untrained_tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    other = reference_feature_maps(untrained_tensors, PixelPipeline(short_edge=76, crop=64), DEFAULT)
    with pytest.raises(HarnessError, match="differs by"):
        prove_features(other, expected, "bf16", "the test pipeline")


def test_missing_misshapen_or_nan_features_are_refused(expected: dict[str, torch.Tensor]) -> None:
    last = expected["feature5"]
    for bad in (None, last[..., :1], torch.full_like(last, float("nan"))):
        got = {name: value for name, value in expected.items() if name != "feature5"}
        if bad is not None:
            got["feature5"] = bad
        with pytest.raises(HarnessError, match="feature5"):
            prove_features(got, expected, "fp32", "the test pipeline")


def test_equal_tensors_are_accepted_whatever_else_is_built(untrained_tensors: dict[str, torch.Tensor]) -> None:
    built = {**untrained_tensors, "bn1.num_batches_tracked": torch.tensor(7), "fc.weight": torch.ones(1)}
    prove_tensors(built, untrained_tensors, "before training")


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_var", "layer4.2.bn3.bias"])
def test_one_changed_number_is_refused(untrained_tensors: dict[str, torch.Tensor], name: str) -> None:
    changed = untrained_tensors[name].clone()
    changed.view(-1)[0] = torch.nextafter(changed.view(-1)[0], torch.tensor(9.0))
    with pytest.raises(HarnessError, match=f"1 of 265 .* after training: {name}"):
        prove_tensors({**untrained_tensors, name: changed}, untrained_tensors, "after training")


def test_a_missing_tensor_is_refused(untrained_tensors: dict[str, torch.Tensor]) -> None:
    built = {name: value for name, value in untrained_tensors.items() if name != "bn1.bias"}
    with pytest.raises(HarnessError, match=r"bn1\.bias"):
        prove_tensors(built, untrained_tensors, "before training")
