"""Which sample comes when, and what is random in it: functions of the seed, whatever the workers and restarts.

A sampler hands out *draws*: ``epoch * images + index``. :class:`DrawnSamples` takes them apart again and seeds the
generators, so that a sample's randomness is a function of (seed, epoch, index). The order of an epoch is a function of
(seed, epoch), and a run that goes on after an interruption passes over the batches that were trained, without
reading them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Sampler

from benchmarks.toolbox.modules.images import Unreadable


def seed_generators(*words: int) -> None:
    """Seeds Python's, numpy's and torch's CPU generator of this process; numbers from 0 on."""
    state = np.random.SeedSequence(words).generate_state(3, np.uint64)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]) % 2**32)
    # Only the CPU's generator: torch.manual_seed would also touch the GPUs'.
    torch.default_generator.manual_seed(int(state[2]))


@DATASETS.register_module()
class DrawnSamples:
    """A data set whose samples are asked for by draw.

    An image that cannot be read comes out as :class:`UnreadableImage`.

    Args:
        dataset: Config of the data set.
        seed: Seed of the job, from 0 on; None where its pipeline is not random.
    """

    def __init__(self, dataset: dict[str, Any], seed: int | None = None) -> None:
        self.dataset = DATASETS.build(dataset)
        self.seed = seed

    @property
    def metainfo(self) -> Any:
        """What the toolbox knows of the data set."""
        return self.dataset.metainfo

    @property
    def pipeline(self) -> Any:
        """Transforms of the data set; of the first one where it is made of several."""
        return getattr(self.dataset, "pipeline", None) or self.dataset.datasets[0].pipeline

    def full_init(self) -> None:
        """Reads the lists."""
        self.dataset.full_init()

    def get_data_info(self, index: int) -> Any:
        """What the lists say of an image."""
        return self.dataset.get_data_info(index)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: int) -> Any:
        epoch, index = divmod(draw, len(self))
        if self.seed is not None:
            seed_generators(self.seed, epoch, index)
        try:
            return self.dataset[index]
        except Unreadable as error:
            return error.image


def aspect_groups(dataset: Any) -> list[int]:
    """0 for every image that is higher than wide, 1 for the others, in the order of the data set."""
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return [int(info["width"] >= info["height"]) for info in infos]


@DATA_SAMPLERS.register_module()
class SeededOrder(Sampler[int]):
    """Draws of one epoch in random order.

    Args:
        dataset: Whose images are drawn.
        seed: Seed of the job, from 0 on.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch is drawn next, from 0 on."""
        self.epoch = epoch

    def draws(self, epoch: int) -> list[int]:
        """All draws of an epoch."""
        count = len(self.dataset)
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, epoch)))).permutation(count)
        return [epoch * count + index for index in order.tolist()]

    def __iter__(self) -> Iterator[int]:
        return iter(self.draws(self.epoch))

    def __len__(self) -> int:
        return len(self.dataset)


@DATA_SAMPLERS.register_module()
class SeededBatches(Sampler[list[int]]):
    """Batches of draws.

    Args:
        sampler: Order of an epoch.
        batch_size: Images a batch.
        endless: Whether one epoch follows the other without end, and a batch may reach over its border, as in training
            by iterations; else one epoch is drawn, whose last batch may be smaller.
        by_aspect: Whether a batch holds either high or wide images only, so that little is padded; what is left of an
            epoch at its end is joined all the same (``mmdet/datasets/samplers/batch_sampler.py``).
        rank: Which part of every batch is this process's.
        ranks: How many equal parts there are.
        multiple: Of so many images an epoch is made, a multiple of ``ranks``, by drawing its first images again: what
            mmengine's sampler does for the published number of ranks (``mmengine/dataset/sampler.py``, ``round_up``).
    """

    def __init__(
        self,
        sampler: SeededOrder,
        batch_size: int,
        endless: bool = False,
        by_aspect: bool = False,
        rank: int = 0,
        ranks: int = 1,
        multiple: int = 1,
    ) -> None:
        if batch_size % ranks or multiple % ranks:
            raise ValueError(f"batches of {batch_size} images cannot be shared by {ranks} ranks")
        self.sampler = sampler
        self.batch_size = batch_size
        self.endless = endless
        self.by_aspect = by_aspect
        self.rank = rank
        self.ranks = ranks
        self.multiple = multiple
        self.skip = 0
        """How many batches are passed over at the next beginning."""

    def __iter__(self) -> Iterator[list[int]]:
        skipped, self.skip = self.skip, 0
        for batch in itertools.islice(self._batches(), skipped, None):
            share = len(batch) // self.ranks
            yield batch[self.rank * share : (self.rank + 1) * share]

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def _draws(self) -> Iterator[int]:
        if self.endless:
            return itertools.chain.from_iterable(self.sampler.draws(epoch) for epoch in itertools.count())
        draws = list(self.sampler)
        wanted = -(-len(draws) // self.multiple) * self.multiple
        return itertools.islice(itertools.cycle(draws), wanted)

    def _batches(self) -> Iterator[list[int]]:
        count = len(self.sampler)
        groups = aspect_groups(self.sampler.dataset) if self.by_aspect else [0] * count
        waiting: tuple[list[int], list[int]] = ([], [])
        for draw in self._draws():
            group = waiting[groups[draw % count]]
            group.append(draw)
            if len(group) == self.batch_size:
                yield group[:]
                group.clear()
        left = waiting[0] + waiting[1]
        yield from (left[start : start + self.batch_size] for start in range(0, len(left), self.batch_size))
