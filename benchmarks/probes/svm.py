"""Linear SVMs on frozen features, one against the rest: full and low-shot.

The protocol is that of ``mmselfsup/tools/benchmarks/classification/svm_voc07`` (after Goyal et al. 2019,
arXiv:1905.01235, section 6.1 and appendix): scikit-learn's LinearSVC on row-normalised features, classes weighted
2 to 1, the cost chosen by cross-validation (full) or on the test set's mean AP (low-shot).
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.probes.average_precision import average_precision
from benchmarks.probes.parallel import run_tasks

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
        tol: Stopping tolerance of liblinear.
        max_iter: Largest number of liblinear's passes.
        intercept_scaling: Value of the constant feature that stands for the bias.
        seed: Seed of the solver and of the low-shot samples.
    """

    costs: tuple[float, ...]
    folds: int
    positive_weight: float
    negative_weight: float
    tol: float
    max_iter: int
    intercept_scaling: float
    seed: int


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


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """The full SVM of one class.

    Args:
        ap: Test AP between 0 and 1; None where the class cannot be evaluated.
        cost: The chosen cost; None likewise.
        reason: Why there is no value.
        cross_validation: Mean AP over the folds for each cost.
        skipped_folds: Folds that lacked positives or negatives.
        unconverged: Fits that stopped at ``max_iter``.
    """

    ap: float | None
    cost: float | None
    reason: str = ""
    cross_validation: tuple[float, ...] = ()
    skipped_folds: int = 0
    unconverged: int = 0


@dataclasses.dataclass(frozen=True)
class ShotResult:
    """The low-shot SVM of one k.

    Args:
        cost: The cost with the best mean test mAP over the samples, one for all classes; None without a value.
        samples: Test mAP between 0 and 1 of each sample at that cost.
        reason: Why there is no value.
        left_out: Classes without a positive in the test split, over which no mean goes.
        unconverged: Fits that stopped at ``max_iter``.
    """

    cost: float | None
    samples: tuple[float, ...] = ()
    reason: str = ""
    left_out: tuple[str, ...] = ()
    unconverged: int = 0


def normalise_rows(features: npt.NDArray[np.float32], epsilon: float) -> Floats:
    """Divides each row by its Euclidean norm plus ``epsilon``, in float64; [n, d] to [n, d]."""
    rows = features.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + epsilon
    return rows


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


def signs(labels: Labels) -> Labels:
    """Training targets of one class: 1 stays, 0 (absent) and -1 (only difficult objects) become -1."""
    return np.where(labels == 1, 1, -1).astype(np.int8)


def full_svm(data: SvmData, settings: SvmSettings, processes: int) -> list[ClassResult]:
    """Cross-validates, fits and tests each class.

    Every row trains. The cost is the first with the best mean cross-validated AP; the final fit is made at that cost
    only, where the reference makes one at each cost and then chooses, which gives the same number.

    Memory for each process: about three copies of the training features (a fold and liblinear's form of it).

    Args:
        data: Features and labels.
        settings: Costs, folds and solver.
        processes: How many fits at a time; the results do not depend on it.

    Returns:
        One result a class, in the order of the columns of the labels.
    """
    classes = range(data.train_labels.shape[1])
    reasons = {index: _why_not(data, index, settings.folds) for index in classes}
    usable = [index for index in classes if not reasons[index]]
    pairs = list(itertools.product(usable, range(settings.folds)))
    tasks = [(data.train, signs(data.train_labels[:, index]), fold, settings) for index, fold in pairs]
    found = dict(zip(pairs, run_tasks(_fold_scores, tasks, processes, "cross-validation, folds"), strict=True))
    chosen = {index: _choose([found[index, fold] for fold in range(settings.folds)], settings) for index in usable}
    finals = [(data, index, choice.cost, settings) for index, choice in chosen.items() if choice.cost is not None]
    tested = dict(zip([task[1] for task in finals], run_tasks(_test, finals, processes, "final fits"), strict=True))
    results = []
    for index in classes:
        result = chosen.get(index) or ClassResult(None, None, reasons[index])
        if index in tested:
            ap, unconverged = tested[index]
            result = dataclasses.replace(result, ap=ap, unconverged=result.unconverged + unconverged)
        results.append(result)
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


