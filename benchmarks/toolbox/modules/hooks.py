"""What has to happen at certain moments of mmengine's loops."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from benchmarks.toolbox.modules.images import UnreadableImage
from benchmarks.toolbox.modules.transforms import SeedSample

EVALUATIONS = "evaluations"
"""Name under which the message hub, and so a checkpoint, keeps all evaluations: [[epoch, {metric: value}], ...]."""


@HOOKS.register_module()
class RefuseUnreadable(Hook):
    """Stops at the first batch with an image that cannot be read."""

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Looks at a training batch."""
        self._look_at(data_batch)

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Looks at a test batch."""
        self._look_at(data_batch)

    def _look_at(self, data_batch: Any) -> None:
        if isinstance(data_batch, UnreadableImage):
            raise data_batch.error()


@HOOKS.register_module()
class SetEpoch(Hook):
    """Tells :class:`SeedSample` which epoch begins."""

    def before_train_epoch(self, runner: Any) -> None:
        """Sets the epoch, counted from 0."""
        for transform in runner.train_dataloader.dataset.pipeline.transforms:
            if isinstance(transform, SeedSample):
                transform.set_epoch(runner.epoch)


@HOOKS.register_module()
class KeepEvaluations(Hook):
    """Keeps every evaluation, also over an interruption."""

    def before_train(self, runner: Any) -> None:
        """Makes up for an evaluation that was cut off: a checkpoint is written before its epoch is evaluated."""
        epoch, loop = runner.epoch, runner.train_loop
        due = epoch > 0 and (epoch % loop.val_interval == 0 or epoch == loop.max_epochs)
        if due and epoch not in [done for done, _ in evaluations(runner)]:
            runner.val_loop.run()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keeps one evaluation under the number of epochs that were trained."""
        kept = [*evaluations(runner), [runner.epoch, dict(metrics or {})]]
        runner.message_hub.update_info(EVALUATIONS, kept)


def evaluations(runner: Any) -> list[list[Any]]:
    """All evaluations of a runner so far, ``[epochs trained, {metric: value}]``, oldest first."""
    return list(runner.message_hub.runtime_info.get(EVALUATIONS, []))


@HOOKS.register_module()
class SlimCheckpoint(Hook):
    """Leaves all of the message hub but the evaluations out of checkpoints.

    The rest is set anew at every start, or is the history of logged numbers, which grows with every iteration. What
    remains is tensors and plain values, which the restricted loader takes without any further permission.
    """

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Replaces the hub's state in what is about to be written."""
        kept = evaluations(runner)
        checkpoint["message_hub"] = {
            "log_scalars": {},
            "runtime_info": {EVALUATIONS: kept},
            "resumed_keys": {EVALUATIONS: True},
        }
