from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.probes.average_precision import average_precision


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
