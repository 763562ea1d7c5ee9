"""The low-shot problems of one sample, all classes and costs, by the exact solver."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.probes.parallel import torch_threads
from benchmarks.probes.svm import newton
from benchmarks.probes.svm.certificate import Solutions
from benchmarks.probes.svm.data import Floats, SvmData, SvmSettings, signs
from benchmarks.probes.svm.gram import GramMatrix
from benchmarks.probes.svm.problems import Problems, on_device, penalties
from benchmarks.probes.svm.solver import Fits, Sample, aps_on_test
from benchmarks.probes.svm.warm_start import MEMORY, combine, proportional

SMALL = 200
"""Up to so many rows the problems of all classes are solved in one batch of factorisations: at most 61 MB of matrices
for 20 classes of 19 costs, three times over."""

GROUPS = (0.006, 0.1)
"""Costs up to here are solved in two groups, each from the one before it and with one preconditioner."""


def sample_fits(
    gram: GramMatrix, data: SvmData, test: npt.NDArray[np.float32], sample: Sample, settings: SvmSettings
) -> dict[int, Fits]:
    """Solves one sample of all classes at all costs, and tests it.

    The coefficients are computed in float64. The test scores, by far the largest product, are float32: their rounding,
    some 1e-7, exchanges only test images whose scores agree to as much.

    Args:
        gram: Gram matrix of all training rows.
        data: Features and labels.
        test: Float32 [m, d], its test features.
        sample: Rows of each class.
        settings: Costs and class weights.

    Returns:
        Fits of each class.
    """
    classes, costs = list(sample.rows), len(settings.costs)
    with torch_threads(1):
        few = len(next(iter(sample.rows.values()))) <= SMALL
        solved = _batched(gram, data, sample, settings) if few else _one_by_one(gram, data, sample, settings)
        weights = np.empty((len(classes) * costs, data.train.shape[1]), dtype=np.float32)
        bias = np.empty(len(weights), dtype=np.float32)
        gaps = []
        for number, (index, (combination, gap)) in enumerate(zip(classes, solved, strict=True)):
            part = slice(number * costs, (number + 1) * costs)
            weights[part] = combination @ data.train[sample.rows[index]]
            bias[part] = settings.intercept_scaling**2 * combination.sum(axis=1)
            gaps.append(gap)
        scores = (weights @ test.T + bias[:, None]).reshape(len(classes), costs, -1)
    return {
        index: Fits(aps_on_test(scores[number], data.test_labels[:, index]), gap=gaps[number])
        for number, index in enumerate(classes)
    }


def _batched(gram: GramMatrix, data: SvmData, sample: Sample, settings: SvmSettings) -> list[tuple[Floats, float]]:
    """Solves all classes and costs at once; of each class coefficients [costs, rows] and largest relative gap."""
    import torch

    costs, rows = np.array(settings.costs), list(sample.rows.values())
    products = np.stack([gram.products[np.ix_(some, some)] for some in rows])
    targets = np.stack([signs(data.train_labels[some, index]) for index, some in sample.rows.items()])
    own = penalties(targets[:, None, :], costs[:, None], settings).reshape(-1, targets.shape[1])
    problems = Problems(on_device(targets.repeat(len(costs), axis=0), settings), on_device(own, settings))
    owner = torch.arange(len(rows), device=settings.device).repeat_interleave(len(costs))
    zero = torch.zeros_like(problems.targets)
    found = newton.solve(newton.OwnGrams(on_device(products, settings), owner), problems, zero, zero)
    return [_of_class(found, number, len(costs)) for number in range(len(rows))]


def _of_class(found: Solutions, number: int, costs: int) -> tuple[Floats, float]:
    part = slice(number * costs, (number + 1) * costs)
    return found.coefficients[part].cpu().numpy(), float(found.relative_gaps[part].max())


def _one_by_one(gram: GramMatrix, data: SvmData, sample: Sample, settings: SvmSettings) -> list[tuple[Floats, float]]:
    """The same class after class: small costs in groups, then each cost from those before it."""
    import torch

    order = sorted(range(len(settings.costs)), key=lambda number: settings.costs[number])
    results: list[tuple[Floats, float]] = []
    for index, rows in sample.rows.items():
        shared = newton.SharedGram(gram.of_rows(rows, settings.device))
        targets = signs(data.train_labels[rows, index])
        row = on_device(targets[None], settings)
        unit = on_device(penalties(targets[None], 1.0, settings), settings)
        memory = [proportional(shared, row, unit)]
        combination, gap = np.empty((len(order), len(rows))), 0.0
        for group in _groups(settings.costs, order):
            costs = on_device(np.array([[settings.costs[number]] for number in group]), settings)
            problems = Problems(row.expand(len(group), -1), costs * unit)
            found = newton.solve(shared, problems, *combine(problems, memory[-MEMORY:]))
            combination[group] = found.coefficients.cpu().numpy()
            gap = max(gap, float(found.relative_gaps.max()))
            memory += [found[torch.tensor([number])] for number in range(len(group))]
        results.append((combination, gap))
    return results


def _groups(costs: Sequence[float], order: Sequence[int]) -> list[list[int]]:
    """Numbers of the costs that are solved together, from the smallest up; those above all groups are alone."""

    def place(number: int) -> tuple[int, float]:
        above = bisect.bisect_left(GROUPS, costs[number])
        return above, costs[number] if above == len(GROUPS) else 0.0

    return [list(group) for _, group in itertools.groupby(order, key=place)]
