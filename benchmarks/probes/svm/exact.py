"""All SVMs of a layer exactly, from one Gram matrix that classes, costs, folds and samples share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.probes.average_precision import stepwise_average_precisions
from benchmarks.probes.parallel import run_tasks, torch_threads
from benchmarks.probes.svm import newton
from benchmarks.probes.svm.certificate import Solutions
from benchmarks.probes.svm.data import Floats, Labels, SvmData, SvmSettings, signs
from benchmarks.probes.svm.gram import GramMatrix, gram_matrix
from benchmarks.probes.svm.problems import Problems, on_device, penalties
from benchmarks.probes.svm.solver import Fits, Sample, aps_on_test, is_usable, stratified_folds
from benchmarks.probes.svm.warm_start import MEMORY, combine, proportional

if TYPE_CHECKING:
    import torch

DECIMALS = 10
"""To which scores are rounded before they rank, far below what the certificate resolves: rows that are copies of each
other then tie, as they do for liblinear, although sums of theirs run in another order."""


class ExactSolver:
    """Fits in groups that share rows, in processes; one thread each, so that no sum depends on their number.

    Memory, for n training rows: the Gram matrix takes 8 n^2 bytes (201 MB for VOC2007), which processes share; each of
    them needs up to as much again for the rows of a fold.

    Args:
        data: Features and labels.
        settings: Costs, folds, class weights and device.
        processes: How many groups at a time; the results do not depend on it. On a GPU it is always one.

    Raises:
        HarnessError: Too many rows for a Gram matrix.
    """

    def __init__(self, data: SvmData, settings: SvmSettings, processes: int) -> None:
        self._data = data
        self._settings = settings
        self._processes = processes if settings.device == "cpu" else 1
        self._starts: npt.NDArray[np.float64] | None = None
        with torch_threads(1):
            self._gram = gram_matrix(data.train, settings.intercept_scaling, settings.device)

    def cross_validate(self, classes: Sequence[int]) -> dict[int, list[Fits]]:
        """Each fold of all classes is one task; the mean of its solutions is where the final fits start."""
        targets = signs(self._data.train_labels[:, list(classes)])
        tasks = [(self._gram, targets, fold, self._settings) for fold in range(self._settings.folds)]
        found = run_tasks(_fold, tasks, self._processes, "cross-validation, folds of all classes")
        self._starts = np.zeros((len(self._settings.costs), self._data.train_labels.shape[1], len(targets)))
        for _, coefficients in found:
            self._starts[:, list(classes)] += coefficients / (self._settings.folds - 1)
        return {index: [fits[column] for fits, _ in found] for column, index in enumerate(classes)}

    def test(self, costs: Mapping[int, float]) -> dict[int, Fits]:
        if not costs:
            return {}
        classes = list(costs)
        chosen = [self._settings.costs.index(cost) for cost in costs.values()]
        if self._starts is None:
            start: Floats = np.zeros((len(classes), len(self._data.train)))
        else:
            start = self._starts[chosen, classes]
        labels = self._data.train_labels[:, classes]
        task = (self._gram, labels, tuple(costs.values()), start, self._data, self._settings)
        (found,) = run_tasks(_final, [task], 1, "final fits of all classes")
        scores, gaps = found
        return {
            index: Fits(aps_on_test(scores[[row]], self._data.test_labels[:, index]), gap=gaps[row])
            for row, index in enumerate(classes)
        }

    def low_shot(self, samples: Sequence[Sample]) -> list[dict[int, Fits]]:
        from benchmarks.probes.svm.exact_low_shot import sample_fits

        test = self._data.test.astype(np.float32)
        tasks = [(self._gram, self._data, test, sample, self._settings) for sample in samples]
        # The largest first: the last one to end is then a short one.
        order = sorted(range(len(samples)), key=lambda number: -samples[number].k)
        found = run_tasks(sample_fits, [tasks[number] for number in order], self._processes, "low-shot samples")
        return [fits for _, fits in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


def cost_path(
    system: newton.System, targets: torch.Tensor, unit_penalties: torch.Tensor, costs: Sequence[float]
) -> dict[float, Solutions]:
    """Solves problems at each cost, from the smallest up, each from those before it.

    Args:
        system: Gram matrices.
        targets: Float64 [problems, n].
        unit_penalties: Float64 [problems, n], penalties at a cost of 1.
        costs: Values of C.

    Returns:
        Solutions by cost.
    """
    memory = [proportional(system, targets, unit_penalties)]
    found: dict[float, Solutions] = {}
    for cost in sorted(costs):
        problems = Problems(targets, cost * unit_penalties)
        found[cost] = newton.solve(system, problems, *combine(problems, memory))
        memory = [*memory, found[cost]][-MEMORY:]
    return found


def _fold(
    gram: GramMatrix, targets: Labels, fold: int, settings: SvmSettings
) -> tuple[list[Fits], npt.NDArray[np.float32]]:
    """One fold of all classes.

    Each class has its own rows, which differ near the ends of its blocks: the group has those of any class, with a
    penalty of 0 where a class does not train on a row.

    Returns:
        Fits of each class and coefficients float32 [costs, classes, n].
    """
    count, classes = targets.shape
    splits = [stratified_folds(column, settings.folds)[fold] for column in targets.T]
    usable = [c for c, (train, held_out) in enumerate(splits) if is_usable(targets[:, c], train, held_out)]
    fits = [Fits(None) for _ in range(classes)]
    coefficients = np.zeros((len(settings.costs), classes, count), dtype=np.float32)
    if not usable:
        return fits, coefficients
    member = np.zeros((len(usable), count), dtype=bool)
    for number, c in enumerate(usable):
        member[number, splits[c][0]] = True
    rows = np.flatnonzero(member.any(axis=0))
    scores = np.empty((len(settings.costs), len(usable), count))
    with torch_threads(1):
        some = np.ascontiguousarray(targets[rows][:, usable].T)
        unit = penalties(some, 1.0, settings) * member[:, rows]
        shared = newton.SharedGram(gram.of_rows(rows, settings.device))
        found = cost_path(shared, on_device(some, settings), on_device(unit, settings), settings.costs)
        others = np.setdiff1d(np.arange(count), rows)
        beyond = gram.products[np.ix_(rows, others)]
        for number, cost in enumerate(settings.costs):
            exact = found[cost].coefficients.cpu().numpy()
            scores[number][:, rows] = found[cost].scores.cpu().numpy()
            scores[number][:, others] = exact @ beyond
            np.round(scores[number], DECIMALS, out=scores[number])
            coefficients[number][np.ix_(np.array(usable), rows)] = exact
    gaps = np.max([solution.relative_gaps.cpu().numpy() for solution in found.values()], axis=0)
    for number, c in enumerate(usable):
        held_out = splits[c][1]
        aps = stepwise_average_precisions(scores[:, number, held_out], targets[held_out, c] == 1)
        fits[c] = Fits(tuple(aps.tolist()), gap=float(gaps[number]))
    return fits, coefficients


def _final(
    gram: GramMatrix, labels: Labels, costs: Sequence[float], start: Floats, data: SvmData, settings: SvmSettings
) -> tuple[Floats, list[float]]:
    """Fits each class on all rows at its cost; test scores float64 [classes, m] and relative gaps."""
    targets = np.ascontiguousarray(signs(labels).T)
    with torch_threads(1):
        shared = newton.SharedGram(gram.of_rows(np.arange(len(labels)), settings.device))
        problems = Problems(
            on_device(targets, settings), on_device(penalties(targets, np.array(costs)[:, None], settings), settings)
        )
        begin = on_device(start, settings)
        found = newton.solve(shared, problems, begin, begin @ shared.gram.products)
        combination = found.coefficients.cpu().numpy()
    bias = settings.intercept_scaling**2 * combination.sum(axis=1, keepdims=True)
    scores = np.round((combination @ data.train) @ data.test.T + bias, DECIMALS)
    return scores, found.relative_gaps.tolist()
