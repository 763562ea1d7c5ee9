"""The loss over training, for what is trained without being evaluated."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from benchmarks.toolbox.modules.hooks import EVALUATIONS, evaluations
from results.errors import HarnessError

LOSS = "loss"
"""Name under which the mean loss of an epoch is kept."""


@HOOKS.register_module()
class KeepLosses(Hook):
    """Keeps the mean loss of every epoch where evaluations are kept, and so in every checkpoint."""

    # Before the checkpoint of the epoch is written.
    priority = "NORMAL"

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []

    def before_train_epoch(self, runner: Any) -> None:
        """Begins a mean."""
        self._losses = []

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Takes the loss of one batch."""
        self._losses.append(torch.as_tensor((outputs or {})[LOSS]).detach().float())

    def after_train_epoch(self, runner: Any) -> None:
        """Keeps the mean over the batches.

        Raises:
            HarnessError: It is not finite: what comes after would be worth nothing.
        """
        epoch, mean = int(runner.epoch) + 1, float(torch.stack(self._losses).mean())
        if not torch.isfinite(torch.tensor(mean)):
            raise HarnessError(
                f"the loss is {mean} in epoch {epoch}: the training diverged",
                "learning_rate",
                "give a lower one with --set CONFIG.learning_rate=VALUE, or --numerics precision=fp32",
            )
        runner.message_hub.update_info(EVALUATIONS, [*evaluations(runner), [epoch, {LOSS: mean}]])
