from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.probes.knn import accuracy, knn_predictions, nearest, normalise_rows_


def brute_force(bank: Any, labels: Any, queries: Any, k: int, temperature: float, classes: int) -> Any:
    """float64, a full sort and a plain loop for one k."""
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    bank = bank / np.maximum(np.linalg.norm(bank, axis=1, keepdims=True), 1e-12)
    queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
    rows = []
    for query in queries:
        similarity = bank @ query
        votes = np.zeros(classes)
        for index in np.argsort(-similarity, kind="stable")[:k]:
            votes[labels[index]] += np.exp(similarity[index] / temperature)
        rows.append(np.argsort(-votes, kind="stable")[: min(5, k)])
    return np.array(rows).reshape(len(queries), -1)


def unit(features: Any) -> torch.Tensor:
    return normalise_rows_(torch.from_numpy(features.copy()))


def make(rows: int, queries: int, dimension: int, classes: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, dimension))
    labels, targets = generator.integers(0, classes, rows), generator.integers(0, classes, queries)
    bank = centres[labels] + 2 * generator.normal(size=(rows, dimension))
    asked = centres[targets] + 2 * generator.normal(size=(queries, dimension))
    return bank.astype(np.float32), labels, asked.astype(np.float32), targets


@pytest.mark.parametrize(
    ("rows", "queries", "classes", "ks", "query_rows", "bank_rows"),
    [
        (500, 137, 17, (1, 3, 10, 20, 200), 512, 16384),
        (500, 137, 17, (200, 10, 1), 13, 37),
        (500, 50, 17, (20,), 50, 7),
        (300, 1, 10, (10, 100), 512, 100),
        (60, 99, 12, (60, 5), 32, 59),
        (200, 40, 3, (1, 4, 10), 512, 16384),
        (50, 20, 1, (2,), 3, 3),
    ],
)
def test_equals_brute_force(
    rows: int, queries: int, classes: int, ks: tuple[int, ...], query_rows: int, bank_rows: int
) -> None:
    bank, labels, asked, _ = make(rows, queries, 16, classes)
    found = knn_predictions(
        unit(bank), torch.from_numpy(labels), unit(asked), ks, 0.07, classes,
        query_rows=query_rows, bank_rows=bank_rows,
    )  # fmt: skip
    assert list(found) == list(ks)
    for k in ks:
        np.testing.assert_array_equal(found[k].numpy(), brute_force(bank, labels, asked, k, 0.07, classes))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_ties_go_to_the_lower_index(data: st.DataObject) -> None:
    """Small integers: float32 products are exact, and ties many."""
    rows, k = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    k, chunk = min(k, rows), data.draw(st.integers(1, 41))
    generator = np.random.default_rng(data.draw(st.integers(0, 999)))
    bank, queries = generator.integers(-1, 2, (rows, 3)), generator.integers(-1, 2, (4, 3))
    values, indices = nearest(torch.from_numpy(bank).float(), torch.from_numpy(queries).float(), k, chunk)
    products = queries @ bank.T
    expected = np.argsort(-products, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(products, expected, axis=1))


def test_a_zero_row_stays_zero_and_is_no_neighbour_of_note() -> None:
    bank = normalise_rows_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    queries = normalise_rows_(torch.tensor([[2.0, 0.1], [0.0, 0.0]]))
    assert knn_predictions(bank, torch.tensor([0, 1, 2]), queries, (1,), 0.07, 3)[1].tolist() == [[1], [0]]


def test_rows_are_normalised_in_place() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 1e-20]])
    assert normalise_rows_(rows) is rows
    # Norms below 1e-12 divide as 1e-12, as in torch.nn.functional.normalize.
    torch.testing.assert_close(rows, torch.tensor([[0.6, 0.8], [0.0, 1e-8]]))


@pytest.mark.parametrize("ks", [(0,), (31,), (5, 31)])
def test_impossible_k_is_refused(ks: tuple[int, ...]) -> None:
    bank, labels, asked, _ = make(30, 5, 4, 3)
    with pytest.raises(ValueError, match="k must be from 1 to the bank's 30 rows"):
        knn_predictions(unit(bank), torch.from_numpy(labels), unit(asked), ks, 0.07, 3)


def test_accuracy_counts_hits_in_percent() -> None:
    predictions = torch.tensor([[0, 1], [2, 1], [1, 0], [0, 2]])
    labels = torch.tensor([0, 1, 2, 2])
    assert accuracy(predictions, labels, 1) == 25.0
    assert accuracy(predictions, labels, 2) == 75.0
    assert accuracy(predictions, labels, 5) == 75.0
    with pytest.raises(ValueError, match="no accuracy"):
        accuracy(predictions[:0], labels[:0], 1)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_votes_do_not_depend_on_which_other_k_are_asked_for(data: st.DataObject) -> None:
    bank, labels, asked, _ = make(80, 9, 6, 7, seed=data.draw(st.integers(0, 99)))
    ks = data.draw(st.lists(st.integers(1, 80), min_size=1, max_size=4))
    together = knn_predictions(unit(bank), torch.from_numpy(labels), unit(asked), ks, 0.07, 7, bank_rows=13)
    for k in ks:
        alone = knn_predictions(unit(bank), torch.from_numpy(labels), unit(asked), (k,), 0.07, 7)
        assert together[k].tolist() == alone[k].tolist()


def test_a_bank_in_falling_and_in_rising_order() -> None:
    """None of the later rows enters, and each of them does."""
    queries = torch.ones(3, 1)
    for bank in (torch.linspace(1, 0, 200)[:, None], torch.linspace(0, 1, 200)[:, None]):
        values, indices = nearest(bank, queries, 20, 30)
        expected = bank[:, 0].sort(descending=True, stable=True)
        assert values.tolist() == [expected.values[:20].tolist()] * 3
        assert indices.tolist() == [expected.indices[:20].tolist()] * 3
