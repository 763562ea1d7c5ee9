"""SVM problems as the exact solver takes them: targets and penalties, many at once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.probes.svm.data import Floats, Labels, SvmSettings

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class Problems:
    """Problems on the same rows.

    Args:
        targets: Float64 [problems, rows], 1 or -1.
        penalties: Float64 [problems, rows], d_i = 2 C c_i; 0 where the row is not part of the problem.
    """

    targets: torch.Tensor
    penalties: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, chosen: torch.Tensor) -> Problems:
        return Problems(self.targets[chosen], self.penalties[chosen])


def penalties(targets: Labels, costs: npt.ArrayLike, settings: SvmSettings) -> Floats:
    """Penalties d = 2 C c: of int8 [..., n] and costs that broadcast against it."""
    weights = np.where(targets == 1, settings.positive_weight, settings.negative_weight)
    return np.asarray(2.0 * np.asarray(costs) * weights)


def on_device(array: npt.NDArray[np.generic], settings: SvmSettings) -> torch.Tensor:
    """Float64, on the device of the settings."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64)).to(settings.device)
