"""What the protocols ask of a solver, and the cross-validation that both solvers do alike."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.probes.average_precision import average_precisions
from benchmarks.probes.svm.data import Labels

Rows = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True)
class Fits:
    """Average precisions of one class at some costs, and how sure the fits behind them are.

    Args:
        aps: Between 0 and 1, one for each cost; None where a fold lacks a class on either side.
        unconverged: Fits of liblinear that stopped at ``max_iter``.
        gap: Largest relative duality gap of the exact solver's fits.
    """

    aps: tuple[float, ...] | None
    unconverged: int = 0
    gap: float | None = None


@dataclasses.dataclass(frozen=True)
class Sample:
    """One low-shot sample of every class.

    Args:
        k: Its positives a class.
        number: Number of the sample, from 0 on.
        rows: Of each class, training rows in rising order [k * (1 + negatives)].
    """

    k: int
    number: int
    rows: Mapping[int, Rows]


class SvmSolver(Protocol):
    """A way to fit all SVMs of the protocols on one layer."""

    def cross_validate(self, classes: Sequence[int]) -> dict[int, list[Fits]]:
        """Of each class and fold, AP on the rows held out at each cost."""

    def test(self, costs: Mapping[int, float]) -> dict[int, Fits]:
        """Of each class, test AP of the fit on all rows at its cost."""

    def low_shot(self, samples: Sequence[Sample]) -> list[dict[int, Fits]]:
        """Of each sample and class, test AP at each cost."""


def stratified_folds(targets: Labels, folds: int) -> list[tuple[Rows, Rows]]:
    """Training and held-out rows of scikit-learn's stratified folds, not shuffled: blocks of each class in order.

    Args:
        targets: int8 [n], 1 or -1.
        folds: How many.
    """
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        # Fewer positives than folds: such folds are skipped, and counted.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(StratifiedKFold(folds).split(targets, targets))


def is_usable(targets: Labels, train: Rows, held_out: Rows) -> bool:
    """Whether a fold has positives and negatives on both sides."""
    return len(np.unique(targets[train])) == 2 and len(np.unique(targets[held_out])) == 2


def aps_on_test(scores: npt.NDArray[Any], labels: Labels) -> tuple[float, ...]:
    """Test AP of float [costs, m] for one class, int8 [m], without the rows labelled -1."""
    known = labels != -1
    return tuple(average_precisions(scores[:, known], labels[known] == 1).tolist())
