"""The exact solver against liblinear at a tolerance of 1e-8, through the whole protocol."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from benchmarks.probes.svm import exact, exact_low_shot
from benchmarks.probes.svm.certificate import CERTIFIED
from benchmarks.probes.svm.data import SvmData
from benchmarks.probes.svm.full import full_svm
from benchmarks.probes.svm.low_shot import low_shot_svm
from tests.benchmarks.probes.svm.made import SETTINGS, make

EXACT = dataclasses.replace(SETTINGS, costs=(1.0, 10.0, 100.0, *(0.5**power for power in range(4, 20, 3))))
REFERENCE = dataclasses.replace(EXACT, solver="liblinear", tol=1e-8, max_iter=1_000_000)


def check_equal(data: SvmData) -> set[float | None]:
    """Costs, cross-validated AP and test AP of both solvers; the chosen costs."""
    found, expected = full_svm(data, EXACT, 1), full_svm(data, REFERENCE, 1)
    assert sum(one.unconverged for one in expected) == 0
    for one, other in zip(found, expected, strict=True):
        assert (one.reason, one.skipped_folds) == (other.reason, other.skipped_folds)
        assert one.cost == other.cost
        # The rankings are the same, so only sums in another order may differ.
        assert one.cross_validation == pytest.approx(other.cross_validation, abs=1e-12)
        assert one.ap == pytest.approx(other.ap, abs=1e-12)
        assert one.gap is None or one.gap <= CERTIFIED
    return {one.cost for one in found}


@pytest.mark.parametrize(("rows", "dimension", "noise"), [(90, 12, 1.5), (120, 300, 2.5), (200, 60, 0.3)])
def test_equals_liblinear(rows: int, dimension: int, noise: float) -> None:
    """Fewer and more dimensions than rows; classes that overlap and classes that do not."""
    check_equal(make(rows=rows, dimension=dimension, noise=noise, classes=4))


def test_classes_choose_different_costs() -> None:
    assert len(check_equal(make(rows=120, classes=6, noise=2.0))) > 1


def test_a_constant_feature_duplicated_rows_and_a_row_of_zeros() -> None:
    data = make(rows=90)
    train = data.train.copy()
    train[:, 3] = 0.25
    train[30:60] = train[:30]
    train[70] = 0
    check_equal(dataclasses.replace(data, train=train))


def test_other_class_weights_and_another_intercept() -> None:
    data, costs = make(rows=90), (1.0, 0.01)
    for values in ({"positive_weight": 5.0, "negative_weight": 0.5}, {"intercept_scaling": 3.0}):
        found = full_svm(data, dataclasses.replace(EXACT, costs=costs, **values), 1)
        expected = full_svm(data, dataclasses.replace(REFERENCE, costs=costs, **values), 1)
        assert [one.cost for one in found] == [one.cost for one in expected]
        assert [one.ap for one in found] == pytest.approx([one.ap for one in expected], abs=1e-12)
        usual = full_svm(data, dataclasses.replace(EXACT, costs=costs), 1)
        assert [one.cross_validation for one in found] != [one.cross_validation for one in usual]


def test_fewer_positives_than_folds() -> None:
    data = make(rows=60)
    labels = data.train_labels.copy()
    labels[:, 0] = 0
    labels[[5, 40], 0] = 1
    check_equal(dataclasses.replace(data, train_labels=labels))


def test_a_class_whose_positives_are_all_in_one_fold() -> None:
    """Two positives of three folds, one class without any, one that has nothing else: each says why."""
    data = make(rows=60, classes=4)
    labels = data.train_labels.copy()
    labels[:, 0], labels[:, 1] = 0, 1
    labels[:2, 2], labels[2:, 2] = 1, 0
    check_equal(dataclasses.replace(data, train_labels=labels))


@pytest.mark.parametrize("small", [0, 1000])
def test_low_shot_equals_liblinear(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in one batch and class after class."""
    monkeypatch.setattr(exact_low_shot, "SMALL", small)
    data = make(rows=400, dimension=40, noise=2.0)
    shots = (1, 3, 12)
    found, expected = (low_shot_svm(data, one, shots, 3, 9, 1) for one in (EXACT, REFERENCE))
    for k in shots:
        assert found[k].cost == expected[k].cost
        # Test scores are float32: rows whose scores agree to 1e-7 may change places.
        assert found[k].samples == pytest.approx(expected[k].samples, abs=1e-5)
        assert found[k].gap is not None
        assert found[k].gap <= CERTIFIED


def test_final_fits_do_not_need_a_cross_validation_before_them() -> None:
    data = make(rows=90)
    cold = exact.ExactSolver(data, EXACT, 1).test({0: 1.0, 2: 0.0625})
    warm = exact.ExactSolver(data, EXACT, 1)
    warm.cross_validate([0, 1, 2])
    for index, fits in warm.test({0: 1.0, 2: 0.0625}).items():
        assert fits.aps == pytest.approx(cold[index].aps, abs=1e-12)
    assert warm.test({}) == {}


def test_the_order_of_the_costs_changes_nothing_but_their_order() -> None:
    data = make(rows=90)
    turned = dataclasses.replace(EXACT, costs=EXACT.costs[::-1])
    for one, other in zip(full_svm(data, EXACT, 1), full_svm(data, turned, 1), strict=True):
        assert one.cross_validation == other.cross_validation[::-1]


def test_groups_of_costs_take_each_once_and_rise() -> None:
    costs = (1.0, 10.0, 100.0, *(0.5**power for power in range(4, 20)))
    order = sorted(range(len(costs)), key=lambda number: costs[number])
    groups = exact_low_shot._groups(costs, order)
    assert list(itertools.chain(*groups)) == order
    assert [len(group) for group in groups] == [12, 4, 1, 1, 1]
    assert np.diff([costs[group[-1]] for group in groups]).min() > 0
