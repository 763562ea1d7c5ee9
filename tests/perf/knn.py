"""kNN for four k over a bank of 50,000, against one pass a k as other tools do it, and against faiss's search alone."""

from __future__ import annotations

import functools
from typing import Any

import torch

from benchmarks.probes.knn import knn_predictions, normalise_rows_
from tests.perf.case import Case, Side

BANK, QUERIES, DIMENSION, CLASSES = 50_000, 2_000, 2048, 1000
KS = (10, 20, 100, 200)
TEMPERATURE = 0.07


@functools.cache
def data(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bank, its labels, queries and theirs: centres of classes under noise."""
    random = torch.Generator().manual_seed(seed)
    centres = 0.2 * torch.randn(CLASSES, DIMENSION, generator=random)

    def rows(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(CLASSES, (count,), generator=random)
        return normalise_rows_(centres[labels] + torch.randn(count, DIMENSION, generator=random)), labels

    return (*rows(BANK), *rows(QUERIES))


def pass_per_k(bank: Any, labels: Any, queries: Any, k: int) -> torch.Tensor:
    """mmselfsup's and VISSL's way: chunks of 500 queries, each against the whole bank, topk, one-hot votes, a sort."""
    found = []
    one_hot = torch.zeros(k, CLASSES)
    for chunk in queries.split(500):
        values, indices = torch.mm(chunk, bank.T).topk(k, largest=True, sorted=True)
        voted = torch.gather(labels.view(1, -1).expand(len(chunk), -1), 1, indices)
        one_hot.resize_(len(chunk) * k, CLASSES).zero_()
        one_hot.scatter_(1, voted.view(-1, 1), 1)
        weights = values.div(TEMPERATURE).exp_()
        votes = torch.sum(one_hot.view(len(chunk), -1, CLASSES) * weights.view(len(chunk), -1, 1), 1)
        found.append(votes.sort(1, True)[1][:, :5].clone())
    return torch.cat(found)


def ours(seed: int) -> dict[int, torch.Tensor]:
    """All k at once."""
    bank, labels, queries, _ = data(seed)
    return knn_predictions(bank, labels, queries, KS, TEMPERATURE, CLASSES)


def make(seed: int) -> tuple[Side, Side]:
    """Against a pass for each k."""
    bank, labels, queries, _ = data(seed)

    def passes() -> dict[int, torch.Tensor]:
        return {k: pass_per_k(bank, labels, queries, k) for k in KS}

    return Side("ours", lambda: (seed, ours(seed))), Side("a pass per k", passes)


def make_faiss(seed: int) -> tuple[Side, Side]:
    """Against the search of the 200 nearest alone; that is all that faiss does."""
    import faiss

    faiss.omp_set_num_threads(1)
    bank, _, queries, _ = data(seed)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(bank.numpy())
    return (
        Side("ours, with votes", lambda: (seed, ours(seed))),
        Side("faiss flat, search only", lambda: index.search(queries.numpy(), max(KS))[1]),
    )


def equal(mine: tuple[int, dict[int, torch.Tensor]], peer: dict[int, torch.Tensor]) -> tuple[bool, str]:
    """Top-1 and top-5 hits of every query and k. Products of other chunks may round differently: hits may not."""
    seed, found = mine
    labels = data(seed)[3][:, None]
    for k in KS:
        for top in (1, 5):
            hits = [(one[:, :top] == labels).any(1) for one in (found[k], peer[k])]
            if not bool((hits[0] == hits[1]).all()):
                return False, f"top-{top} at k={k} differs for {int((hits[0] != hits[1]).sum())} queries"
    share = float((found[10][:, :1] == labels).float().mean())
    return True, f"top-1 ({100 * share:.1f} % at k=10) and top-5 hits of every query"


def equal_votes(mine: tuple[int, dict[int, torch.Tensor]], neighbours: Any) -> tuple[bool, str]:
    """Top-1 and top-5 hits by the neighbours that faiss found."""
    seed, _ = mine
    bank, labels, queries, _ = data(seed)
    indices = torch.from_numpy(neighbours)
    predicted = {}
    for k in KS:
        chosen = indices[:, :k]
        products = torch.stack([bank[row] @ query for row, query in zip(chosen, queries, strict=True)])
        votes = torch.zeros(QUERIES, CLASSES, dtype=torch.float64)
        votes.scatter_add_(1, labels[chosen], (products.double() / TEMPERATURE).exp())
        predicted[k] = votes.argsort(dim=1, descending=True, stable=True)[:, :5]
    return equal(mine, predicted)


_WHAT = f"kNN, k = 10, 20, 100, 200, {BANK:,} x {DIMENSION:,}, {QUERIES:,} queries"

CASES = (
    Case("knn", _WHAT, 8, 12, make, equal, 1),
    Case("knn-faiss", f"{_WHAT}, faiss", 1.0, 1.3, make_faiss, equal_votes, 3),
)
