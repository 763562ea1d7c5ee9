"""VOC07 SVM and low-shot SVM as they are built, against section 5 (P0)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import transforms

from benchmarks.base import PixelPipeline
from benchmarks.catalogue import find_benchmark
from benchmarks.datasets.layout import read_split
from benchmarks.probes.svm import low_shot
from benchmarks.probes.svm.data import SvmData, SvmSettings, normalise_rows
from benchmarks.probes.svm.low_shot import low_shot_rows
from benchmarks.probes.svm.solver import Fits, Sample, aps_on_test
from results.pages.sections import SECTIONS
from tests.benchmarks.classification.test_voc07_svm import CLASSES, write_lists
from tests.benchmarks.fidelity.built import context_of
from tests.benchmarks.fidelity.probes import Recorded, check_features, check_pixels, write_features

NAME = "voc07_svm"
LAYERS = ("feature1", "feature2", "feature3", "feature4", "feature5")

# 5.3: 1, 10, 100 and 0.5 to the power of 4 to 19.
COSTS = (
    1.0, 10.0, 100.0,
    0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625, 0.001953125, 0.0009765625, 0.00048828125,
    0.000244140625, 0.0001220703125, 6.103515625e-05, 3.0517578125e-05, 1.52587890625e-05, 7.62939453125e-06,
    3.814697265625e-06, 1.9073486328125e-06,
)  # fmt: skip
SHOTS = (1, 2, 4, 8, 16, 32, 64, 96)
ROWS = {"trainval": 2100, "test": 120}


@dataclasses.dataclass
class Run:
    """A run of the full protocol on made-up features, with a stand-in for LinearSVC."""

    labels: dict[str, Any]
    record: Recorded
    outcome: Any
    attempt: Path


def run_full_protocol(folder: Path) -> Run:
    """Three classes with 96 to 120 positives and a few difficult images, by the reference's solver."""
    labels, features = {}, {}
    for split, count in ROWS.items():
        random = np.random.default_rng(len(split))
        found = np.zeros((count, 3), dtype=np.int8)
        for index in range(3):
            order = random.permutation(count)
            positives = (96, 110, 120)[index] if split == "trainval" else 30
            found[order[:positives], index] = 1
            found[order[positives : positives + 9], index] = -1
        labels[split] = found
        numbers = np.stack([np.ones(count), np.arange(count) / 1000], axis=1)
        features[split] = np.concatenate([(found == 1) + random.normal(0, 0.5, (count, 3)), numbers], axis=1)
        main = folder / "data/VOCdevkit/VOC2007/ImageSets/Main"
        main.mkdir(parents=True, exist_ok=True)
        write_lists(main, split, found)
    write_features(folder / "features", features, LAYERS)
    context = context_of(NAME, folder / "data", folder, 20)
    protocol = context.protocol.replace({"solver": "liblinear"}, "reference")
    context = dataclasses.replace(context, protocol=protocol)
    record = Recorded()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.svm.LinearSVC", record.machine())
        outcome = find_benchmark(NAME).run(dataclasses.replace(context, features=folder / "features"))
    return Run(labels, record, outcome, folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run for all tests."""
    return run_full_protocol(tmp_path_factory.mktemp(NAME))


def check_machines(run: Run) -> None:
    """5.3: one dual squared-hinge LinearSVC for each class and cost; positives weigh 2."""
    for settings in run.record.settings:
        assert {**settings, "C": 0, "random_state": 0} == {
            "C": 0,
            "class_weight": {1: 2.0, -1: 1.0},
            "penalty": "l2",
            "loss": "squared_hinge",
            "dual": True,
            "tol": 1e-4,
            "max_iter": 2000,
            "intercept_scaling": 1.0,
            "random_state": 0,
        }, settings


def check_full(run: Run) -> None:
    """5.3: three folds at each of 19 costs in order, then a fit on all rows; difficult rows are negatives."""
    fits = run.record.fits
    whole = sum(ROWS["trainval"] == rows for rows, _, _ in fits)
    # The stand-in does not heed the cost: all tie, and the first, 1, is taken; of each layer and class once.
    assert whole == 5 * 3
    assert all(cost == 1.0 for rows, _, cost in fits if rows == 2100)
    assert [positives for rows, positives, _ in fits if rows == 2100] == [96, 110, 120] * 5
    folds = [fit for fit in fits if fit[0] == 1400]
    assert len(folds) == 5 * 3 * 3 * 19
    assert tuple(cost for _, _, cost in folds[:19]) == COSTS
    # Stratified: two thirds of the positives; unshuffled: the first fold trains on later rows only.
    assert {positives for _, positives, _ in folds} <= {64, 73, 74, 80}
    first = np.flatnonzero(run.labels["trainval"][:, 0] == 1)
    assert not set(first[:32].tolist()) & set(run.record.drawn[0])


def check_low_shot(run: Run) -> None:
    """5.4: for each k, 5 samples of k positives and 19 k negatives of each class, at each cost, without folds."""
    labels = run.labels["trainval"]
    small = [(fit, rows) for fit, rows in zip(run.record.fits, run.record.drawn, strict=True) if fit[0] < 1400]
    large = [(fit, rows) for fit, rows in zip(run.record.fits, run.record.drawn, strict=True) if 1400 < fit[0] < 2100]
    found = small + large
    assert len(found) == 8 * 5 * 3 * 19
    for k in SHOTS:
        fits = [(fit, rows) for fit, rows in found if fit[0] == 20 * k]
        assert len(fits) == 5 * 3 * 19, k
        assert {positives for (_, positives, _), _ in fits} == {k}
        assert tuple(cost for (_, _, cost), _ in fits[:19]) == COSTS
        drawn = {rows for _, rows in fits}
        assert len(drawn) == 5 * 3
        for rows in drawn:
            assert len(set(rows)) == 20 * k
            # Of one class: k positives, the others negatives, none of them difficult.
            counts = [(labels[list(rows), index] == 1).sum() for index in range(3)]
            difficult = [(labels[list(rows), index] == -1).sum() for index in range(3)]
            assert any(count == k and not none for count, none in zip(counts, difficult, strict=True))


def check_stored_samples(run: Run) -> None:
    """5.4: the samples are kept, in the reference's names and code."""
    with np.load(run.attempt / "low_shot_samples.npz") as stored:
        assert set(stored) == {f"train_targets_sample{n}_k{k}" for n in (1, 2, 3, 4, 5) for k in SHOTS}
        for name in stored:
            targets, k = stored[name], int(name.rpartition("_k")[2])
            assert (targets == 1).sum(0).tolist() == [k] * 3
            assert (targets == 0).sum(0).tolist() == [19 * k] * 3
            trained = {rows for rows in run.record.drawn if len(rows) == 20 * k}
            for index in range(3):
                assert tuple(np.flatnonzero(targets[:, index] >= 0).tolist()) in trained


def check_sampling() -> None:
    """5.4: a draw takes k of the positives and 19 k of the negatives, each once, and follows from its seed."""
    labels = np.repeat(np.array([1, 0, -1], dtype=np.int8), (30, 400, 20))
    draws = [low_shot_rows(labels, 8, 19, (0, sample, 8, 3)) for sample in range(5)]
    for rows in draws:
        assert len(set(rows.tolist())) == 8 + 152
        assert ((labels[rows] == 1).sum(), (labels[rows] == 0).sum()) == (8, 152)
    assert len({tuple(rows.tolist()) for rows in draws}) == 5
    assert np.array_equal(draws[0], low_shot_rows(labels, 8, 19, (0, 0, 8, 3)))


def check_average_precision() -> None:
    """5.3: rows that are difficult for the class do not count; area under the precision envelope; ties by index.

    Without the difficult rows the ranking is 1 0 0 1 1: precisions 1, 2/4, 3/5, of which the envelope makes 1, 3/5,
    3/5. Eleven points would give (4 + 7 * 0.6) / 11. The third and fourth positive tie with negatives of a later index.
    """
    scores = np.array([[9.0], [8.5], [8.0], [7.0], [6.0], [6.0], [6.0], [5.0]])
    labels = np.array([[1], [-1], [0], [0], [1], [1], [0], [-1]], dtype=np.int8)
    (found,) = aps_on_test(scores.T, labels[:, 0])
    assert abs(found - (1 + 0.6 + 0.6) / 3) < 1e-12
    # The same with the tie in another order: the negative comes first, precisions 1, 2/5, 3/6.
    swapped = np.array([[1], [-1], [0], [0], [0], [1], [1], [-1]], dtype=np.int8)
    (found,) = aps_on_test(scores.T, swapped[:, 0])
    assert abs(found - (1 + 0.5 + 0.5) / 3) < 1e-12


def test_features(tmp_path: Path) -> None:
    """5.2: no crop, five maps."""
    check_features(NAME, tmp_path, PixelPipeline(short_edge=256, squash=224), LAYERS, pooled=True)


def test_pixels(tmp_path: Path) -> None:
    check_pixels(NAME, tmp_path, transforms.Resize((224, 224)))


def test_rows_are_divided_by_their_norm_and_a_bit() -> None:
    found = normalise_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32), 1e-5)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [[3 / 5.00001, 4 / 5.00001], [0, 0]], rtol=1e-15)
    protocol = find_benchmark(NAME).protocol()
    assert protocol["norm_epsilon"] == 1e-5


