"""The handwritten digits, parted once into those for training and those for testing."""

from __future__ import annotations

import dataclasses
import functools
import zlib

import numpy as np
import numpy.typing as npt

CLASSES = 10
TEST_ONE_IN = 3
"""Of each digit's samples every third goes to the test side, so that neighbours (one writer) fall on both sides."""


@functools.cache
def load() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The digits of scikit-learn.

    Returns:
        Ink as float32 [1797, 8, 8] from 0 to 1, and the digit each shows as int64 [1797].
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images / 16.0).astype(np.float32), bunch.target.astype(np.int64)


def pool(side: str) -> tuple[tuple[int, ...], ...]:
    """Indices of the samples of each digit on one side.

    Args:
        side: ``train`` or ``test``.

    Returns:
        Ten tuples of indices into :func:`load`.
    """
    _, shown = load()
    pools = []
    for digit in range(CLASSES):
        samples = np.flatnonzero(shown == digit).tolist()
        tested = set(samples[::TEST_ONE_IN])
        pools.append(tuple(index for index in samples if (index in tested) == (side == "test")))
    return tuple(pools)


def generator(*names: str) -> np.random.Generator:
    """Random numbers that depend on the names alone."""
    return np.random.default_rng([zlib.crc32(name.encode()) for name in names])


@dataclasses.dataclass
class Dealer:
    """Deals the samples of one side in random order; none comes twice before all of its digit have come.

    Args:
        side: ``train`` or ``test``.
        random: Decides the order.
    """

    side: str
    random: np.random.Generator
    _stacks: dict[int, list[int]] = dataclasses.field(default_factory=dict)

    def deal(self, digit: int) -> int:
        """Index of a sample that shows ``digit``."""
        stack = self._stacks.setdefault(digit, [])
        if not stack:
            stack.extend(self.random.permutation(pool(self.side)[digit]).tolist())
        return stack.pop()
