"""The Newton step of many problems at once by preconditioned conjugate gradients, in float32."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from benchmarks.probes.svm.certificate import Solutions
from benchmarks.probes.svm.problems import Problems

if TYPE_CHECKING:
    import torch

    from benchmarks.probes.svm.gram import Gram

MOST_ITERATIONS = 60

REDUCTION = 1e-8
"""What a step leaves of the squared residual. With 1e-5 some problems did not settle on their supports in 30 steps;
less takes more iterations and saves no steps."""

STIFFNESS = 8.0
"""Eigenvectors whose eigenvalue times the largest penalty is above this go into the preconditioner; measured."""

LEAST_RANK = 8


@dataclasses.dataclass(frozen=True)
class Preconditioner:
    """An inverse of I + S (L L' + t I) S for each problem, by Woodbury's identity.

    Args:
        scale: Float32 [problems, n], S: square roots of the penalties on the supports, 0 elsewhere.
        ridge: Float32 [problems, n], 1 + t S^2.
        factor: Float32 [n, r], L.
        inner: Float32 [problems, r, r], Cholesky factors of I + L' (S^2 / ridge) L.
    """

    scale: torch.Tensor
    ridge: torch.Tensor
    factor: torch.Tensor
    inner: torch.Tensor

    @staticmethod
    def build(gram: Gram, scale: torch.Tensor) -> Preconditioner:
        """Takes as many eigenvectors as the largest penalty asks for; time 2 n r^2 a problem."""
        import torch

        eigenvalues = gram.eigenvalues
        stiff = int((eigenvalues * float(scale.max()) ** 2 > STIFFNESS).sum())
        rank = min(max(LEAST_RANK, stiff), len(eigenvalues))
        factor = gram.factor[:, :rank].contiguous()
        # Half of the last eigenvalue that is taken stands for all that are not.
        ridge = 1 + 0.5 * float(eigenvalues[rank - 1]) * scale * scale
        weights = scale * scale / ridge
        inner = torch.empty(len(scale), rank, rank, device=scale.device)
        for number, row in enumerate(weights):
            torch.mm(factor.T, factor * row[:, None], out=inner[number])
        inner.diagonal(dim1=1, dim2=2).add_(1)
        return Preconditioner(scale, ridge, factor, torch.linalg.cholesky(inner))

    def __getitem__(self, chosen: torch.Tensor) -> Preconditioner:
        return Preconditioner(self.scale[chosen], self.ridge[chosen], self.factor, self.inner[chosen])

    def apply(self, vectors: torch.Tensor) -> torch.Tensor:
        """The inverse times float32 [problems, n]."""
        import torch

        small = vectors / self.ridge
        leading = (self.scale * small) @ self.factor
        leading = torch.cholesky_solve(leading.unsqueeze(2), self.inner).squeeze(2)
        return small - self.scale / self.ridge * (leading @ self.factor.T)


def newton_step(gram: Gram, problems: Problems, current: Solutions, target: float) -> torch.Tensor:
    """Coefficients that solve the problems as if their supports stayed what they are.

    Rows with y f < 1 are supports. On them the optimum satisfies (K + 1/d) b = y, elsewhere b = 0; with b = S v the
    system is (I + S K S) v = S y, whose residual r leaves a duality gap of r' r / 2 (Chapelle 2007, Training a
    support vector machine in the primal). The correction to the present coefficients is computed in float32 from a
    residual in float64; what float32 leaves over the next step corrects.

    Args:
        gram: Gram matrix of the rows.
        problems: The problems.
        current: Their present coefficients.
        target: Relative duality gap below which a residual need not fall.

    Returns:
        Float64 [problems, n].
    """
    import torch

    targets, coefficients = problems.targets, current.coefficients
    supports = (targets * current.scores < 1) & (problems.penalties > 0)
    scale = torch.where(supports, problems.penalties, 0.0).sqrt()
    kept = torch.where(supports, coefficients, 0.0)
    scores = current.scores
    dropped = (kept != coefficients).any(dim=1)
    if dropped.any():
        lost = (coefficients - kept)[dropped].float() @ gram.single
        scores = scores.clone()
        scores[dropped] -= lost.double()
    residual = scale * (targets - scores) - torch.where(supports, kept / scale, 0.0)
    enough = torch.maximum(0.2 * target * current.objectives, REDUCTION * (residual * residual).sum(dim=1))
    correction = _conjugate_gradients(gram, scale.float(), residual.float(), enough.float())
    return kept + scale * correction.double()


def _conjugate_gradients(gram: Gram, scale: torch.Tensor, residual: torch.Tensor, enough: torch.Tensor) -> torch.Tensor:
    """Solves (I + S K S) v = r for all problems; each leaves the product when its squared residual is small enough."""
    import torch

    answer = torch.zeros_like(residual)
    live = torch.arange(len(residual), device=residual.device)
    preconditioner = Preconditioner.build(gram, scale)
    found, residual = torch.zeros_like(residual), residual.clone()
    preconditioned = preconditioner.apply(residual)
    direction, product = preconditioned, (residual * preconditioned).sum(dim=1)
    for _ in range(MOST_ITERATIONS):
        image = direction + preconditioner.scale * ((preconditioner.scale * direction) @ gram.single)
        length = (product / (direction * image).sum(dim=1).clamp_min(1e-30))[:, None]
        found += length * direction
        residual -= length * image
        going = (residual * residual).sum(dim=1) > enough
        if not going.all():
            answer[live] = found
            live, enough, found, residual = live[going], enough[going], found[going], residual[going]
            direction, product, preconditioner = direction[going], product[going], preconditioner[going]
            if not len(live):
                return answer
        preconditioned = preconditioner.apply(residual)
        before, product = product, (residual * preconditioned).sum(dim=1)
        direction = preconditioned + (product / before.clamp_min(1e-30))[:, None] * direction
    answer[live] = found
    return answer
