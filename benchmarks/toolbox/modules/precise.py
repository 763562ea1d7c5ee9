"""PreciseBN: before an evaluation every trained BatchNorm gets the statistics that the present weights give it.

The running averages of training belong to weights that have changed since (Wu and Johnson 2021, arXiv:2105.07576).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.toolbox.modules.hooks import SESSION, seed_network, unshared
from benchmarks.toolbox.modules.images import UnreadableImage
from benchmarks.toolbox.parts import split

PRECISE = 2
"""Tells what is drawn here from what training draws (:data:`benchmarks.toolbox.modules.hooks.NETWORK`)."""


@torch.no_grad()
def update_statistics(model: torch.nn.Module, forward: Callable[[Any], Any], batches: Iterable[Any]) -> None:
    """Replaces running means and variances by the mean of those of several batches.

    Every batch counts alike, and its variance is the unbiased one, which is what torch's running variance follows:
    fvcore ``fvcore/nn/precise_bn.py`` as it was when MoCo's detection was published.

    Args:
        model: Those of its BatchNorms that are in training mode are updated; nothing else is changed.
        forward: Sends a batch through the model.
        batches: At least one.
    """
    norms = [part for part in model.modules() if isinstance(part, _BatchNorm) and part.training]
    averages = [_Average(norm) for norm in norms]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            # The running average is then the last batch's.
            norm.momentum = 1.0
        for batch in batches:
            forward(batch)
            for average in averages:
                average.add()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    for average in averages:
        average.store()


class _Average:
    """Mean of what one BatchNorm saw, summed in float64."""

    def __init__(self, norm: Any) -> None:
        self.buffers = (norm.running_mean, norm.running_var)
        self.sums = [torch.zeros_like(buffer, dtype=torch.float64) for buffer in self.buffers]
        self.count = 0

    def add(self) -> None:
        """Takes the statistics of the last batch."""
        for total, buffer in zip(self.sums, self.buffers, strict=True):
            total += buffer
        self.count += 1

    def store(self) -> None:
        """Writes the mean into the BatchNorm."""
        for total, buffer in zip(self.sums, self.buffers, strict=True):
            buffer.copy_(total / self.count)


@HOOKS.register_module()
class PreciseBatchNorm(Hook):
    """Recomputes the statistics of trained BatchNorms before each evaluation (detectron2 ``engine/hooks.py``).

    What it finds is a function of the weights and the seed alone: training images in an order of their own, always from
    its beginning, and regions drawn by the number of the batch. So an evaluation that is made up for after an
    interruption is the one that was cut off. Batches are those of training, over all ranks and in its parts; all is
    computed in float32, as the evaluation is.

    Args:
        iterations: Batches.
        seed: Seed of the job, from 0 on.
    """

    def __init__(self, iterations: int, seed: int) -> None:
        self.iterations = iterations
        self.seed = seed

    def before_val(self, runner: Any) -> None:
        """Updates the model that is about to be evaluated."""
        model = unshared(runner.model)
        model.train()

        def forward(data: Any) -> None:
            model(**model.data_preprocessor(data, True), mode="loss")

        update_statistics(model, forward, self._batches(runner))

    def _batches(self, runner: Any) -> Iterator[Any]:
        """This rank's share of every batch, in the parts that it is trained in."""
        # Made here, since most jobs that are resumed never come to it twice.
        batches = iter(self._loader(runner))
        for number in range(self.iterations):
            batch = next(batches)
            if isinstance(batch, UnreadableImage):
                raise batch.error()
            # After the images: they seed the same generators.
            seed_network(runner.rank, self.seed, number, PRECISE)
            yield from split(batch, runner.cfg[SESSION]["parts"])

    def _loader(self, runner: Any) -> Any:
        """Training images in another order and drawn otherwise than in training."""
        seed = int(np.random.SeedSequence((self.seed, PRECISE)).generate_state(1)[0])
        images = copy.copy(runner.train_dataloader.dataset)
        images.seed = seed
        settings = dict(runner.cfg["train_dataloader"])
        return runner.build_dataloader(
            {**settings, "dataset": images, "num_workers": 0, "persistent_workers": False}, seed=seed
        )
