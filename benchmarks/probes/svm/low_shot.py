"""The low-shot protocol: a few positives of each class, five samples, one cost for all classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.probes.svm.data import Labels, SvmData, SvmSettings, shortened
from benchmarks.probes.svm.full import make_solver
from benchmarks.probes.svm.solver import Fits, Sample


@dataclasses.dataclass(frozen=True)
class ShotResult:
    """The low-shot SVM of one k.

    Args:
        cost: The cost with the best mean test mAP over the samples, one for all classes; None without a value.
        samples: Test mAP between 0 and 1 of each sample at that cost.
        reason: Why there is no value.
        left_out: Classes without a positive in the test split, over which no mean goes.
        unconverged: Fits of liblinear that stopped at ``max_iter``.
        gap: Largest relative duality gap of the exact solver's fits.
    """

    cost: float | None
    samples: tuple[float, ...] = ()
    reason: str = ""
    left_out: tuple[str, ...] = ()
    unconverged: int = 0
    gap: float | None = None


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

    Raises:
        HarnessError: A feature is not finite, or a problem has no certificate.
    """
    data.require_finite()
    classes = range(data.train_labels.shape[1])
    tested = [index for index in classes if (data.test_labels[:, index] == 1).any()]
    left_out = tuple(data.classes[index] for index in classes if index not in tested)
    reasons = {k: _too_few(data, k, negatives_per_positive) for k in shots}
    if not tested:
        reasons = dict.fromkeys(shots, "no class has a positive in the test split")
    drawn = [
        Sample(k, number, _draw(data.train_labels, tested, k, number, negatives_per_positive, settings.seed))
        for k in shots
        if not reasons[k]
        for number in range(samples)
    ]
    found = make_solver(data, settings, processes).low_shot(drawn) if drawn else []
    results = {}
    for k in shots:
        fits = [one for sample, one in zip(drawn, found, strict=True) if sample.k == k]
        results[k] = _summary(fits, settings, left_out) if fits else ShotResult(None, (), reasons[k], left_out)
    return results


def _draw(
    labels: Labels, classes: Sequence[int], k: int, number: int, negatives: int, seed: int
) -> dict[int, npt.NDArray[np.intp]]:
    return {index: low_shot_rows(labels[:, index], k, negatives, (seed, number, k, index)) for index in classes}


def _summary(fits: Sequence[dict[int, Fits]], settings: SvmSettings, left_out: tuple[str, ...]) -> ShotResult:
    """Means over classes, then over samples, and the first of the best costs last."""
    aps = np.array([[one.aps for one in sample.values()] for sample in fits])
    means = aps.mean(axis=1)
    best = int(np.argmax(means.mean(axis=0)))
    every = [one for sample in fits for one in sample.values()]
    gaps = [one.gap for one in every if one.gap is not None]
    unconverged = sum(one.unconverged for one in every)
    values = tuple(means[:, best].tolist())
    return ShotResult(settings.costs[best], values, "", left_out, unconverged, max(gaps, default=None))


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
