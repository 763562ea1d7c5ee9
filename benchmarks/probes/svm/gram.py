"""Gram matrices: the only form in which the exact solver sees features, so that its time does not grow with them."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.probes.svm.data import Floats
from results.errors import HarnessError

if TYPE_CHECKING:
    import torch

MOST_ROWS = 32768
"""Rows whose Gram matrix is still made: 8 GB in float64. VOC2007's 5,011 rows take 201 MB."""

RANK = 256
"""Leading eigenvectors that are kept for the preconditioner: 5 MB for VOC2007."""

OVERSAMPLING = 16
POWER_ITERATIONS = 2
"""Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithm 4.4: a few suffice where eigenvalues decay."""


@dataclasses.dataclass(frozen=True)
class GramMatrix:
    """Inner products of all training rows with each other, constant feature included, as arrays that processes share.

    The product of ``factor`` with its transpose is nearly ``products``; what is missing has no eigenvalue much above
    the last of ``eigenvalues``.

    Args:
        products: Float64 [n, n].
        factor: Float32 [n, r], leading eigenvectors times the square roots of their eigenvalues.
        eigenvalues: Float64 [r], falling.
    """

    products: Floats
    factor: npt.NDArray[np.float32]
    eigenvalues: Floats

    def of_rows(self, rows: npt.NDArray[np.intp], device: str = "cpu") -> Gram:
        """The part that belongs to some rows, int64 [k], as tensors on a device: a copy of 8 k^2 bytes."""
        import torch

        parts = (
            self.products[np.ix_(rows, rows)],
            self.factor[rows],
            self.eigenvalues * len(rows) / len(self.products),
        )
        return Gram(*(torch.from_numpy(part).to(device) for part in parts))


@dataclasses.dataclass(frozen=True)
class Gram:
    """Gram matrix of the rows of some problems, where these are solved.

    Args:
        products: Float64 [n, n].
        factor: Float32 [n, r], as in :class:`GramMatrix`.
        eigenvalues: Float64 [r], likewise, for so many rows.
    """

    products: torch.Tensor
    factor: torch.Tensor
    eigenvalues: torch.Tensor

    def __len__(self) -> int:
        return len(self.products)

    @functools.cached_property
    def single(self) -> torch.Tensor:
        """The products in float32, for the inner iterations; another 4 n^2 bytes."""
        return self.products.float()

    @functools.cached_property
    def row_norms(self) -> torch.Tensor:
        """Float64 [n], norms of the rows."""
        return self.products.diagonal().sqrt()


def gram_matrix(rows: Floats, intercept_scaling: float, device: str = "cpu") -> GramMatrix:
    """K = X X' with the constant feature, of float64 [n, d].

    Memory: 12 n^2 bytes, of which 8 n^2 stay. On the CPU numpy multiplies, whose BLAS computes one half of a symmetric
    product only.

    Raises:
        HarnessError: There are more rows than :data:`MOST_ROWS`.
    """
    import torch

    if len(rows) > MOST_ROWS:
        raise HarnessError(
            f"the Gram matrix of {len(rows)} training images would take {8 * len(rows) ** 2 / 1e9:.0f} GB",
            "voc07_svm.solver",
            "use --set voc07_svm.solver=liblinear",
        )
    if device == "cpu":
        products = rows @ rows.T
    else:
        on_device = torch.from_numpy(rows).to(device)
        products = (on_device @ on_device.T).cpu().numpy()
    products += intercept_scaling**2
    factor, eigenvalues = leading_part(torch.from_numpy(products).to(device, torch.float32))
    return GramMatrix(products, factor.cpu().numpy(), eigenvalues.cpu().numpy())


def leading_part(products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Leading eigenvectors, scaled, and eigenvalues of float32 [n, n] by randomised subspace iteration.

    They only precondition, so float32 does. The starting vectors are drawn from a fixed seed, on the CPU: the same
    matrix gives the same vectors.

    Returns:
        Factor float32 [n, r] and eigenvalues float64 [r], as in :class:`GramMatrix`.
    """
    import torch

    rank = min(RANK, len(products))
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(len(products), min(rank + OVERSAMPLING, len(products)), generator=generator)
    basis = basis.to(products.device)
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(products @ basis)[0]
    small = (basis.T @ (products @ basis)).double()
    eigenvalues, vectors = torch.linalg.eigh((small + small.T) / 2)
    # Rounding can leave the last ones of a matrix of lower rank below zero.
    eigenvalues = eigenvalues.flip(0)[:rank].clamp_min(0)
    return (basis @ vectors.flip(1)[:, :rank].float()) * eigenvalues.sqrt().float(), eigenvalues
