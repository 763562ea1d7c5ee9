"""The reference solver: exactly what scikit-learn gives when it is called as the old tools call it."""

from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from benchmarks.probes.average_precision import average_precision
from benchmarks.probes.svm.data import SvmData, SvmSettings
from benchmarks.probes.svm.full import full_svm
from benchmarks.probes.svm.low_shot import low_shot_rows, low_shot_svm
from tests.benchmarks.probes.svm import made
from tests.benchmarks.probes.svm.made import make

SETTINGS = dataclasses.replace(made.SETTINGS, solver="liblinear")


def old_svc(cost: float, seed: int) -> LinearSVC:
    return LinearSVC(
        C=cost, class_weight={1: 2, -1: 1}, intercept_scaling=1.0, verbose=0, penalty="l2", loss="squared_hinge",
        tol=0.0001, dual=True, max_iter=2000, random_state=seed,
    )  # fmt: skip


def old_way(data: SvmData, index: int, settings: SvmSettings) -> tuple[float, float, list[float]]:
    """scikit-learn's own cross-validation and a fit at every cost, as the protocol words it."""
    targets = np.where(data.train_labels[:, index] == 1, 1, -1)
    known = data.test_labels[:, index] != -1
    scores, aps = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for cost in settings.costs:
            model = old_svc(cost, settings.seed)
            folds = cross_val_score(model, data.train, targets, cv=3, scoring="average_precision")
            scores.append(float(folds.mean()))
            decision = model.fit(data.train, targets).decision_function(data.test)
            aps.append(average_precision(decision[known], data.test_labels[known, index] == 1))
    best = int(np.argmax(scores))
    return aps[best], settings.costs[best], scores


def test_equals_scikit_learn_called_the_old_way() -> None:
    data = make()
    costs = set()
    for index, result in enumerate(full_svm(data, SETTINGS, 1)):
        ap, cost, scores = old_way(data, index, SETTINGS)
        # The same fits in the same order of random numbers: nothing but the last bits of a product may differ.
        assert result.ap == pytest.approx(ap, abs=1e-12)
        assert result.cost == cost
        assert result.cross_validation == pytest.approx(scores, abs=1e-12)
        costs.add(cost)
    assert len(costs) > 1, "the data should not make all classes choose one cost"


def test_the_seed_reaches_the_solver() -> None:
    data = make(rows=200, dimension=300)
    settings = dataclasses.replace(SETTINGS, costs=(100.0,), max_iter=3)
    values = [full_svm(data, dataclasses.replace(settings, seed=seed), 1) for seed in (1, 2, 1)]
    assert values[0] == values[2]
    assert values[0] != values[1]


def test_low_shot_equals_a_slow_loop() -> None:
    data = make()
    shots, samples, negatives = (1, 3), 3, 4
    results = low_shot_svm(data, SETTINGS, shots, samples, negatives, 1)
    for k in shots:
        aps = np.zeros((samples, len(SETTINGS.costs), 3))
        for sample, (number, cost), index in itertools.product(range(samples), enumerate(SETTINGS.costs), range(3)):
            labels = data.train_labels[:, index]
            rows = low_shot_rows(labels, k, negatives, (SETTINGS.seed, sample, k, index))
            model = old_svc(cost, SETTINGS.seed).fit(data.train[rows], np.where(labels[rows] == 1, 1, -1))
            known = data.test_labels[:, index] != -1
            decision = model.decision_function(data.test[known])
            aps[sample, number, index] = average_precision(decision, data.test_labels[known, index] == 1)
        per_cost = aps.mean(axis=(0, 2))
        assert results[k].cost == SETTINGS.costs[int(per_cost.argmax())]
        assert results[k].samples == pytest.approx(aps.mean(axis=2)[:, per_cost.argmax()].tolist(), abs=1e-12)


def test_no_convergence_warning_reaches_the_user() -> None:
    data = make(rows=200, dimension=300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = full_svm(data, dataclasses.replace(SETTINGS, costs=(100.0,), max_iter=1), 1)
    assert all(result.unconverged == 4 for result in results)
