"""A start for the next cost of a path, from the solutions at the costs before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.probes.svm.certificate import Solutions
from benchmarks.probes.svm.problems import Problems

if TYPE_CHECKING:
    import torch

    from benchmarks.probes.svm.newton import System

MEMORY = 4
"""Solutions that are combined: 16 n bytes a problem each."""

NEWTON_STEPS = 3


def proportional(system: System, targets: torch.Tensor, unit_penalties: torch.Tensor) -> Solutions:
    """What solutions become as the cost vanishes, up to a factor: coefficients proportional to the penalties.

    Args:
        system: Gram matrices.
        targets: Float64 [problems, n].
        unit_penalties: Float64 [problems, n], penalties at a cost of 1.
    """
    import torch

    start = unit_penalties * targets
    scores = system.scores(start, torch.arange(len(start), device=start.device))
    return Solutions(start, scores, torch.full_like(start[:, 0], torch.inf), torch.ones_like(start[:, 0]))


def combine(problems: Problems, solutions: Sequence[Solutions]) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearly the best linear combination of solutions to the same problems at other costs.

    Newton's method on the objective in as many variables as there are solutions (a Galerkin projection). Scores are
    combined like coefficients, so that this takes no product with the Gram matrix.

    Returns:
        Coefficients and scores, float64 [problems, n] each.
    """
    import torch

    basis = torch.stack([solution.coefficients for solution in solutions], dim=1)
    images = torch.stack([solution.scores for solution in solutions], dim=1)
    size = images.norm(dim=2, keepdim=True).clamp_min(1e-300)
    basis, images = basis / size, images / size
    norms = basis @ images.transpose(1, 2)
    scores = solutions[-1].scores
    for _ in range(NEWTON_STEPS):
        supports = problems.targets * scores < 1
        weighted = images * torch.where(supports, problems.penalties, 0.0)[:, None]
        hessian = norms + weighted @ images.transpose(1, 2)
        amounts = _solve_nearly_singular(hessian, weighted @ problems.targets.unsqueeze(2))
        scores = (amounts.transpose(1, 2) @ images).squeeze(1)
    return (amounts.transpose(1, 2) @ basis).squeeze(1), scores


def _solve_nearly_singular(matrices: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Least-norm solutions in units of the diagonal: solutions at neighbouring costs are nearly parallel."""
    import torch

    symmetric = (matrices + matrices.transpose(1, 2)) / 2
    units = symmetric.diagonal(dim1=1, dim2=2).clamp_min(1e-300).rsqrt()[:, :, None]
    eigenvalues, vectors = torch.linalg.eigh(units * symmetric * units.transpose(1, 2))
    inverse = torch.where(eigenvalues > 1e-13 * eigenvalues[:, -1:], 1 / eigenvalues, 0.0)
    solution: torch.Tensor = vectors @ (inverse[:, :, None] * (vectors.transpose(1, 2) @ (units * right)))
    return units * solution
