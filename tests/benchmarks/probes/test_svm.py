from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from benchmarks.probes import svm
from benchmarks.probes.average_precision import average_precision
from benchmarks.probes.svm import SvmData, SvmSettings, full_svm, low_shot_rows, low_shot_svm, normalise_rows

SETTINGS = SvmSettings((1.0, 100.0, 0.0625, 0.001), 3, 2.0, 1.0, 1e-4, 2000, 1.0, 3)


def make(rows: int = 120, classes: int = 3, dimension: int = 12, noise: float = 1.5, seed: int = 0) -> SvmData:
    """Multi-label data: each class pushes the features along a direction; one label in 20 is -1."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(classes, dimension))
    directions *= 4 / np.linalg.norm(directions, axis=1, keepdims=True)

    def split() -> tuple[svm.Floats, svm.Labels]:
        labels = (generator.random((rows, classes)) < 0.3).astype(np.int8)
        features = labels @ directions + noise * generator.normal(size=(rows, dimension))
        features[:, 0] += 4  # so that the norm of a row without any class is not noise alone
        labels[(generator.random(labels.shape) < 0.05) & (labels == 0)] = -1
        return normalise_rows(features.astype(np.float32), 1e-5), labels

    return SvmData(*split(), *split(), tuple(f"class{index}" for index in range(classes)))


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


def test_the_first_of_equal_costs_wins() -> None:
    data = make(noise=0.0, classes=1, dimension=3)
    (result,) = full_svm(data, dataclasses.replace(SETTINGS, costs=(0.5, 1.0, 2.0)), 1)
    assert len(set(result.cross_validation)) == 1
    assert result.cost == 0.5


def test_results_do_not_depend_on_processes() -> None:
    data = make(rows=400, dimension=600)
    settings = dataclasses.replace(SETTINGS, costs=(100.0, 1.0), max_iter=20)
    assert data.train.nbytes > 1_000_000, "large enough to travel as a memory map"
    one, two = full_svm(data, settings, 1), full_svm(data, settings, 2)
    assert one == two
    assert sum(result.unconverged for result in one) > 0, "stopped early: every random number shows"
    assert low_shot_svm(data, settings, (2, 4), 2, 5, 1) == low_shot_svm(data, settings, (2, 4), 2, 5, 2)


def test_the_seed_reaches_the_solver() -> None:
    data = make(rows=200, dimension=300)
    settings = dataclasses.replace(SETTINGS, costs=(100.0,), max_iter=3)
    values = [full_svm(data, dataclasses.replace(settings, seed=seed), 1) for seed in (1, 2, 1)]
    assert values[0] == values[2]
    assert values[0] != values[1]


def test_separable_classes_score_one_and_shuffled_labels_their_prevalence() -> None:
    assert all(result.ap is not None and result.ap > 0.99 for result in full_svm(make(noise=0.05), SETTINGS, 1))
    data = make(rows=600, dimension=40, noise=3.0)
    order = np.random.default_rng(0).permutation(600)
    shuffled = dataclasses.replace(data, train_labels=data.train_labels[order])
    learned, unlearned = full_svm(data, SETTINGS, 1), full_svm(shuffled, SETTINGS, 1)
    for index in range(3):
        prevalence = float((data.test_labels[:, index] == 1).mean())
        # The AP of a random ranking of 170 positives among 600 scatters by about 0.02 around their share.
        assert unlearned[index].ap == pytest.approx(prevalence, abs=0.1)
        assert (learned[index].ap or 0) > prevalence + 0.15


def test_difficult_rows_train_as_negatives_and_are_not_tested() -> None:
    data = make()
    trained = dataclasses.replace(data, train_labels=np.where(data.train_labels == -1, 0, data.train_labels))
    assert (data.train_labels == -1).any()
    assert full_svm(data, SETTINGS, 1) == full_svm(trained, SETTINGS, 1)
    index = 1
    keep = data.test_labels[:, index] != -1
    assert not keep.all()
    dropped = dataclasses.replace(data, test=data.test[keep], test_labels=data.test_labels[keep])
    assert full_svm(data, SETTINGS, 1)[index].ap == full_svm(dropped, SETTINGS, 1)[index].ap


def test_folds_without_a_positive_are_skipped_and_never_chosen_by_nan() -> None:
    data = make(rows=60)
    labels = data.train_labels.copy()
    labels[:, 0] = 0
    labels[[5, 40], 0] = 1
    result = full_svm(dataclasses.replace(data, train_labels=labels), SETTINGS, 1)[0]
    assert result.skipped_folds == 1
    assert np.isfinite(result.cross_validation).all()
    assert result.cost in SETTINGS.costs
    assert result.ap is not None


@pytest.mark.parametrize(
    ("split", "positives", "reason"),
    [("train", 0, "0 positives"), ("train", 1, "1 positives"), ("test", 0, "no positive in the test split")],
)
def test_a_class_that_cannot_be_evaluated_says_why(split: str, positives: int, reason: str) -> None:
    data = make(rows=60)
    labels = getattr(data, f"{split}_labels").copy()
    labels[:, 1] = 0
    labels[:positives, 1] = 1
    results = full_svm(dataclasses.replace(data, **{f"{split}_labels": labels}), SETTINGS, 1)
    assert (results[1].ap, results[1].cost) == (None, None)
    assert reason in results[1].reason
    assert results[0].ap is not None


def test_fewer_images_than_folds() -> None:
    data = make(rows=60)
    tiny = dataclasses.replace(data, train=data.train[:4], train_labels=np.eye(4, 3, dtype=np.int8)[[0, 0, 1, 2]])
    results = full_svm(tiny, dataclasses.replace(SETTINGS, folds=5), 1)
    assert results[0].reason == "4 images for 5 folds"


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


def test_low_shot_leaves_a_cell_blank_and_names_who_lacks() -> None:
    data = make(rows=60, classes=5)
    labels = data.train_labels.copy()
    labels[:, 2] = 0
    labels[:2, 2] = 1
    data = dataclasses.replace(data, train_labels=labels)
    results = low_shot_svm(data, SETTINGS, (2, 3, 50), 2, 4, 1)
    assert results[2].samples
    assert (results[3].cost, results[3].samples) == (None, ())
    assert results[3].reason == "k=3 needs 3 positives and 12 negatives of each class: class2 has 2 and 58"
    assert results[50].reason.endswith(" and 2 more")


def test_low_shot_leaves_out_classes_without_test_positives() -> None:
    data = make(rows=90)
    test_labels = data.test_labels.copy()
    test_labels[:, 0] = -1
    some = low_shot_svm(dataclasses.replace(data, test_labels=test_labels), SETTINGS, (1,), 2, 4, 1)[1]
    assert some.left_out == ("class0",)
    assert len(some.samples) == 2
    none = low_shot_svm(dataclasses.replace(data, test_labels=0 * test_labels), SETTINGS, (1,), 2, 4, 1)[1]
    assert none.reason == "no class has a positive in the test split"


def test_rows_are_normalised_in_float64() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-6, 0]], dtype=np.float32)
    got = normalise_rows(rows, 1e-5)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got[0], [3 / 5.00001, 4 / 5.00001], rtol=1e-14)
    np.testing.assert_allclose(got[1:, 0], [0, 1 / 11], rtol=1e-6)
    assert rows[0, 0] == 3


def test_no_convergence_warning_reaches_the_user() -> None:
    data = make(rows=200, dimension=300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = full_svm(data, dataclasses.replace(SETTINGS, costs=(100.0,), max_iter=1), 1)
    assert all(result.unconverged == 4 for result in results)
