"""All SVMs by scikit-learn's LinearSVC, one fit after the other: the reference of the exact solver."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.probes.parallel import run_tasks
from benchmarks.probes.svm.data import Floats, Labels, SvmData, SvmSettings, signs
from benchmarks.probes.svm.solver import Fits, Rows, Sample, aps_on_test, is_usable, stratified_folds


def fit(rows: Floats, targets: Labels, cost: float, settings: SvmSettings) -> Any:
    """Fits one LinearSVC; that it stops at ``max_iter`` is expected at large costs and no warning.

    Args:
        rows: Float64 [n, d].
        targets: int8 [n], 1 or -1, both present.
        cost: C.
        settings: Everything else.

    Returns:
        The fitted ``sklearn.svm.LinearSVC``.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    model = LinearSVC(
        C=cost,
        class_weight={1: settings.positive_weight, -1: settings.negative_weight},
        penalty="l2",
        loss="squared_hinge",
        dual=True,
        tol=settings.tol,
        max_iter=settings.max_iter,
        intercept_scaling=settings.intercept_scaling,
        random_state=settings.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows, targets)


@dataclasses.dataclass(frozen=True)
class LiblinearSolver:
    """Fits by LinearSVC, in processes.

    Memory for each process: about three copies of the training features (a fold and liblinear's form of it).

    Args:
        data: Features and labels.
        settings: Costs, folds and liblinear's options.
        processes: How many fits at a time; the results do not depend on it.
    """

    data: SvmData
    settings: SvmSettings
    processes: int

    def cross_validate(self, classes: Sequence[int]) -> dict[int, list[Fits]]:
        pairs = list(itertools.product(classes, range(self.settings.folds)))
        tasks = [(self.data.train, signs(self.data.train_labels[:, c]), fold, self.settings) for c, fold in pairs]
        found = run_tasks(_fold, tasks, self.processes, "cross-validation, folds")
        results: dict[int, list[Fits]] = {index: [] for index in classes}
        for (index, _), fits in zip(pairs, found, strict=True):
            results[index].append(fits)
        return results

    def test(self, costs: Mapping[int, float]) -> dict[int, Fits]:
        tasks = [(self.data, index, None, (cost,), self.settings) for index, cost in costs.items()]
        return dict(zip(costs, run_tasks(_test, tasks, self.processes, "final fits"), strict=True))

    def low_shot(self, samples: Sequence[Sample]) -> list[dict[int, Fits]]:
        grid = [(number, index) for number, sample in enumerate(samples) for index in sample.rows]
        tasks = [
            (self.data, index, samples[number].rows[index], self.settings.costs, self.settings)
            for number, index in grid
        ]
        results: list[dict[int, Fits]] = [{} for _ in samples]
        found = run_tasks(_test, tasks, self.processes, "low-shot samples of a class")
        for (number, index), fits in zip(grid, found, strict=True):
            results[number][index] = fits
        return results


def _fold(rows: Floats, targets: Labels, fold: int, settings: SvmSettings) -> Fits:
    """AP of one held-out fold at each cost."""
    from sklearn.metrics import average_precision_score

    train, held_out = stratified_folds(targets, settings.folds)[fold]
    if not is_usable(targets, train, held_out):
        return Fits(None)
    train_rows, train_targets = rows[train], targets[train]
    test_rows, test_targets = rows[held_out], targets[held_out]
    aps, unconverged = [], 0
    for cost in settings.costs:
        model = fit(train_rows, train_targets, cost, settings)
        unconverged += int(model.n_iter_ >= settings.max_iter)
        aps.append(float(average_precision_score(test_targets, model.decision_function(test_rows))))
    return Fits(tuple(aps), unconverged)


def _test(data: SvmData, index: int, rows: Rows | None, costs: Sequence[float], settings: SvmSettings) -> Fits:
    """Test AP of one class, fitted at each cost on some rows or on all."""
    labels = data.train_labels[:, index]
    features = data.train if rows is None else data.train[rows]
    targets = signs(labels if rows is None else labels[rows])
    models = [fit(features, targets, cost, settings) for cost in costs]
    aps = _test_aps(models, data, index)
    return Fits(aps, sum(int(model.n_iter_ >= settings.max_iter) for model in models))


def _test_aps(models: Sequence[Any], data: SvmData, index: int) -> tuple[float, ...]:
    """Test AP of each model; one product for all, since reading the features is what takes the time."""
    weights = np.concatenate([model.coef_ for model in models])
    scores = weights @ data.test.T + np.concatenate([model.intercept_ for model in models])[:, None]
    return aps_on_test(scores, data.test_labels[:, index])
