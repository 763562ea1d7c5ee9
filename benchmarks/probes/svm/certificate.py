"""The objective of an L2-regularised squared-hinge SVM, its dual, and the gap between them.

The problem is liblinear's (Fan et al. 2008, LIBLINEAR, section 3; ``L2R_L2LOSS_SVC``), with the bias as the weight of a
constant feature that is regularised like any other::

    P(w) = |w|^2 / 2 + sum_i C c_i max(0, 1 - y_i f_i)^2,        f = X w
    D(a) = sum_i a_i - |X' (y a)|^2 / 2 - sum_i a_i^2 / (2 d_i), a_i >= 0, d_i = 2 C c_i

The weights are always a combination of rows, w = X' b, so that f = K b and the squared norm of w is b' K b, with
the Gram matrix K = X X'. For every b and a, P(X' b) >= min P = max D >= D(a): the gap bounds how far b is from the
optimum.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from benchmarks.probes.svm.problems import Problems

CERTIFIED = 1e-6
"""Largest relative duality gap, (P - D) / P, with which a solution is given out."""


@dataclasses.dataclass(frozen=True)
class Solutions:
    """Solutions of problems.

    Args:
        coefficients: Float64 [problems, rows], b.
        scores: Float64 [problems, rows], f = K b.
        gaps: Float64 [problems], upper bounds of P(X' b) - min P.
        objectives: Float64 [problems], P(X' b).
    """

    coefficients: torch.Tensor
    scores: torch.Tensor
    gaps: torch.Tensor
    objectives: torch.Tensor

    @property
    def relative_gaps(self) -> torch.Tensor:
        """Float64 [problems], the certificate; P is more than 0, as no weights give margins and no norm at once."""
        return self.gaps / self.objectives

    def __getitem__(self, chosen: torch.Tensor) -> Solutions:
        parts = (self.coefficients, self.scores, self.gaps, self.objectives)
        return Solutions(*(part[chosen] for part in parts))

    def put(self, chosen: torch.Tensor, others: Solutions) -> None:
        """Overwrites some of the solutions, in place."""
        for name in ("coefficients", "scores", "gaps", "objectives"):
            getattr(self, name)[chosen] = getattr(others, name)


def certify(problems: Problems, coefficients: torch.Tensor, scores: torch.Tensor, row_norms: torch.Tensor) -> Solutions:
    """Computes objective and gap of coefficients whose scores are known.

    The dual point is a = max(0, y b). Where b has a wrong sign, by e, the scores of a are not known; its norm is then
    bounded by the triangle inequality, norm(X' e) <= sum_i abs(e_i) norm(x_i), so that the gap is an upper bound and
    costs no product with K.

    Args:
        problems: The problems.
        coefficients: Float64 [problems, rows], b; 0 where the penalty is.
        scores: Float64 [problems, rows], K b.
        row_norms: Float64 [rows] or [problems, rows], norms of the rows with the constant feature.
    """
    targets, penalties = problems.targets, problems.penalties
    halved_norm = 0.5 * (coefficients * scores).sum(dim=1)
    slack = (1 - targets * scores).clamp_min_(0)
    primal = halved_norm + 0.5 * (penalties * slack * slack).sum(dim=1)
    dual_point = (targets * coefficients).clamp_min_(0)
    moved = targets * dual_point - coefficients
    norm_of_moved = (moved.abs() * row_norms).sum(dim=1)
    halved_dual_norm = halved_norm + (moved * scores).sum(dim=1) + 0.5 * norm_of_moved * norm_of_moved
    inverse = 1 / penalties.clamp_min(1e-300)
    curvature = (dual_point * dual_point * inverse).sum(dim=1)
    dual = dual_point.sum(dim=1) - halved_dual_norm - 0.5 * curvature
    return Solutions(coefficients, scores, primal - dual, primal)
