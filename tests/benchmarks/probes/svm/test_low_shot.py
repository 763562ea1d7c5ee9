"""The low-shot protocol, whichever solver fits."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.classification.voc07_svm import SOLVERS
from benchmarks.probes.svm.data import SvmSettings
from benchmarks.probes.svm.low_shot import low_shot_rows, low_shot_svm
from tests.benchmarks.probes.svm import made
from tests.benchmarks.probes.svm.made import make


@pytest.fixture(params=SOLVERS)
def settings(request: pytest.FixtureRequest) -> SvmSettings:
    return dataclasses.replace(made.SETTINGS, solver=request.param)


def test_low_shot_rows_are_a_function_of_the_seed_alone() -> None:
    labels = make(rows=300).train_labels[:, 0]
    rows = low_shot_rows(labels, 3, 19, (0, 1, 3, 0))
    assert (labels[rows] == 1).sum() == 3
    assert (labels[rows] == 0).sum() == 57
    assert len(set(rows.tolist())) == 60
    np.testing.assert_array_equal(rows, np.sort(rows))
    np.testing.assert_array_equal(rows, low_shot_rows(labels, 3, 19, (0, 1, 3, 0)))
    for other in ((1, 1, 3, 0), (0, 2, 3, 0), (0, 1, 3, 1)):
        assert not np.array_equal(rows, low_shot_rows(labels, 3, 19, other))


def test_low_shot_samples_are_spread_over_all_rows() -> None:
    labels = np.zeros(100, dtype=np.int8)
    labels[:40], labels[90:] = 1, -1
    drawn: npt.NDArray[np.intp] = np.concatenate([low_shot_rows(labels, 4, 2, (seed, 0)) for seed in range(400)])
    counts = np.bincount(drawn, minlength=100)
    assert counts[90:].sum() == 0
    # 400 draws of 4 in 40 (mean 40, deviation 6) and of 8 in 50 (mean 64, deviation 7.3): five deviations.
    assert abs(counts[:40] - 40).max() < 30
    assert abs(counts[40:90] - 64).max() < 37


def test_low_shot_leaves_a_cell_blank_and_names_who_lacks(settings: SvmSettings) -> None:
    data = make(rows=60, classes=5)
    labels = data.train_labels.copy()
    labels[:, 2] = 0
    labels[:2, 2] = 1
    data = dataclasses.replace(data, train_labels=labels)
    results = low_shot_svm(data, settings, (2, 3, 50), 2, 4, 1)
    assert results[2].samples
    assert (results[3].cost, results[3].samples) == (None, ())
    assert results[3].reason == "k=3 needs 3 positives and 12 negatives of each class: class2 has 2 and 58"
    assert results[50].reason.endswith(" and 2 more")


def test_low_shot_leaves_out_classes_without_test_positives(settings: SvmSettings) -> None:
    data = make(rows=90)
    test_labels = data.test_labels.copy()
    test_labels[:, 0] = -1
    some = low_shot_svm(dataclasses.replace(data, test_labels=test_labels), settings, (1,), 2, 4, 1)[1]
    assert some.left_out == ("class0",)
    assert len(some.samples) == 2
    none = low_shot_svm(dataclasses.replace(data, test_labels=0 * test_labels), settings, (1,), 2, 4, 1)[1]
    assert none.reason == "no class has a positive in the test split"
