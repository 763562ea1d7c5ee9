"""What has to happen at certain moments of mmengine's loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from benchmarks.toolbox.modules.images import UnreadableImage

EVALUATIONS = "evaluations"
"""Name under which the message hub, and so a checkpoint, keeps all evaluations: [[progress, {metric: value}], ...]."""

SESSION = "session"
"""Entry of a config that says how this one process runs it: device, what is trained from, parts of a batch."""

NETWORK = 1
"""Tells what the network draws from what samples draw (:mod:`benchmarks.toolbox.modules.samples`)."""


def progress(runner: Any) -> int:
    """How far training is: iterations where it goes by iterations, else epochs."""
    return int(runner.iter if by_iteration(runner) else runner.epoch)


def by_iteration(runner: Any) -> bool:
    """Whether training goes by iterations and not by epochs."""
    return bool(runner.cfg["train_cfg"].get("type") == "IterBasedTrainLoop")


def unshared(model: Any) -> Any:
    """The model itself, where it is wrapped to be shared by ranks."""
    return model.module if is_model_wrapper(model) else model


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
class KeepEvaluations(Hook):
    """Keeps every evaluation, also over an interruption."""

    def before_train(self, runner: Any) -> None:
        """Makes up for an evaluation that was cut off: a checkpoint is written before what it holds is evaluated."""
        done, loop = progress(runner), runner.train_loop
        if runner.val_loop is None:
            return
        end = loop.max_iters if by_iteration(runner) else loop.max_epochs
        due = done > 0 and (done % loop.val_interval == 0 or done == end)
        if due and done not in [when for when, _ in evaluations(runner)]:
            runner.val_loop.run()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keeps one evaluation under the progress at which it was made."""
        kept = [*evaluations(runner), [progress(runner), plain_numbers(metrics or {})]]
        runner.message_hub.update_info(EVALUATIONS, kept)


def plain_numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Metrics as Python floats; numpy's would not pass the restricted reader of checkpoints."""
    return {name: float(value) for name, value in metrics.items()}


def evaluations(runner: Any) -> list[list[Any]]:
    """All evaluations of a runner so far, ``[progress, {metric: value}]``, oldest first."""
    return list(runner.message_hub.runtime_info.get(EVALUATIONS, []))


def seed_network(rank: int, *words: int) -> None:
    """Seeds what the network draws from, on all devices; ranks draw differently.

    Args:
        rank: Of this process.
        *words: Numbers from 0 on.
    """
    place = (rank,) if rank else ()
    state = np.random.SeedSequence((*words, *place)).generate_state(2, np.uint64)
    np.random.seed(int(state[0]) % 2**32)
    torch.manual_seed(int(state[1]) % 2**63)


@HOOKS.register_module()
class SeedIteration(Hook):
    """Makes what is random in the network a function of (seed, iteration), so that a resumed job draws the same.

    Args:
        seed: Seed of the job, from 0 on.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seeds all generators of this process; the batch is there already."""
        seed_network(runner.rank, self.seed, runner.iter, NETWORK)


@HOOKS.register_module()
class SlimCheckpoint(Hook):
    """Leaves all of the message hub but the evaluations out of checkpoints, and what the toolbox says of the data.

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
        checkpoint["meta"].pop("dataset_meta", None)
