"""Input conventions against the numbers that publishers print."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import functional

from benchmarks.input_convention import CONVENTIONS, DEFAULT_CONVENTION, InputConvention, input_convention
from results.errors import HarnessError


def applied(convention: InputConvention, rgb: NDArray[Any]) -> NDArray[Any]:
    pixels = rgb[..., ::-1] if convention.channels == "BGR" else rgb
    normalised: NDArray[Any] = (pixels - np.array(convention.mean)) / np.array(convention.std)
    return normalised


@pytest.fixture
def rgb() -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)


def test_mean_and_deviation_are_torchvisions(rgb: NDArray[Any]) -> None:
    scaled = functional.to_tensor(rgb)
    expected = functional.normalize(scaled, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    found = torch.from_numpy(applied(input_convention("rgb-mean-std"), rgb)).permute(2, 0, 1)
    # float32 against float64 on numbers below 3.
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=2e-6)


def test_unit_is_to_tensor(rgb: NDArray[Any]) -> None:
    found = torch.from_numpy(applied(input_convention("rgb-unit"), rgb)).permute(2, 0, 1)
    torch.testing.assert_close(found.float(), functional.to_tensor(rgb), rtol=0, atol=1e-7)


def test_caffe_is_bgr_without_a_scale(rgb: NDArray[Any]) -> None:
    found = applied(input_convention("bgr-mean"), rgb)
    np.testing.assert_allclose(found[..., 0], rgb[..., 2] - 103.53)
    np.testing.assert_allclose(found[..., 2], rgb[..., 0] - 123.675)


def test_every_convention_says_where_it_comes_from() -> None:
    assert DEFAULT_CONVENTION in CONVENTIONS
    for name, convention in CONVENTIONS.items():
        assert convention.name == name
        assert convention.channels in ("RGB", "BGR")
        assert all(deviation > 0 for deviation in convention.std)
        assert convention.source


def test_an_unknown_convention() -> None:
    with pytest.raises(HarnessError) as caught:
        input_convention("rgb_mean_std")
    assert "did you mean 'rgb-mean-std'" in caught.value.mend
