"""BatchNorm over all ranks on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class RankedBatchNorm(_BatchNorm):
    """What torch's SyncBatchNorm computes, which refuses CPU tensors.

    Mean and variance over the joined batch come of all-reduces that gradients flow back through; running statistics
    move by the unbiased variance, as in ``torch/nn/modules/batchnorm.py``.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Any number of dimensions from two on, as SyncBatchNorm."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalises float [n, channels, ...] over images and pixels of all ranks; in evaluation by what is stored."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        count = all_reduce(input.new_tensor(float(input.numel() // input.shape[1])))
        mean = all_reduce(input.sum(axes)) / count
        centred = input - mean.view(shape)
        variance = all_reduce((centred * centred).sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * (count / (count - 1)))
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        if not self.affine:
            return normalised
        return normalised * self.weight.view(shape) + self.bias.view(shape)

    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def use_ranked_norms(module: Any) -> Any:
    """Puts a :class:`RankedBatchNorm` with the same tensors in place of every SyncBatchNorm.

    Args:
        module: Changed in place where it is not such a norm itself.

    Returns:
        The module, or what stands for it.
    """
    if isinstance(module, nn.SyncBatchNorm):
        norm = RankedBatchNorm(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
        )
        if module.affine:
            norm.weight, norm.bias = module.weight, module.bias
        norm.running_mean, norm.running_var = module.running_mean, module.running_var
        norm.num_batches_tracked = module.num_batches_tracked
        norm.training = module.training
        return norm
    for name, child in module.named_children():
        found = use_ranked_norms(child)
        if found is not child:
            setattr(module, name, found)
    return module
