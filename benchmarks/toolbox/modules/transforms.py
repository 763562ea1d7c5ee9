"""Transforms of training pipelines: the seed of a sample, and PCA lighting."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SeedSample:
    """Makes the randomness of a sample a function of (seed, epoch, index, view).

    First transform of every training pipeline. What follows draws from Python's, numpy's and torch's generators, so
    that neither the number of workers nor their order, neither batches nor a resumed job change a sample.

    Args:
        seed: Seed of the job, from 0 on.
        view: Number of the view, where a sample has several.
    """

    def __init__(self, seed: int, view: int = 0) -> None:
        self.seed = seed
        self.view = view
        # In shared memory, because persistent workers keep the copy of the pipeline that they started with.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch is trained, to this process and to its workers."""
        self._epoch.fill_(epoch)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Seeds the generators of this process; the sample stays as it is."""
        words = np.random.SeedSequence(
            (self.seed, int(self._epoch.item()), results["sample_idx"], self.view)
        ).generate_state(3, np.uint64)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]) % 2**32)
        # Only the CPU's generator: torch.manual_seed would also touch the GPUs'.
        torch.default_generator.manual_seed(int(words[2]))
        return results


@TRANSFORMS.register_module()
class PCALighting:
    """Lighting noise along the principal components of ImageNet's colours (Krizhevsky et al. 2012, section 4.1).

    With pixels in [0, 1] it adds ``sum_i eigenvectors[:, i] * alpha_i * eigenvalues[i]``, alpha ~ N(0, std), to every
    pixel; nothing is clipped, so that nothing can wrap around. mmpretrain's ``Lighting`` casts back to 8 bits.

    Args:
        eigenvalues: Three, for pixels in [0, 1].
        eigenvectors: 3 x 3, one row for each of R, G, B.
        std: Standard deviation of alpha.
    """

    def __init__(self, eigenvalues: Sequence[float], eigenvectors: Sequence[Sequence[float]], std: float) -> None:
        self.directions = np.array(eigenvectors, dtype=np.float64) * np.array(eigenvalues, dtype=np.float64)
        self.std = std

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces ``img``, BGR uint8 [h, w, 3], by float32 in units of 0 to 255."""
        shift = self.directions @ np.random.normal(0.0, self.std, size=3)
        results["img"] = results["img"].astype(np.float32) + (255.0 * shift[::-1]).astype(np.float32)
        return results
