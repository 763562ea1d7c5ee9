"""Exact solutions of many SVM problems on the same rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from benchmarks.probes.svm import conjugate_gradients, direct
from benchmarks.probes.svm.certificate import CERTIFIED, Solutions, certify
from benchmarks.probes.svm.problems import Problems
from results.errors import HarnessError

if TYPE_CHECKING:
    import torch

    from benchmarks.probes.svm.gram import Gram

TARGET = 1e-11
"""Relative duality gap that is aimed at: scores are then exact to a few 1e-6, far below what changes a ranking. A gap
of 1e-6 leaves the weights uncertain by a thousandth."""

MOST_STEPS = 30
"""Steps before a problem goes to factorisations alone; eight suffice as a rule."""

MOST_DIRECT_STEPS = 200

FEW_SUPPORTS = 800
EASY_RANK = 32
"""Up to so many supports a factorisation is quicker than conjugate gradients with a large preconditioner; measured on
one thread."""

SMALL_SHARE = 0.05
"""A step of which the line search takes less has not paid: float32 did not carry it, and a factorisation follows."""

LINE_ITERATIONS = 40


class System(Protocol):
    """The Gram matrices of some problems, one for all or one each."""

    def row_norms(self, live: torch.Tensor) -> torch.Tensor:
        """Norms of the rows of some problems, by number: float64 [n] or [live, n]."""

    def scores(self, coefficients: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        """Gram matrix times coefficients, float64 [live, n]."""

    def step(self, problems: Problems, current: Solutions, live: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
        """Coefficients that solve problems as if their supports stayed what they are.

        Args:
            problems: The live problems.
            current: Their present solutions.
            live: Their numbers.
            hard: Bool [live], which of them only a factorisation will help.
        """


@dataclasses.dataclass(frozen=True)
class SharedGram:
    """Problems on the same rows."""

    gram: Gram

    def row_norms(self, live: torch.Tensor) -> torch.Tensor:
        return self.gram.row_norms

    def scores(self, coefficients: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        return coefficients @ self.gram.products

    def step(self, problems: Problems, current: Solutions, live: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
        """Each problem goes the way that is quicker for its penalties and its number of supports."""
        import torch

        supports = ((problems.targets * current.scores < 1) & (problems.penalties > 0)).sum(dim=1)
        factorised = hard | ((supports <= FEW_SUPPORTS) & self._is_stiff(problems))
        coefficients = torch.empty_like(current.coefficients)
        if factorised.any():
            coefficients[factorised] = direct.newton_step(self.gram, problems[factorised], current[factorised])
        if not factorised.all():
            others = ~factorised
            iterated = conjugate_gradients.newton_step(self.gram, problems[others], current[others], TARGET)
            coefficients[others] = iterated
        return coefficients

    def _is_stiff(self, problems: Problems) -> torch.Tensor:
        """Whether conjugate gradients would need a preconditioner of more than :data:`EASY_RANK` vectors."""
        eigenvalues = self.gram.eigenvalues
        beyond = float(eigenvalues[EASY_RANK]) if len(eigenvalues) > EASY_RANK else 0.0
        return problems.penalties.amax(dim=1) * beyond > conjugate_gradients.STIFFNESS


@dataclasses.dataclass(frozen=True)
class OwnGrams:
    """Small problems on rows of their own, as many of each.

    Args:
        products: Float64 [grams, n, n].
        owner: int64 [problems], which Gram matrix is a problem's.
    """

    products: torch.Tensor
    owner: torch.Tensor

    def row_norms(self, live: torch.Tensor) -> torch.Tensor:
        return self.products.diagonal(dim1=1, dim2=2).sqrt()[self.owner[live]]

    def scores(self, coefficients: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        return (coefficients.unsqueeze(1) @ self.products[self.owner[live]]).squeeze(1)

    def step(self, problems: Problems, current: Solutions, live: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
        return direct.small_newton_steps(self.products[self.owner[live]], problems, current)


def solve(system: System, problems: Problems, start: torch.Tensor, start_scores: torch.Tensor) -> Solutions:
    """Solves problems to a relative duality gap of :data:`TARGET`, or as far as float64 carries.

    Newton's method on the squared hinge with an exact line search ends after finitely many steps, as there are
    finitely many sets of supports (Mangasarian 2002, A finite Newton method for classification). A problem that has
    not ended after :data:`MOST_STEPS` is solved by factorisations only.

    Args:
        system: Gram matrices of the rows.
        problems: The problems.
        start: Float64 [problems, n], coefficients to start from; 0 where the penalty is.
        start_scores: Float64 [problems, n], their scores.

    Returns:
        Solutions, each with a relative gap of at most :data:`CERTIFIED`.

    Raises:
        HarnessError: A problem cannot be certified.
    """
    import torch

    every = torch.arange(len(problems), device=start.device)
    found = certify(problems, start.clone(), start_scores.clone(), system.row_norms(every))
    _iterate(system, problems, found, MOST_STEPS, factorise=False)
    _iterate(system, problems, found, MOST_DIRECT_STEPS, factorise=True)
    # Not "greater than": NaN is no certificate.
    uncertain = ~(found.relative_gaps <= CERTIFIED)
    if uncertain.any():
        raise HarnessError(
            f"{int(uncertain.sum())} SVM problems have no certificate: relative duality gap "
            f"{float(found.relative_gaps[uncertain].max()):.1e}, not {CERTIFIED:g}",
            "voc07_svm.solver",
            "use --set voc07_svm.solver=liblinear, or smaller costs",
        )
    return found


def _iterate(system: System, problems: Problems, found: Solutions, steps: int, factorise: bool) -> None:
    """Steps, in place, until all gaps are small, factorised steps change nothing, or the steps are used up."""
    import torch

    live = (~(found.relative_gaps <= TARGET)).nonzero().squeeze(1)
    hard = torch.full_like(live, factorise, dtype=torch.bool)
    for _ in range(steps):
        if not len(live):
            return
        current, some, norms = found[live], problems[live], system.row_norms(live)
        coefficients = system.step(some, current, live, hard)
        reached = certify(some, coefficients, system.scores(coefficients, live), norms)
        ended = reached.relative_gaps <= TARGET
        if not ended.all():
            share = torch.where(ended, 1.0, line_search(some, current, reached))
            reached = _between(some, current, reached, share, norms)
            hard = hard | (share < SMALL_SHARE)
        # Where float64 carries no further, the supports stay and a factorised step changes nothing but the last bits.
        settled = (reached.objectives >= current.objectives) & (reached.relative_gaps <= CERTIFIED)
        found.put(live, reached)
        going = ~(ended | (settled & hard))
        live, hard = live[going], hard[going]


def _between(
    problems: Problems, current: Solutions, reached: Solutions, share: torch.Tensor, row_norms: torch.Tensor
) -> Solutions:
    """The point at a share of the way from the present coefficients to those of the step."""
    part = share[:, None]
    coefficients = current.coefficients + part * (reached.coefficients - current.coefficients)
    scores = current.scores + part * (reached.scores - current.scores)
    return certify(problems, coefficients, scores, row_norms)


def line_search(problems: Problems, current: Solutions, reached: Solutions) -> torch.Tensor:
    """Where from current (0) through reached (1) the objective is least: float64 [problems], from 0 to 2.

    The objective is convex and piecewise quadratic on the line; Newton's method in one variable, kept inside a
    shrinking bracket.
    """
    import torch

    step = reached.coefficients - current.coefficients
    step_scores = reached.scores - current.scores
    quadratic = (step * step_scores).sum(dim=1)
    linear = (step * current.scores).sum(dim=1)
    margin = 1 - problems.targets * current.scores
    margin_step = problems.targets * step_scores
    share = torch.ones_like(quadratic)
    low, high = torch.zeros_like(share), torch.full_like(share, 2.0)
    for _ in range(LINE_ITERATIONS):
        slack = margin - share[:, None] * margin_step
        weighted = torch.where(slack > 0, problems.penalties * margin_step, 0.0)
        slope = quadratic * share + linear - (weighted * slack).sum(dim=1)
        curvature = (quadratic + (weighted * margin_step).sum(dim=1)).clamp_min(1e-300)
        if (slope.abs() <= 1e-9 * curvature).all():
            break
        high = torch.where(slope > 0, torch.minimum(high, share), high)
        low = torch.where(slope < 0, torch.maximum(low, share), low)
        proposed = share - slope / curvature
        share = torch.where((proposed < low) | (proposed > high), 0.5 * (low + high), proposed)
    return share
