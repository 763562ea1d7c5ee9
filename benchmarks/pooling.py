"""Pooling of the five feature maps to about 9,000 numbers each, as in the multi-head linear and SVM benchmarks.

Kernels, strides and paddings for 224-pixel images are those of ``mmselfsup/models/utils/multi_pooling.py``
(``specified``), after Goyal et al. 2019, arXiv:1905.01235.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class GridPool:
    """Average pooling of one feature map.

    Args:
        channels: Channels of the map.
        map_size: Side of the map for a 224-pixel image.
        kernel: Side of the window; padded zeros count in the mean.
        stride: Step of the window.
        padding: Zeros on each side.
        output: Side of the pooled map.
    """

    channels: int
    map_size: int
    kernel: int
    stride: int
    padding: int
    output: int

    @property
    def dimension(self) -> int:
        """Length of the pooled and flattened vector."""
        return self.channels * self.output * self.output


GRID_POOLS = {
    "feature1": GridPool(64, 112, 10, 10, 4, 12),
    "feature2": GridPool(256, 56, 16, 8, 0, 6),
    "feature3": GridPool(512, 28, 13, 5, 0, 4),
    "feature4": GridPool(1024, 14, 8, 3, 0, 3),
    "feature5": GridPool(2048, 7, 6, 1, 0, 2),
}


def grid_pool(layer: str, feature_map: torch.Tensor) -> torch.Tensor:
    """Pools one feature map to its grid.

    At 224 pixels this is the published window. A map of another size (the smoke profile's smaller images) is pooled
    adaptively to the same grid, so that the probe's dimensions stay the published ones.

    Args:
        layer: ``feature1`` to ``feature5``.
        feature_map: Float [n, channels, h, w].

    Returns:
        Float [n, channels, output, output].
    """
    from torch.nn import functional

    pool = GRID_POOLS[layer]
    if feature_map.shape[-2:] == (pool.map_size, pool.map_size):
        return functional.avg_pool2d(feature_map, pool.kernel, pool.stride, pool.padding)
    return functional.adaptive_avg_pool2d(feature_map, pool.output)
