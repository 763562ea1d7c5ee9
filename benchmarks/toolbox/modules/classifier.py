"""The network: mmpretrain's ResNet with five feature maps, and a classifier that keeps the trained part in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from mmpretrain.models import ImageClassifier, ResNet

from benchmarks.toolbox.config import AUTOCAST

IMAGES_AT_A_TIME = 256
"""So many images of a batch go through the frozen backbone together: its memory does not grow with the batch."""


@MODELS.register_module()
class FeatureMapsResNet(ResNet):
    """A ResNet that gives its stem before max-pooling and its four stages.

    Its tensors have the canonical names. It does not initialise them: they come from the canonical backbone only.
    """

    def init_weights(self) -> None:
        """Leaves the weights alone; mmpretrain's version would set BatchNorm weights to zero."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Computes the maps.

        Args:
            images: Float [n, 3, height, width], input convention applied.

        Returns:
            ``feature1`` [n, 64, h/2, w/2], after ReLU, to ``feature5`` [n, 2048, h/32, w/32].
        """
        stem = self.relu(self.norm1(self.conv1(images)))
        maps = [stem]
        features = self.maxpool(stem)
        for name in self.res_layers:
            features = getattr(self, name)(features)
            maps.append(features)
        return tuple(maps)


@MODELS.register_module()
class FeatureClassifier(ImageClassifier):
    """A backbone under the job's numerics with a float32 head on its feature maps.

    mmengine's wrapper for mixed precision is not used: it refuses CPUs, and a frozen backbone has no gradients whose
    scale would need care.

    Args:
        precision: ``fp32``, ``bf16`` or ``amp``.
        channels_last: Memory format of the backbone and its input.
        compile_backbone: Whether ``torch.compile`` is used on the backbone.
        **parts: Arguments of mmpretrain's ``ImageClassifier``.
    """

    def __init__(
        self, precision: str = "fp32", channels_last: bool = False, compile_backbone: bool = False, **parts: Any
    ) -> None:
        super().__init__(**parts)
        self.precision = precision
        self.channels_last = channels_last
        if channels_last:
            self.backbone.to(memory_format=torch.channels_last)
        if compile_backbone:
            self.backbone.compile()

    def extract_feat(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature maps of a batch, float32.

        Args:
            inputs: Float [n, 3, height, width], input convention applied.
        """
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        kind = AUTOCAST.get((self.precision, inputs.device.type))
        dtype = None if kind is None else getattr(torch, kind)
        with torch.autocast(inputs.device.type, dtype=dtype, enabled=kind is not None):
            maps = self.backbone(inputs)
        return tuple(feature_map.float() for feature_map in maps)

    def pooled(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the head's classifiers see of a batch, by name of the classifier."""
        parts = [self.head.pool(self.extract_feat(some)) for some in inputs.split(IMAGES_AT_A_TIME)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def loss(self, inputs: torch.Tensor, data_samples: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Losses of the head on a batch."""
        losses: dict[str, torch.Tensor] = self.head.loss(self.pooled(inputs), data_samples)
        return losses

    def predict(self, inputs: torch.Tensor, data_samples: Sequence[Any], **_: Any) -> list[Any]:
        """The data samples of a batch with the head's scores in them."""
        samples: list[Any] = self.head.predict(self.pooled(inputs), data_samples)
        return samples
