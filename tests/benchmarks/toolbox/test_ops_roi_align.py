from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from benchmarks.toolbox.ops import provide_ops

provide_ops()

import mmcv.ops  # noqa: E402


def ramp(rows: int = 16, columns: int = 16) -> torch.Tensor:
    """3 y + 2 x + 1 at pixel (y, x): between pixels and on average over a cell it is what it is in the middle."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (3 * y + 2 * x + 1).float()[None, None]


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("aligned", "expected"), [(False, [[13.0, 17], [19, 23]]), (True, [[10.5, 14.5], [16.5, 20.5]])]
)
def test_a_ramp_has_the_value_of_the_cell_s_middle(
    aligned: bool, expected: list[list[float]], sampling_ratio: int
) -> None:
    """On the map the box is x 2 to 6, y 1 to 5, the cells' middles x 3 and 5, y 2 and 4; aligned half a pixel less."""
    layer = mmcv.ops.RoIAlign(2, spatial_scale=0.5, sampling_ratio=sampling_ratio, aligned=aligned)
    pooled = layer(ramp(), torch.tensor([[0.0, 4, 2, 12, 10]]))
    torch.testing.assert_close(pooled, torch.tensor([[expected]]))


@pytest.mark.parametrize(("aligned", "expected"), [(False, 3 * 3.5 + 2 * 3.5 + 1), (True, 3 * 2.5 + 2 * 2.5 + 1)])
def test_only_unaligned_a_point_is_widened_to_a_pixel(aligned: bool, expected: float) -> None:
    pooled = mmcv.ops.RoIAlign(1, sampling_ratio=2, aligned=aligned)(ramp(), torch.tensor([[0.0, 3, 3, 3, 3]]))
    assert pooled.item() == pytest.approx(expected)


def test_boxes_take_their_own_image_and_channels_stay_apart() -> None:
    maps = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 8, 8)
    pooled = mmcv.ops.RoIAlign(3)(maps, torch.tensor([[1.0, 1, 1, 6, 6], [0, 2, 2, 5, 5]]))
    torch.testing.assert_close(pooled, torch.tensor([[3.0, 4, 5], [0, 1, 2]])[:, :, None, None].expand(2, 3, 3, 3))


def test_outside_the_map_is_zero() -> None:
    pooled = mmcv.ops.RoIAlign(2)(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 20, 20, 30, 30]]))
    assert pooled.abs().max() == 0


def by_hats(
    maps: np.ndarray, rois: np.ndarray, size: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> np.ndarray:
    """The definition, a box and a cell at a time, in float64.

    A sample is a weighted sum over all pixels, with the product of two hats as weights; up to a pixel outside the map
    it has the value of the border, beyond that zero.
    """

    def hats(positions: np.ndarray, length: int) -> np.ndarray:
        inside = (positions >= -1) & (positions <= length)
        nearest = np.clip(positions, 0, length - 1)
        return np.clip(1 - np.abs(nearest[:, None] - np.arange(length)), 0, None) * inside[:, None]

    result = np.zeros((len(rois), maps.shape[1], *size))
    for box, (image, x1, y1, x2, y2) in enumerate(rois.astype(np.float64)):
        start = np.array([y1, x1]) * scale - 0.5 * aligned
        extent = np.array([y2 - y1, x2 - x1]) * scale
        cell = (extent if aligned else np.maximum(extent, 1)) / size
        counts = [ratio or math.ceil(side) for side in cell]
        for place in itertools.product(*(range(length) for length in size)):
            weights = [
                hats(start[axis] + cell[axis] * (place[axis] + (np.arange(count) + 0.5) / count), maps.shape[2 + axis])
                for axis, count in enumerate(counts)
            ]
            values = np.einsum("iy,jx,cyx->c", *weights, maps[int(image)].astype(np.float64))
            result[(box, slice(None), *place)] = values / max(1, math.prod(counts))
    return result


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_random_maps_as_by_the_definition(aligned: bool, ratio: int, layout: torch.memory_format) -> None:
    """Boxes of all sizes, some of them over the border. float32 sums of at most 100 values of about 1: 1e-5."""
    draw = np.random.default_rng(3 + ratio + aligned)
    maps = draw.standard_normal((2, 4, 11, 14)).astype(np.float32)
    corner = draw.uniform(-40, 180, (40, 2))
    rois = np.concatenate([draw.integers(0, 2, (40, 1)), corner, corner + draw.uniform(0, 150, (40, 2))], axis=1)
    rois = rois.astype(np.float32)
    layer = mmcv.ops.RoIAlign((3, 5), spatial_scale=1 / 16, sampling_ratio=ratio, aligned=aligned)
    pooled = layer(torch.tensor(maps).to(memory_format=layout), torch.tensor(rois))
    expected = by_hats(maps, rois, (3, 5), 1 / 16, ratio, aligned)
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=0, atol=1e-5)
    assert np.abs(expected).max() > 0.5


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_the_gradient_is_that_of_finite_differences(aligned: bool, ratio: int) -> None:
    draw = torch.Generator().manual_seed(5)
    maps = torch.randn(2, 2, 5, 6, generator=draw, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 1, 1, 9, 7], [1, -3, 2, 5.5, 11], [0, 3, 3, 4, 4]], dtype=torch.float64)
    layer = mmcv.ops.RoIAlign((2, 3), spatial_scale=0.5, sampling_ratio=ratio, aligned=aligned)
    assert torch.autograd.gradcheck(lambda values: layer(values, rois), (maps,))


def gradient(maps: torch.Tensor, rois: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    maps = maps.clone().requires_grad_()
    pooled = mmcv.ops.RoIAlign(3, spatial_scale=0.25)(maps, rois)
    (pooled * weights.to(pooled.dtype)).sum().backward()
    assert maps.grad is not None
    return pooled.detach(), maps.grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_computed_in_float32_and_rounded_once(dtype: torch.dtype) -> None:
    """The boxes stay float32, as in mmdet: in bfloat16 the corner 1001 would be 1000."""
    draw = torch.Generator().manual_seed(7)
    maps = torch.randn(1, 3, 8, 300, generator=draw).to(dtype)
    rois, weights = torch.tensor([[0.0, 1001, 3, 1021, 29]]), torch.randn(1, 3, 3, 3, generator=draw).to(dtype)
    pooled, slopes = gradient(maps, rois, weights)
    expected, expected_slopes = gradient(maps.float(), rois, weights.float())
    assert pooled.dtype == slopes.dtype == dtype
    assert torch.equal(pooled, expected.to(dtype))
    assert torch.equal(slopes, expected_slopes.to(dtype))


def test_it_trains_under_autocast() -> None:
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = convolution(torch.randn(1, 3, 8, 8))
        pooled = mmcv.ops.RoIAlign(2)(maps, torch.tensor([[0.0, 1, 1, 6, 6]]))
    assert maps.dtype == pooled.dtype == torch.bfloat16
    pooled.float().sum().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.abs().sum() > 0


def test_no_boxes_pool_to_nothing_and_have_no_gradient() -> None:
    pooled, slopes = gradient(torch.ones(1, 2, 8, 8), torch.empty(0, 5), torch.ones(()))
    assert pooled.shape == (0, 2, 3, 3)
    assert slopes.shape == (1, 2, 8, 8)
    assert slopes.abs().sum() == 0
