"""Grid pooling against sums over windows, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.pooling import GRID_POOLS, GridPool, grid_pool

LAYERS = pytest.mark.parametrize("layer", GRID_POOLS)


def windows_written_out(image: NDArray[Any], pool: GridPool) -> NDArray[Any]:
    """Mean over every window of one channel, padded zeros counted, in float64."""
    side = image.shape[0] + 2 * pool.padding
    padded = np.zeros((side, side))
    padded[pool.padding : pool.padding + image.shape[0], pool.padding : pool.padding + image.shape[0]] = image
    starts = range(0, side - pool.kernel + 1, pool.stride)
    area = pool.kernel * pool.kernel
    return np.array([[padded[y : y + pool.kernel, x : x + pool.kernel].sum() / area for x in starts] for y in starts])


@LAYERS
def test_at_224_pixels(layer: str) -> None:
    pool = GRID_POOLS[layer]
    feature_map = torch.rand(2, 3, pool.map_size, pool.map_size, generator=torch.Generator().manual_seed(0))
    pooled = grid_pool(layer, feature_map)
    assert pooled.shape == (2, 3, pool.output, pool.output)
    for image, found in zip(feature_map.flatten(0, 1), pooled.flatten(0, 1), strict=True):
        # Means of at most 256 numbers below 1 in float32: rounding stays below 1e-6.
        np.testing.assert_allclose(found.numpy(), windows_written_out(image.double().numpy(), pool), atol=2e-6)


def test_the_sizes_are_those_of_a_resnet50_at_224_pixels() -> None:
    assert [pool.map_size for pool in GRID_POOLS.values()] == [224 // step for step in (2, 4, 8, 16, 32)]
    assert [pool.channels for pool in GRID_POOLS.values()] == [64, 256, 512, 1024, 2048]
    # 9216, 9216, 8192, 9216, 8192 as in multi_pooling.py.
    assert [pool.dimension for pool in GRID_POOLS.values()] == [9216, 9216, 8192, 9216, 8192]


@LAYERS
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (40, 30)])
def test_other_sizes_give_the_same_grid(layer: str, size: tuple[int, int]) -> None:
    pool = GRID_POOLS[layer]
    pooled = grid_pool(layer, torch.full((1, 2, *size), 3.0))
    assert pooled.shape == (1, 2, pool.output, pool.output)
    torch.testing.assert_close(pooled, torch.full_like(pooled, 3.0))


def test_adaptive_values() -> None:
    # 4x4 to 2x2 (feature5): means of the quarters.
    pooled = grid_pool("feature5", torch.arange(16.0).reshape(1, 1, 4, 4))
    assert pooled.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
