"""The protocol of the full SVM, whichever solver fits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.classification.voc07_svm import SOLVERS
from benchmarks.probes.svm.data import SvmSettings, normalise_rows
from benchmarks.probes.svm.full import full_svm
from benchmarks.probes.svm.low_shot import low_shot_svm
from results.errors import HarnessError
from tests.benchmarks.probes.svm import made
from tests.benchmarks.probes.svm.made import make


@pytest.fixture(params=SOLVERS)
def settings(request: pytest.FixtureRequest) -> SvmSettings:
    return dataclasses.replace(made.SETTINGS, solver=request.param)


def test_the_first_of_equal_costs_wins(settings: SvmSettings) -> None:
    data = make(noise=0.0, classes=1, dimension=3)
    (result,) = full_svm(data, dataclasses.replace(settings, costs=(0.5, 1.0, 2.0)), 1)
    assert len(set(result.cross_validation)) == 1
    assert result.cost == 0.5


def test_results_do_not_depend_on_processes(settings: SvmSettings) -> None:
    data = make(rows=400, dimension=600)
    settings = dataclasses.replace(settings, costs=(100.0, 1.0), max_iter=20)
    assert data.train.nbytes > 1_000_000, "large enough to travel as a memory map"
    one, two = full_svm(data, settings, 1), full_svm(data, settings, 2)
    assert one == two
    stopped = sum(result.unconverged for result in one)
    assert (stopped > 0) == (settings.solver == "liblinear"), "stopped early: every random number shows"
    assert low_shot_svm(data, settings, (2, 4), 2, 5, 1) == low_shot_svm(data, settings, (2, 4), 2, 5, 2)


def test_separable_classes_score_one_and_shuffled_labels_their_prevalence(settings: SvmSettings) -> None:
    assert all(result.ap is not None and result.ap > 0.99 for result in full_svm(make(noise=0.05), settings, 1))
    data = make(rows=600, dimension=40, noise=3.0)
    order = np.random.default_rng(0).permutation(600)
    shuffled = dataclasses.replace(data, train_labels=data.train_labels[order])
    learned, unlearned = full_svm(data, settings, 1), full_svm(shuffled, settings, 1)
    for index in range(3):
        prevalence = float((data.test_labels[:, index] == 1).mean())
        # The AP of a random ranking of 170 positives among 600 scatters by about 0.02 around their share.
        assert unlearned[index].ap == pytest.approx(prevalence, abs=0.1)
        assert (learned[index].ap or 0) > prevalence + 0.15


def test_difficult_rows_train_as_negatives_and_are_not_tested(settings: SvmSettings) -> None:
    data = make()
    trained = dataclasses.replace(data, train_labels=np.where(data.train_labels == -1, 0, data.train_labels))
    assert (data.train_labels == -1).any()
    assert full_svm(data, settings, 1) == full_svm(trained, settings, 1)
    index = 1
    keep = data.test_labels[:, index] != -1
    assert not keep.all()
    dropped = dataclasses.replace(data, test=data.test[keep], test_labels=data.test_labels[keep])
    assert full_svm(data, settings, 1)[index].ap == full_svm(dropped, settings, 1)[index].ap


def test_folds_without_a_positive_are_skipped_and_never_chosen_by_nan(settings: SvmSettings) -> None:
    data = make(rows=60)
    labels = data.train_labels.copy()
    labels[:, 0] = 0
    labels[[5, 40], 0] = 1
    result = full_svm(dataclasses.replace(data, train_labels=labels), settings, 1)[0]
    assert result.skipped_folds == 1
    assert np.isfinite(result.cross_validation).all()
    assert result.cost in settings.costs
    assert result.ap is not None


@pytest.mark.parametrize(
    ("split", "positives", "reason"),
    [("train", 0, "0 positives"), ("train", 1, "1 positives"), ("test", 0, "no positive in the test split")],
)
def test_a_class_that_cannot_be_evaluated_says_why(
    split: str, positives: int, reason: str, settings: SvmSettings
) -> None:
    data = make(rows=60)
    labels = getattr(data, f"{split}_labels").copy()
    labels[:, 1] = 0
    labels[:positives, 1] = 1
    results = full_svm(dataclasses.replace(data, **{f"{split}_labels": labels}), settings, 1)
    assert (results[1].ap, results[1].cost) == (None, None)
    assert reason in results[1].reason
    assert results[0].ap is not None


def test_fewer_images_than_folds(settings: SvmSettings) -> None:
    data = make(rows=60)
    tiny = dataclasses.replace(data, train=data.train[:4], train_labels=np.eye(4, 3, dtype=np.int8)[[0, 0, 1, 2]])
    results = full_svm(tiny, dataclasses.replace(settings, folds=5), 1)
    assert results[0].reason == "4 images for 5 folds"


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(split: str, value: float, settings: SvmSettings) -> None:
    data = make(rows=60)
    rows = getattr(data, split).copy()
    rows[7, 3] = value
    broken = dataclasses.replace(data, **{split: rows})
    with pytest.raises(HarnessError, match=r"1 of 60 .* rows are not finite, first row 7"):
        full_svm(broken, settings, 1)
    with pytest.raises(HarnessError, match="not finite"):
        low_shot_svm(broken, settings, (1,), 1, 2, 1)


def test_rows_are_normalised_in_float64() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-6, 0]], dtype=np.float32)
    got = normalise_rows(rows, 1e-5)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got[0], [3 / 5.00001, 4 / 5.00001], rtol=1e-14)
    np.testing.assert_allclose(got[1:, 0], [0, 1 / 11], rtol=1e-6)
    assert rows[0, 0] == 3
