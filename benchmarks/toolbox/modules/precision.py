"""Training in reduced precision, on GPUs and CPUs alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from benchmarks.toolbox.config import AUTOCAST

SCALER = "loss_scaler"
"""Entry of a checkpoint's optimiser that holds the state of the loss scale."""


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Forward under autocast; the loss is scaled where that is float16. mmengine's own wrapper refuses CPUs.

    Args:
        precision: ``fp32``, ``bf16`` or ``amp``.
        device: ``cpu`` or ``cuda``.
        **options: Arguments of mmengine's ``OptimWrapper``.
    """

    def __init__(self, precision: str, device: str, **options: Any) -> None:
        super().__init__(**options)
        self._device = device
        self._kind = AUTOCAST.get((precision, device))
        self._scaler = torch.amp.GradScaler(device, enabled=self._kind == "float16")

    @contextlib.contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """The forward pass of a training step."""
        dtype = None if self._kind is None else getattr(torch, self._kind)
        autocast = torch.autocast(self._device, dtype=dtype, enabled=dtype is not None)
        with super().optim_context(model), autocast:
            yield

    def backward(self, loss: torch.Tensor, **options: Any) -> None:
        """Adds gradients of the scaled loss."""
        super().backward(self._scaler.scale(loss), **options)

    def step(self, **options: Any) -> None:
        """Takes the step, unless a gradient overflowed, and adapts the scale."""
        if self.clip_grad_kwargs:
            self._scaler.unscale_(self.optimizer)
            self._clip_grad()
        self._scaler.step(self.optimizer, **options)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """State of the optimiser and of the scale."""
        return {**super().state_dict(), SCALER: self._scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        rest = dict(state_dict)
        scale = rest.pop(SCALER, None)
        if scale:
            self._scaler.load_state_dict(scale)
        super().load_state_dict(rest)
