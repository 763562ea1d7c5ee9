"""Linear classifiers on a frozen backbone: one on each of several pooled feature maps, or one on the averaged last map.

A head first pools, which has no parameters, and then classifies what was pooled.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional

from benchmarks.backbone import FEATURES
from benchmarks.pooling import GRID_POOLS, grid_pool
from benchmarks.toolbox.frozen import AVERAGE, AVERAGE_HEADS
from results.errors import HarnessError, did_you_mean

SCORES = "head_scores"
"""Field of a data sample that holds what its heads say: float32 [heads, classes] on the CPU."""


class PooledHead(nn.Module):
    """BatchNorm over the channels, a linear classifier.

    Args:
        channels: Of the pooled map.
        dimension: Length of the pooled map when it is flattened.
        classes: Outputs.
        norm: mmcv's config of the norm layer; None where there is none.
    """

    def __init__(self, channels: int, dimension: int, classes: int, norm: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.norm: nn.Module = nn.Identity() if norm is None else build_norm_layer(dict(norm), channels)[1]
        self.linear = nn.Linear(dimension, classes)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Scores, float [n, classes], of a pooled feature map, float [n, channels, h, w]."""
        scores: torch.Tensor = self.linear(self.norm(pooled).flatten(1))
        return scores


class LinearHeads(BaseModule):
    """Independent classifiers; the loss is the sum of their cross-entropies."""

    @abstractmethod
    def pool(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the classifiers see of the five feature maps, by name of the classifier."""

    @abstractmethod
    def forward(self, pooled: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Scores of every classifier, float [n, classes] by name, of what was pooled."""

    def loss(self, pooled: Mapping[str, torch.Tensor], data_samples: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Mean cross-entropy of every classifier; mmengine adds those whose name holds ``loss``."""
        labels = torch.cat([sample.gt_label for sample in data_samples])
        return {f"loss_{name}": functional.cross_entropy(scores, labels) for name, scores in self(pooled).items()}

    def predict(self, pooled: Mapping[str, torch.Tensor], data_samples: Sequence[Any]) -> list[Any]:
        """Puts the scores of all classifiers into the data samples, as field :data:`SCORES`."""
        scores = torch.stack(list(self(pooled).values()), dim=1).float().cpu()
        for sample, rows in zip(data_samples, scores, strict=True):
            sample.set_field(rows, SCORES)
        return list(data_samples)


@MODELS.register_module()
class MultiHead(LinearHeads):
    """One classifier on each of several feature maps (mmselfsup 0.x ``mmselfsup/models/heads/multi_cls_head.py``), and
    VISSL's on the average of the last one.

    Args:
        features: Which feature maps.
        classes: Outputs of every classifier.
        pooling: ``grid``.
        norm: mmcv's config of the norm layer.
        average_heads: Names of :data:`benchmarks.toolbox.frozen.AVERAGE_HEADS`.
        init_cfg: mmengine's config of the initialisation; without one it is torch's.
    """

    def __init__(
        self,
        features: Sequence[str],
        classes: int,
        pooling: str,
        norm: Mapping[str, Any],
        average_heads: Sequence[str] = (),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        for feature in features:
            if feature not in GRID_POOLS:
                raise HarnessError(f"unknown layer '{feature}'", "layers", did_you_mean(feature, GRID_POOLS))
        if pooling != "grid":
            raise HarnessError(f"unknown pooling '{pooling}'", "pooling", did_you_mean(pooling, ("grid",)))
        self.features = tuple(features)
        self.average_heads = tuple(average_heads)
        pools = {feature: GRID_POOLS[feature] for feature in features}
        self.heads = nn.ModuleDict(
            {feature: PooledHead(pool.channels, pool.dimension, classes, norm) for feature, pool in pools.items()}
        )
        width = GRID_POOLS["feature5"].channels
        for name in average_heads:
            self.heads[name] = PooledHead(width, width, classes, norm if AVERAGE_HEADS[name] else None)

    def pool(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Grids of the feature maps, float [n, channels, h, w] by feature; averages [n, 2048, 1, 1] by head."""
        by_name = dict(zip(FEATURES, maps, strict=True))
        grids = {feature: grid_pool(feature, by_name[feature]) for feature in self.features}
        return {**grids, **{name: maps[-1].mean(dim=(2, 3), keepdim=True) for name in self.average_heads}}

    def forward(self, pooled: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Scores of every classifier, float [n, classes] by name."""
        return {name: head(pooled[name]) for name, head in self.heads.items()}


@MODELS.register_module()
class AverageHead(LinearHeads):
    """One classifier on the global average of the last feature map.

    Args:
        classes: Outputs.
        init_cfg: mmengine's config of the initialisation.
    """

    def __init__(self, classes: int, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.linear = nn.Linear(GRID_POOLS["feature5"].channels, classes)

    def pool(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """``average``: float [n, 2048]."""
        return {AVERAGE: maps[-1].mean(dim=(2, 3))}

    def forward(self, pooled: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """``average``: scores, float [n, classes]."""
        return {AVERAGE: self.linear(pooled[AVERAGE])}
