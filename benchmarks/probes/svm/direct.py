"""The Newton step by Cholesky factorisation, in float64: of one problem after the other, or of many small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.probes.svm.certificate import Solutions
from benchmarks.probes.svm.problems import Problems

if TYPE_CHECKING:
    import torch

    from benchmarks.probes.svm.gram import Gram


def newton_step(gram: Gram, problems: Problems, current: Solutions) -> torch.Tensor:
    """Coefficients that solve the problems as if their supports stayed what they are: (K + 1/d) b = y on them.

    Memory: 16 s^2 bytes for s supports. Duplicated rows and constant features do no harm: 1/d makes the matrix
    positive definite.

    Returns:
        Float64 [problems, n].
    """
    import torch

    coefficients = torch.zeros_like(current.coefficients)
    supports = (problems.targets * current.scores < 1) & (problems.penalties > 0)
    for number, mask in enumerate(supports):
        rows = mask.nonzero().squeeze(1)
        matrix = gram.products[rows][:, rows]
        matrix.diagonal().add_(1 / problems.penalties[number, rows])
        right = problems.targets[number, rows].unsqueeze(1)
        coefficients[number, rows] = torch.cholesky_solve(right, torch.linalg.cholesky(matrix)).squeeze(1)
    return coefficients


def small_newton_steps(products: torch.Tensor, problems: Problems, current: Solutions) -> torch.Tensor:
    """The same for many small problems at once, each with its own Gram matrix.

    Rows that are no supports get the equation b = 0, so that all matrices keep one size. Memory: 24 n^2 bytes a
    problem.

    Args:
        products: Float64 [problems, n, n].
        problems: The problems.
        current: Their present solutions.

    Returns:
        Float64 [problems, n].
    """
    import torch

    supports = (problems.targets * current.scores < 1) & (problems.penalties > 0)
    matrices = torch.where(supports[:, :, None] & supports[:, None, :], products, 0.0)
    matrices.diagonal(dim1=1, dim2=2).add_(torch.where(supports, 1 / problems.penalties, 1.0))
    right = torch.where(supports, problems.targets, 0.0).unsqueeze(2)
    return torch.cholesky_solve(right, torch.linalg.cholesky(matrices)).squeeze(2)
