"""One linear classifier on each feature map (``mmselfsup/models/heads/multi_cls_head.py`` of mmselfsup 0.x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn import functional

from benchmarks.backbone import FEATURES
from benchmarks.pooling import GRID_POOLS, grid_pool
from results.errors import HarnessError, did_you_mean

SCORES = "head_scores"
"""Field of a data sample that holds what its heads say: float32 [heads, classes] on the CPU."""


class GridHead(nn.Module):
    """Grid pooling, BatchNorm over the channels, a linear classifier.

    Args:
        feature: ``feature1`` to ``feature5``.
        classes: Outputs.
        norm: mmcv's config of the norm layer.
    """

    def __init__(self, feature: str, classes: int, norm: Mapping[str, Any]) -> None:
        super().__init__()
        self.feature = feature
        pool = GRID_POOLS[feature]
        self.norm: nn.Module = build_norm_layer(dict(norm), pool.channels)[1]
        self.linear = nn.Linear(pool.dimension, classes)

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        """Scores, float [n, classes], of a feature map, float [n, channels, h, w]."""
        pooled = self.norm(grid_pool(self.feature, feature_map))
        scores: torch.Tensor = self.linear(pooled.flatten(1))
        return scores


@MODELS.register_module()
class MultiHead(BaseModule):
    """Independent classifiers on several feature maps; the loss is the sum of their cross-entropies.

    Args:
        features: Which feature maps.
        classes: Outputs of every classifier.
        pooling: ``grid``.
        norm: mmcv's config of the norm layer.
        init_cfg: mmengine's config of the initialisation.
    """

    def __init__(
        self, features: Sequence[str], classes: int, pooling: str, norm: Mapping[str, Any], init_cfg: Any = None
    ) -> None:
        super().__init__(init_cfg)
        for feature in features:
            if feature not in GRID_POOLS:
                raise HarnessError(f"unknown layer '{feature}'", "layers", did_you_mean(feature, GRID_POOLS))
        if pooling != "grid":
            raise HarnessError(f"unknown pooling '{pooling}'", "pooling", did_you_mean(pooling, ("grid",)))
        self.features = tuple(features)
        self.heads = nn.ModuleDict({feature: GridHead(feature, classes, norm) for feature in features})

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Scores of every classifier, float [n, classes] by feature.

        Args:
            maps: The five feature maps.
        """
        by_name = dict(zip(FEATURES, maps, strict=True))
        return {feature: self.heads[feature](by_name[feature]) for feature in self.features}

    def loss(self, maps: Sequence[torch.Tensor], data_samples: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Mean cross-entropy of every classifier; mmengine adds those whose name holds ``loss``."""
        labels = torch.cat([sample.gt_label for sample in data_samples])
        return {f"loss_{feature}": functional.cross_entropy(scores, labels) for feature, scores in self(maps).items()}

    def predict(self, maps: Sequence[torch.Tensor], data_samples: Sequence[Any]) -> list[Any]:
        """Puts the scores of all classifiers into the data samples, as field :data:`SCORES`."""
        scores = torch.stack(list(self(maps).values()), dim=1).float().cpu()
        for sample, rows in zip(data_samples, scores, strict=True):
            sample.set_field(rows, SCORES)
        return list(data_samples)
