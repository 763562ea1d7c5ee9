"""Weighted k-nearest-neighbour classification on frozen features, exact, in one pass over the bank for every k.

After Wu et al. 2018, arXiv:1805.01978, section 3.4, with the arithmetic of
``mmselfsup/evaluation/functional/knn_eval.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.probes.parallel import log_progress

if TYPE_CHECKING:
    import torch

QUERY_ROWS = 1024
BANK_ROWS = 16384
"""Rows compared at a time: 67 MB of similarities, and as many bits again for those that enter the running neighbours.
They do not change the result."""

EPSILON = 1e-12
"""Least norm by which a row is divided (``torch.nn.functional.normalize``)."""


def normalise_rows_(features: torch.Tensor) -> torch.Tensor:
    """Divides each row of float32 [n, d] by its Euclidean norm, in place: ImageNet's bank is 10 GB.

    Returns:
        The same tensor.
    """
    return features.div_(features.norm(dim=1, keepdim=True).clamp_min_(EPSILON))


def knn_predictions(
    bank: torch.Tensor,
    bank_labels: torch.Tensor,
    queries: torch.Tensor,
    ks: Sequence[int],
    temperature: float,
    classes: int,
    top: int = 5,
    query_rows: int = QUERY_ROWS,
    bank_rows: int = BANK_ROWS,
) -> dict[int, torch.Tensor]:
    """Classes of each query, best first.

    Each of the k bank rows of largest inner product s votes for its class with exp(s / temperature). Of equal
    products the lower bank index comes first, of equal votes the lower class. Products are float32 (no TF32), so
    images that are copies of each other can differ in the last bit from chunk to chunk; votes are float64.

    Args:
        bank: Float32 [n, d], rows of norm 1, so that products are cosines; on the device that computes.
        bank_labels: int64 [n].
        queries: Float32 [m, d], rows of norm 1; on any device.
        ks: Numbers of neighbours, each from 1 to n.
        temperature: Softness of the votes.
        classes: Number of classes.
        top: How many classes to give; fewer where k or the number of classes is smaller.
        query_rows: Queries in a chunk.
        bank_rows: Bank rows in a chunk.

    Returns:
        For each k, int64 [m, min(top, k, classes)], on the CPU.

    Raises:
        ValueError: A k is below 1 or above n.
    """
    import torch

    if not all(1 <= k <= len(bank) for k in ks):
        raise ValueError(f"k must be from 1 to the bank's {len(bank)} rows, not {list(ks)}")
    if not ks:
        return {}
    labels = bank_labels.to(bank.device)
    found: dict[int, list[torch.Tensor]] = {k: [] for k in ks}
    chunks = torch.split(queries, query_rows)
    for chunk in log_progress(chunks, len(chunks), "kNN query chunks"):
        products, indices = nearest(bank, chunk.to(bank.device), max(ks), bank_rows)
        weights = (products.double() / temperature).exp()
        votes = torch.zeros(len(chunk), classes, dtype=torch.float64, device=bank.device)
        counted = 0
        for k in sorted(set(ks)):
            # Votes are added from the nearest on, whatever the list of k.
            votes.scatter_add_(1, labels[indices[:, counted:k]], weights[:, counted:k])
            counted = k
            found[k].append(_first_of_largest(votes, min(top, k, classes))[1].cpu())
    return {k: torch.cat(parts) for k, parts in found.items()}


def nearest(
    bank: torch.Tensor, queries: torch.Tensor, k: int, bank_rows: int = BANK_ROWS
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k bank rows of largest inner product, largest first, of equals the lower index first.

    The bank is passed once. After its first rows, only products above a query's k-th largest so far are looked at:
    with chunk after chunk these become few, and an equal one has the higher index and does not enter.

    Args:
        bank: Float32 [n, d].
        queries: Float32 [m, d], on the bank's device.
        k: At most n.
        bank_rows: Bank rows in a chunk.

    Returns:
        Inner products float32 [m, k] and bank indices int64 [m, k].
    """
    best, indices = _first_of_largest(inner_products(queries, bank[:bank_rows]), min(k, bank_rows, len(bank)))
    for start in range(bank_rows, len(bank), bank_rows):
        products = inner_products(queries, bank[start : start + bank_rows])
        if best.shape[1] < k:
            values, columns = _first_of_largest(products, min(k, products.shape[1]))
        else:
            values, columns = _above(products, best[:, -1:])
        best, indices = _merge(best, indices, values, columns + start, k)
    return best, indices


def inner_products(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Float32 [m, d] and [n, d] to [m, n]. On a CPU by numpy, whose BLAS was measured a fifth faster than torch's."""
    import torch

    if rows.device.type == "cpu":
        return torch.from_numpy(rows.numpy() @ others.numpy().T)
    return rows @ others.T


def _above(values: torch.Tensor, threshold: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The values of each row that are above its threshold, in the order of their columns.

    Args:
        values: Float [m, n].
        threshold: Float [m, 1].

    Returns:
        Values [m, w], filled up with minus infinity, and columns int64 [m, w], where w is the most of any row.
    """
    import torch

    rows, columns = (values > threshold).nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(values))
    width = int(counts.max()) if len(values) else 0
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    found = torch.full((len(values), width), -torch.inf, dtype=values.dtype, device=values.device)
    where = torch.zeros((len(values), width), dtype=torch.int64, device=values.device)
    found[rows, place], where[rows, place] = values[rows, columns], columns
    return found, where


def _merge(
    best: torch.Tensor, indices: torch.Tensor, values: torch.Tensor, others: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of running neighbours and of new ones, whose indices are all higher: the sort is stable."""
    import torch

    if not values.shape[1]:
        return best, indices
    merged, order = torch.cat([best, values], dim=1).sort(dim=1, descending=True, stable=True)
    return merged[:, :k], torch.cat([indices, others], dim=1).gather(1, order[:, :k])


def _first_of_largest(values: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of each row, largest first, of equals the lower column first.

    ``topk`` takes any of equal values. One value more shows whether the last place was contested; only rows in which
    it was are sorted as a whole.
    """
    wide, columns = values.topk(min(k + 1, values.shape[1]), dim=1)
    if wide.shape[1] > k:
        contested = wide[:, k] == wide[:, k - 1]
        if contested.any():
            ordered = values[contested].sort(dim=1, descending=True, stable=True)
            wide[contested], columns[contested] = ordered.values[:, : k + 1], ordered.indices[:, : k + 1]
    chosen = columns[:, :k].sort(dim=1).values
    best, order = values.gather(1, chosen).sort(dim=1, descending=True, stable=True)
    return best, chosen.gather(1, order)


def accuracy(predictions: torch.Tensor, labels: torch.Tensor, top: int) -> float:
    """Percent of rows whose label is among the first ``top`` predictions; [m, p] and int64 [m].

    Raises:
        ValueError: There are no rows.
    """
    if not len(labels):
        raise ValueError("no accuracy without queries")
    hits = (predictions[:, :top] == labels[:, None]).any(dim=1)
    return 100.0 * math.fsum(hits.tolist()) / len(labels)
