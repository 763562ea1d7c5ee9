from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks.probes.average_precision import _ranks, average_precision, stepwise_average_precisions


def slow_average_precision(scores: list[float], positive: list[bool]) -> float:
    """The definition, point by point: sentinels, envelope from the right, area where recall changes."""
    rows = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    recall, precision, true_positives = [0.0], [0.0], 0
    for rank, row in enumerate(rows, start=1):
        true_positives += positive[row]
        recall.append(true_positives / sum(positive))
        precision.append(true_positives / rank)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i + 1] - recall[i]) * precision[i + 1] for i in range(len(recall) - 1))


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([3, 2, 1], [True, True, False], 1.0),
        ([3, 2, 1], [False, False, True], 1 / 3),
        # Precisions at the positives 1/2, 2/3: the envelope raises the first to 2/3.
        ([3, 2, 1], [False, True, True], 2 / 3),
        # Precisions 1, 2/4, 3/5: the envelope raises the middle one to 3/5.
        ([5, 4, 3, 2, 1], [True, False, False, True, True], (1 + 0.6 + 0.6) / 3),
        ([0.5], [True], 1.0),
        ([-np.inf, np.inf], [False, True], 1.0),
    ],
)
def test_cases_by_hand(scores: list[float], positive: list[bool], expected: float) -> None:
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.0]) | st.floats(-9, 9), st.booleans()), min_size=1))
def test_equals_the_definition(rows: list[tuple[float, bool]]) -> None:
    scores, positive = [score for score, _ in rows], [truth for _, truth in rows]
    positive[len(rows) // 2] = True
    # 1e-12: two float64 sums of at most a few hundred terms, in another order.
    assert average_precision(scores, positive) == pytest.approx(slow_average_precision(scores, positive), abs=1e-12)


def test_equals_the_definition_on_a_long_ranking() -> None:
    generator = np.random.default_rng(0)
    scores, positive = generator.normal(size=3000).round(2), generator.random(3000) < 0.1
    expected = slow_average_precision(scores.tolist(), positive.tolist())
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_ranks_are_those_of_a_stable_sort(data: st.DataObject) -> None:
    """Whatever the spread: scores that differ in the last bit, by a factor of 1e300, infinite ones, float32."""
    generator = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    rows = data.draw(st.integers(1, 300))
    scores = generator.normal(size=rows)
    kind = data.draw(st.sampled_from(["plain", "tied", "near", "wide", "infinite", "one far", "constant"]))
    if kind == "tied":
        scores = scores.round(1)
    elif kind == "near":
        scores = 1 + 1e-16 * generator.integers(0, 9, rows)
    elif kind == "wide":
        scores = scores * 10.0 ** generator.integers(-300, 300, rows)
    elif kind == "infinite":
        scores[generator.random(rows) < 0.2] = generator.choice([-np.inf, np.inf])
    elif kind == "one far":
        scores[0] = 1e9
    elif kind == "constant":
        scores[:] = 3
    if data.draw(st.booleans()):
        with np.errstate(over="ignore"):
            scores = scores.astype(np.float32)
    positive = generator.random(rows) < data.draw(st.sampled_from([0.02, 0.3, 1.0]))
    positive[generator.integers(rows)] = True
    expected = np.flatnonzero(positive[np.argsort(-scores, kind="stable")])
    np.testing.assert_array_equal(_ranks(scores, positive), expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([0, 1, 9]))
def test_the_stepwise_form_is_that_of_scikit_learn(seed: int, rows: int, decimals: int) -> None:
    generator = np.random.default_rng(seed)
    scores, positive = generator.normal(size=(3, rows)).round(decimals), generator.random(rows) < 0.4
    positive[0] = True
    expected = [average_precision_score(positive, row) for row in scores]
    np.testing.assert_allclose(stepwise_average_precisions(scores, positive), expected, atol=1e-12)


def test_ties_keep_the_order_of_their_index() -> None:
    assert average_precision([1, 1, 1], [True, False, False]) == 1.0
    assert average_precision([1, 1, 1], [False, False, True]) == pytest.approx(1 / 3)


def test_only_the_ranking_counts() -> None:
    generator = np.random.default_rng(1)
    scores, positive = generator.normal(size=200), generator.random(200) < 0.3
    assert average_precision(np.exp(scores), positive) == average_precision(scores, positive)


@pytest.mark.parametrize(
    ("scores", "positive"),
    [([1.0, np.nan], [True, False]), ([1, 2], [False, False]), ([1], [True, False]), ([[1]], [[True]]), ([], [])],
)
def test_refuses_what_has_no_average_precision(scores: list[float], positive: list[bool]) -> None:
    with pytest.raises(ValueError, match=r"NaN|positive|length"):
        average_precision(scores, positive)
