"""What the SVM protocols are given: settings, features, labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from results.errors import HarnessError

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


@dataclasses.dataclass(frozen=True)
class SvmSettings:
    """What one fit and the choice of its cost need; names as in scikit-learn's LinearSVC where it has one.

    Args:
        costs: Values of C, in the order in which ties are resolved.
        folds: Folds of the cross-validation.
        positive_weight: Class weight of the positives.
        negative_weight: Class weight of the negatives.
        tol: Stopping tolerance of liblinear; the exact solver has its own certificate.
        max_iter: Largest number of liblinear's passes.
        intercept_scaling: Value of the constant feature that stands for the bias.
        seed: Seed of liblinear and of the low-shot samples.
        solver: ``exact`` or ``liblinear``.
        device: Where the exact solver computes, ``cpu`` or ``cuda``.
    """

    costs: tuple[float, ...]
    folds: int
    positive_weight: float
    negative_weight: float
    tol: float
    max_iter: int
    intercept_scaling: float
    seed: int
    solver: str = "exact"
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class SvmData:
    """Features and labels of both splits.

    Args:
        train: Float64 [n, d], rows normalised.
        train_labels: int8 [n, classes]: 1 present, 0 absent, -1 only difficult objects.
        test: Float64 [m, d], rows normalised.
        test_labels: int8 [m, classes].
        classes: Names of the classes.
    """

    train: Floats
    train_labels: Labels
    test: Floats
    test_labels: Labels
    classes: tuple[str, ...]

    def require_finite(self) -> None:
        """Refuses features from which no solver can learn.

        Raises:
            HarnessError: A feature is NaN or infinite.
        """
        for split, rows in (("training", self.train), ("test", self.test)):
            finite = np.isfinite(rows).all(axis=1)
            if not finite.all():
                raise HarnessError(
                    f"{int((~finite).sum())} of {len(rows)} {split} rows are not finite, first row {finite.argmin()}",
                    "features",
                    "extract them with --numerics precision=fp32; where they stay so, the checkpoint diverged",
                )


def normalise_rows(features: npt.NDArray[np.float32], epsilon: float) -> Floats:
    """Divides each row by its Euclidean norm plus ``epsilon``, in float64; [n, d] to [n, d]."""
    rows = features.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + epsilon
    return rows


def signs(labels: Labels) -> Labels:
    """Training targets: 1 stays, 0 (absent) and -1 (only difficult objects) become -1."""
    return np.where(labels == 1, 1, -1).astype(np.int8)


def shortened(parts: Sequence[str], limit: int = 3) -> str:
    """Joins the first few parts and says how many more there are."""
    more = len(parts) - limit
    return ", ".join(parts[:limit]) + (f" and {more} more" if more > 0 else "")