def _fold_scores(
    rows: Floats, targets: Labels, fold: int, settings: SvmSettings
) -> tuple[tuple[float, ...] | None, int]:
    """AP of one held-out fold at each cost, None where a class is lacking on either side; and unconverged fits."""
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        # Fewer positives than folds: such folds are skipped below, and counted.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splits = list(StratifiedKFold(settings.folds).split(rows, targets))
    train, held_out = splits[fold]
    if len(np.unique(targets[train])) < 2 or len(np.unique(targets[held_out])) < 2:
        return None, 0
    train_rows, train_targets = rows[train], targets[train]
    test_rows, test_targets = rows[held_out], targets[held_out]
    scores, unconverged = [], 0
    for cost in settings.costs:
        model = fit(train_rows, train_targets, cost, settings)
        unconverged += int(model.n_iter_ >= settings.max_iter)
        scores.append(float(average_precision_score(test_targets, model.decision_function(test_rows))))
    return tuple(scores), unconverged


def _choose(folds: Sequence[tuple[tuple[float, ...] | None, int]], settings: SvmSettings) -> ClassResult:
    """Picks the cost with the best mean over the folds that count; the first of equals."""
    scores = [fold for fold, _ in folds if fold is not None]
    skipped, unconverged = len(folds) - len(scores), sum(count for _, count in folds)
    if not scores:
        return ClassResult(None, None, "no fold has positives and negatives on both sides", (), skipped, unconverged)
    means = np.mean(scores, axis=0)
    cost = settings.costs[int(np.argmax(means))]
    return ClassResult(None, cost, "", tuple(means.tolist()), skipped, unconverged)


def _test(data: SvmData, index: int, cost: float, settings: SvmSettings) -> tuple[float, int]:
    """Fits one class on all rows; test AP without the rows labelled -1, and whether the fit was unconverged."""
    model = fit(data.train, signs(data.train_labels[:, index]), cost, settings)
    return _test_aps([model], data, index)[0], int(model.n_iter_ >= settings.max_iter)


def _test_aps(models: Sequence[Any], data: SvmData, index: int) -> list[float]:
    """Test AP of each model; one product for all, since reading the features is what takes the time."""
    labels = data.test_labels[:, index]
    known = labels != -1
    weights = np.concatenate([model.coef_ for model in models])
    scores = data.test @ weights.T + np.concatenate([model.intercept_ for model in models])
    return [average_precision(column[known], labels[known] == 1) for column in scores.T]


def low_shot_rows(labels: Labels, k: int, negatives_per_positive: int, seed: Sequence[int]) -> npt.NDArray[np.intp]:
    """Draws the training rows of one class and sample, without replacement.

    Args:
        labels: int8 [n]: 1 present, 0 absent, -1 only difficult objects (never drawn).
        k: Positives to draw.
        negatives_per_positive: Negatives to draw for each positive.
        seed: Integers that seed the draw: it depends on nothing else.

    Returns:
        Row indices in rising order [k * (1 + negatives_per_positive)].

    Raises:
        ValueError: There are too few rows.
    """
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    wanted = k * negatives_per_positive
    generator = np.random.default_rng(list(seed))
    drawn = [generator.choice(positives, k, replace=False), generator.choice(negatives, wanted, replace=False)]
    return np.sort(np.concatenate(drawn))


