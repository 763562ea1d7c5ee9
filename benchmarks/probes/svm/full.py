"""The full protocol: one SVM a class on all rows, its cost chosen by cross-validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from benchmarks.probes.svm.data import SvmData, SvmSettings
from benchmarks.probes.svm.solver import Fits, SvmSolver


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """The full SVM of one class.

    Args:
        ap: Test AP between 0 and 1; None where the class cannot be evaluated.
        cost: The chosen cost; None likewise.
        reason: Why there is no value.
        cross_validation: Mean AP over the folds for each cost.
        skipped_folds: Folds that lacked positives or negatives.
        unconverged: Fits of liblinear that stopped at ``max_iter``.
        gap: Largest relative duality gap of the exact solver's fits.
    """

    ap: float | None
    cost: float | None
    reason: str = ""
    cross_validation: tuple[float, ...] = ()
    skipped_folds: int = 0
    unconverged: int = 0
    gap: float | None = None


def make_solver(data: SvmData, settings: SvmSettings, processes: int) -> SvmSolver:
    """The solver that the settings name, on the features of one layer."""
    from benchmarks.probes.svm.exact import ExactSolver
    from benchmarks.probes.svm.liblinear import LiblinearSolver

    solvers: dict[str, type[ExactSolver] | type[LiblinearSolver]] = {
        "exact": ExactSolver,
        "liblinear": LiblinearSolver,
    }
    return solvers[settings.solver](data, settings, processes)


def full_svm(data: SvmData, settings: SvmSettings, processes: int) -> list[ClassResult]:
    """Cross-validates, fits and tests each class.

    Every row trains. The cost is the first with the best mean cross-validated AP; the final fit is made at that cost
    only, where the reference makes one at each cost and then chooses, which gives the same number.

    Args:
        data: Features and labels.
        settings: Costs, folds and solver.
        processes: How many tasks at a time; the results do not depend on it.

    Returns:
        One result a class, in the order of the columns of the labels.

    Raises:
        HarnessError: A feature is not finite, or a problem has no certificate.
    """
    data.require_finite()
    results = [ClassResult(None, None, _why_not(data, c, settings.folds)) for c in range(data.train_labels.shape[1])]
    usable = [index for index, result in enumerate(results) if not result.reason]
    if not usable:
        return results
    solver = make_solver(data, settings, processes)
    for index, folds in solver.cross_validate(usable).items():
        results[index] = _choose(folds, settings)
    costs = {index: result.cost for index, result in enumerate(results) if result.cost is not None}
    for index, fits in solver.test(costs).items():
        (ap,) = fits.aps or (None,)
        unconverged = results[index].unconverged + fits.unconverged
        gap = None if fits.gap is None else max(fits.gap, results[index].gap or 0.0)
        results[index] = dataclasses.replace(results[index], ap=ap, unconverged=unconverged, gap=gap)
    return results


def _why_not(data: SvmData, index: int, folds: int) -> str:
    """Why a class cannot be evaluated; empty where it can."""
    train, test = data.train_labels[:, index], data.test_labels[:, index]
    positives = int((train == 1).sum())
    if positives < 2 or len(train) - positives < 2:
        return f"{positives} positives and {len(train) - positives} negatives in training: cross-validation needs 2"
    if len(train) < folds:
        return f"{len(train)} images for {folds} folds"
    return "" if (test == 1).any() else "no positive in the test split"


def _choose(folds: Sequence[Fits], settings: SvmSettings) -> ClassResult:
    """Picks the cost with the best mean over the folds that count; the first of equals."""
    scores = [fold.aps for fold in folds if fold.aps is not None]
    skipped, unconverged = len(folds) - len(scores), sum(fold.unconverged for fold in folds)
    if not scores:
        return ClassResult(None, None, "no fold has positives and negatives on both sides", (), skipped, unconverged)
    means = np.mean(scores, axis=0)
    cost = settings.costs[int(np.argmax(means))]
    gap = max((fold.gap for fold in folds if fold.gap is not None), default=None)
    return ClassResult(None, cost, "", tuple(means.tolist()), skipped, unconverged, gap)
