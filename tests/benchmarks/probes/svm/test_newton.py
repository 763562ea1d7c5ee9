"""Solutions of single problems against scikit-learn's primal solver, and what the certificate is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC

from benchmarks.probes.svm import conjugate_gradients, direct, gram, newton
from benchmarks.probes.svm.certificate import CERTIFIED, Solutions, certify
from benchmarks.probes.svm.gram import GramMatrix, gram_matrix
from benchmarks.probes.svm.problems import Problems
from benchmarks.probes.svm.warm_start import combine, proportional
from results.errors import HarnessError


def make(rows: int, dimension: int, problems: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Rows of norm 1 whose spectrum falls, and noisy targets."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, dimension)) / np.sqrt(1 + np.arange(dimension)) + 0.3
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    directions = random.normal(size=(dimension, problems))
    values = (features - features.mean(0)) @ directions
    values += values.std() * random.normal(size=values.shape)
    return features, np.where(np.quantile(values, 0.7) < values.T, 1.0, -1.0)


def weighted(targets: Any, cost: float) -> Problems:
    return Problems(torch.from_numpy(targets), torch.from_numpy(2 * cost * np.where(targets > 0, 2.0, 1.0)))


def shared(matrix: GramMatrix) -> newton.SharedGram:
    return newton.SharedGram(matrix.of_rows(np.arange(len(matrix.products))))


def solve(features: Any, targets: Any, cost: float) -> Solutions:
    system = shared(gram_matrix(features, 1.0))
    zero = torch.zeros(targets.shape, dtype=torch.float64)
    return newton.solve(system, weighted(targets, cost), zero, zero)


def primal(features: Any, target: Any, weights: Any, cost: float) -> float:
    """The objective as the paper writes it; the last weight is the bias."""
    slack = np.maximum(0, 1 - target * (features @ weights[:-1] + weights[-1]))
    return float(0.5 * weights @ weights + cost * (np.where(target > 0, 2, 1) * slack**2).sum())


@pytest.mark.parametrize("cost", [1e-6, 0.01, 1.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize(("rows", "dimension"), [(300, 40), (200, 500)])
@pytest.mark.parametrize("way", ["conjugate gradients", "factorisation"])
def test_weights_are_those_of_the_primal_solver(
    rows: int, dimension: int, cost: float, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton, "FEW_SUPPORTS", 0 if way == "conjugate gradients" else 10**6)
    monkeypatch.setattr(newton, "EASY_RANK", -1)
    features, targets = make(rows, dimension)
    found = solve(features, targets, cost)
    assert float(found.relative_gaps.max()) <= newton.TARGET
    for number, target in enumerate(targets):
        machine = LinearSVC(C=cost, class_weight={1: 2, -1: 1}, dual=False, tol=1e-10, max_iter=100_000)
        machine.fit(features, target)
        reference = np.append(machine.coef_[0], machine.intercept_)
        combination = found.coefficients[number].numpy()
        weights = np.append(combination @ features, combination.sum())
        # A relative gap of 1e-11 bounds the weights' distance by sqrt(2e-11 P); P is about half their square norm.
        assert np.linalg.norm(weights - reference) <= 2e-5 * np.linalg.norm(reference)
        assert primal(features, target, weights, cost) == pytest.approx(float(found.objectives[number]), rel=1e-10)
        assert primal(features, target, weights, cost) <= primal(features, target, reference, cost) * (1 + 1e-11)


def test_the_gap_bounds_the_distance_from_the_optimum_at_every_point() -> None:
    features, targets = make(120, 30)
    system, problems = shared(gram_matrix(features, 1.0)), weighted(targets, 1.0)
    optimum = solve(features, targets, 1.0)
    random = torch.Generator().manual_seed(0)
    for scale in (0.0, 1e-6, 1e-3, 0.1, 1.0):
        for _ in range(20):
            noise = torch.randn(targets.shape, generator=random, dtype=torch.float64)
            coefficients = optimum.coefficients + scale * noise
            point = certify(problems, coefficients, coefficients @ system.gram.products, system.gram.row_norms)
            assert bool((point.gaps >= point.objectives - optimum.objectives - 1e-12).all())
            assert scale == 0 or float(point.relative_gaps.min()) > scale**2 / 100, "a wrong point is not certified"


def test_a_solution_that_is_not_converged_is_not_certified() -> None:
    """As a solver once gave out that scored 0.7 mAP too high: scores near the optimum, coefficients not."""
    features, targets = make(300, 40)
    problems, system = weighted(targets, 10.0), shared(gram_matrix(features, 1.0))
    zero = torch.zeros(targets.shape, dtype=torch.float64)
    once = conjugate_gradients.newton_step(system.gram, problems, certify(problems, zero, zero, zero[0]), 1e-3)
    point = certify(problems, once, once @ system.gram.products, system.gram.row_norms)
    assert float(point.relative_gaps.min()) > CERTIFIED


def test_what_iterations_do_not_solve_is_factorised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "FEW_SUPPORTS", 0)
    features, targets = make(200, 60)
    expected = solve(features, targets, 1.0)
    for useless in (lambda gram, problems, current, target: 0 * current.coefficients, _noise):
        monkeypatch.setattr(conjugate_gradients, "newton_step", useless)
        found = solve(features, targets, 1.0)
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=0)
        assert float(found.relative_gaps.max()) <= newton.TARGET


def _noise(system: Any, problems: Problems, current: Solutions, target: float) -> torch.Tensor:
    return current.coefficients + torch.randn_like(current.coefficients)


def test_without_a_certificate_nothing_is_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conjugate_gradients, "newton_step", _noise)
    monkeypatch.setattr(direct, "newton_step", lambda system, problems, current: 0 * current.coefficients)
    features, targets = make(60, 20)
    with pytest.raises(HarnessError, match="3 SVM problems have no certificate"):
        solve(features, targets, 1.0)


def test_rows_with_a_penalty_of_zero_are_not_trained_on() -> None:
    features, targets = make(150, 30)
    problems = weighted(targets, 1.0)
    problems.penalties[:, 100:] = 0
    zero = torch.zeros(targets.shape, dtype=torch.float64)
    found = newton.solve(shared(gram_matrix(features, 1.0)), problems, zero, zero)
    alone = solve(features[:100], targets[:, :100], 1.0)
    assert float(found.coefficients[:, 100:].abs().max()) == 0
    torch.testing.assert_close(found.scores[:, :100], alone.scores, atol=1e-5, rtol=0)


@pytest.mark.parametrize("targets", [np.ones((1, 40)), -np.ones((1, 40))])
def test_one_class_only(targets: Any) -> None:
    """No protocol asks for it, but a solver must not divide by zero."""
    features, _ = make(40, 10)
    found = solve(features, targets, 10.0)
    assert float(found.relative_gaps.max()) <= CERTIFIED
    assert bool((found.scores * torch.from_numpy(targets) > 0.9).all())


def test_many_small_problems_equal_each_alone() -> None:
    parts = [make(30, 8, seed=seed) for seed in range(4)]
    products = torch.stack([torch.from_numpy(features @ features.T + 1) for features, _ in parts])
    targets = np.concatenate([targets for _, targets in parts])
    system = newton.OwnGrams(products, torch.arange(4).repeat_interleave(3))
    zero = torch.zeros(12, 30, dtype=torch.float64)
    found = newton.solve(system, weighted(targets, 10.0), zero, zero)
    for number, (features, own) in enumerate(parts):
        alone = solve(features, own, 10.0)
        torch.testing.assert_close(found.scores[3 * number : 3 * number + 3], alone.scores, atol=1e-5, rtol=0)


def test_the_line_search_finds_the_least_of_a_fine_grid() -> None:
    features, targets = make(100, 20)
    system, problems = shared(gram_matrix(features, 1.0)), weighted(targets, 3.0)
    random = torch.Generator().manual_seed(3)
    for _ in range(10):
        ends = []
        for _ in range(2):
            coefficients = torch.randn(targets.shape, generator=random, dtype=torch.float64) / 30
            scores = coefficients @ system.gram.products
            ends.append(certify(problems, coefficients, scores, system.gram.row_norms))
        share = newton.line_search(problems, *ends)
        grid = torch.linspace(0, 2, 201, dtype=torch.float64)
        values = torch.stack([newton._between(problems, *ends, one.expand(3), zero_norms()).objectives for one in grid])
        best = newton._between(problems, *ends, share, zero_norms()).objectives
        assert bool((best <= values.min(dim=0).values * (1 + 1e-9)).all())


def zero_norms() -> torch.Tensor:
    return torch.zeros(100, dtype=torch.float64)


def test_a_combination_is_at_least_as_good_as_its_parts() -> None:
    features, targets = make(200, 30)
    system = shared(gram_matrix(features, 1.0))
    unit = weighted(targets, 1.0)
    memory = [proportional(system, unit.targets, unit.penalties)]
    for cost in (0.01, 0.02, 0.04):
        problems = weighted(targets, cost)
        start, scores = combine(problems, memory)
        torch.testing.assert_close(scores, start @ system.gram.products, atol=1e-8, rtol=1e-8)
        begin = certify(problems, start, scores, system.gram.row_norms).objectives
        for part in memory:
            value = certify(problems, part.coefficients, part.scores, system.gram.row_norms).objectives
            assert bool((begin <= value * (1 + 1e-6)).all())
        memory.append(newton.solve(system, problems, start, scores))


def test_the_leading_part_of_a_matrix_of_low_rank_is_the_matrix() -> None:
    features, _ = make(120, 9)
    matrix = gram_matrix(features, 2.0)
    np.testing.assert_allclose(matrix.products, features @ features.T + 4, atol=1e-12)
    np.testing.assert_allclose(matrix.factor @ matrix.factor.T, matrix.products, atol=1e-4)
    assert np.all(np.diff(matrix.eigenvalues) <= 0)


def test_too_many_rows_for_a_gram_matrix_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "MOST_ROWS", 50)
    with pytest.raises(HarnessError, match="Gram matrix of 51 training images"):
        gram_matrix(np.ones((51, 2)), 1.0)