def test_labels(run: Run) -> None:
    """5.1: present 1, absent 0, only difficult -1; classes by name."""
    split = read_split("voc07_classification", run.attempt / "data", "trainval")
    assert split.classes == CLASSES == tuple(sorted(CLASSES))
    np.testing.assert_array_equal(split.labels, run.labels["trainval"])


def test_machines(run: Run) -> None:
    check_machines(run)


def test_the_solver_is_exact_and_the_reference_stays_within_reach() -> None:
    """Two protocols, whose results are never taken for each other's."""
    protocol = find_benchmark(NAME).protocol()
    reference = find_benchmark(NAME).protocol(overrides={"solver": "liblinear"})
    assert (protocol["solver"], protocol.version) == ("exact", 2)
    assert find_benchmark(NAME).protocol("vissl")["solver"] == "exact"
    assert protocol.hash != reference.hash
    assert reference.modified == ("solver",)


def test_full(run: Run) -> None:
    check_full(run)


def test_low_shot(run: Run) -> None:
    check_low_shot(run)
    check_stored_samples(run)
    check_sampling()


def test_average_precision() -> None:
    check_average_precision()


def test_low_shot_takes_the_cost_with_the_best_mean_over_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """5.4: classes first, then samples, the arg-max last; one cost for all classes."""
    # AP of (sample, class) at the costs 1 and 10: the first is best in two of three samples, the second in the mean.
    aps = {(0, 0): (0.5, 0.4), (0, 1): (0.5, 0.5), (1, 0): (0.5, 0.4), (1, 1): (0.5, 0.5), (2, 0): (0.2, 0.9)}
    aps[2, 1] = (0.3, 0.7)

    class Solver:
        def low_shot(self, samples: list[Sample]) -> list[dict[int, Fits]]:
            return [{index: Fits(aps[sample.number, index]) for index in sample.rows} for sample in samples]

    monkeypatch.setattr(low_shot, "make_solver", lambda *_: Solver())
    labels = np.repeat(np.array([[1, 1], [0, 0]], dtype=np.int8), (2, 40), axis=0)
    rows = np.zeros((42, 1))
    settings = SvmSettings((1.0, 10.0), 3, 2.0, 1.0, 1e-4, 2000, 1.0, 0)
    found = low_shot.low_shot_svm(SvmData(rows, labels, rows, labels, ("cat", "dog")), settings, (1,), 3, 19, 1)[1]
    assert found.cost == 10.0
    assert found.samples == pytest.approx((0.45, 0.45, 0.8))


def test_the_page_says_that_the_choices_are_made_on_the_test_set() -> None:
    """5.6, 7."""
    (section,) = (section for section in SECTIONS if section.benchmark == NAME)
    text = " ".join(section.intro)
    assert "test" in text
    assert "optimistic" in text


def test_columns(run: Run) -> None:
    columns = find_benchmark(NAME).columns(find_benchmark(NAME).protocol())
    titles = [column.title for column in columns if not column.table]
    assert titles == ["SVM", "k=1", "k=2", "k=4", "k=8", "k=16", "k=32", "k=64", "k=96"]
    assert {column.decimals for column in columns} == {2}
    assert all(0 <= metric.value <= 100 for metric in run.outcome.metrics.values())