def low_shot_targets(labels: Labels, k: int, sample: int, negatives_per_positive: int, seed: int) -> Labels:
    """One low-shot sample in the reference's form: what :func:`low_shot_svm` trains on, of every class.

    Args:
        labels: int8 [n, classes], each class with enough rows.
        k: Positives of each class.
        sample: Number of the sample, from 0 on.
        negatives_per_positive: Negatives drawn for each positive.
        seed: Seed of the job.

    Returns:
        int8 [n, classes]: 1 for a drawn positive, 0 for a drawn negative, -1 for all else.
    """
    targets = np.full_like(labels, -1)
    for index in range(labels.shape[1]):
        rows = low_shot_rows(labels[:, index], k, negatives_per_positive, (seed, sample, k, index))
        targets[rows, index] = labels[rows, index]
    return targets


def low_shot_svm(
    data: SvmData,
    settings: SvmSettings,
    shots: Sequence[int],
    samples: int,
    negatives_per_positive: int,
    processes: int,
) -> dict[int, ShotResult]:
    """Trains each class on k positives and tests on the whole test split, for every k, sample and cost.

    As in the reference, the cost is chosen on the test set: for each k the one with the best mean over samples of
    the mean over classes. The number is therefore optimistic, and comparable to published ones for that reason.

    Args:
        data: Features and labels.
        settings: Costs and solver; its seed also draws the samples.
        shots: Values of k.
        samples: Independent samples of each k.
        negatives_per_positive: Negatives drawn for each positive.
        processes: How many tasks at a time; the results do not depend on it.

    Returns:
        One result for each k.
    """
    classes = range(data.train_labels.shape[1])
    tested = [index for index in classes if (data.test_labels[:, index] == 1).any()]
    left_out = tuple(data.classes[index] for index in classes if index not in tested)
    reasons = {k: _too_few(data, k, negatives_per_positive) for k in shots}
    if not tested:
        reasons = dict.fromkeys(shots, "no class has a positive in the test split")
    complete = [k for k in shots if not reasons[k]]
    grid = list(itertools.product(complete, range(samples), tested))
    tasks = [(data, index, k, sample, negatives_per_positive, settings) for k, sample, index in grid]
    found = dict(zip(grid, run_tasks(_shot, tasks, processes, "low-shot samples of a class"), strict=True))
    results = {}
    for k in shots:
        if reasons[k]:
            results[k] = ShotResult(None, reason=reasons[k], left_out=left_out)
            continue
        aps = np.array([[found[k, sample, index][0] for index in tested] for sample in range(samples)])
        means = aps.mean(axis=1)
        best = int(np.argmax(means.mean(axis=0)))
        unconverged = sum(found[k, sample, index][1] for sample in range(samples) for index in tested)
        results[k] = ShotResult(settings.costs[best], tuple(means[:, best].tolist()), "", left_out, unconverged)
    return results


def _too_few(data: SvmData, k: int, negatives_per_positive: int) -> str:
    """Which classes lack k positives or their negatives; empty where none does."""
    wanted = k * negatives_per_positive
    positives, negatives = (data.train_labels == 1).sum(axis=0), (data.train_labels == 0).sum(axis=0)
    lacking = [
        f"{name} has {have} and {have_not}"
        for name, have, have_not in zip(data.classes, positives.tolist(), negatives.tolist(), strict=True)
        if have < k or have_not < wanted
    ]
    if not lacking:
        return ""
    return f"k={k} needs {k} positives and {wanted} negatives of each class: {shortened(lacking)}"


def shortened(parts: Sequence[str], limit: int = 3) -> str:
    """Joins the first few parts and says how many more there are."""
    more = len(parts) - limit
    return ", ".join(parts[:limit]) + (f" and {more} more" if more > 0 else "")


def _shot(
    data: SvmData, index: int, k: int, sample: int, negatives_per_positive: int, settings: SvmSettings
) -> tuple[list[float], int]:
    """Test AP of one class and sample at each cost, and unconverged fits."""
    labels = data.train_labels[:, index]
    rows = low_shot_rows(labels, k, negatives_per_positive, (settings.seed, sample, k, index))
    features, targets = data.train[rows], signs(labels[rows])
    models = [fit(features, targets, cost, settings) for cost in settings.costs]
    return _test_aps(models, data, index), sum(int(model.n_iter_ >= settings.max_iter) for model in models)
