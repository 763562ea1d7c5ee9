from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.toolbox.modules.heads import SCORES
from benchmarks.toolbox.modules.metrics import MultiHeadAccuracy, ranks_of_truth


def accuracy(scores: np.ndarray, labels: np.ndarray, batch: int = 7) -> dict[str, float]:  # type: ignore[type-arg]
    """What the metric says of float32 scores [images, heads, classes], given in batches."""
    metric = MultiHeadAccuracy([f"feature{number + 1}" for number in range(scores.shape[1])])
    rows = [
        {SCORES: torch.from_numpy(row), "gt_label": torch.tensor([label])}
        for row, label in zip(scores, labels, strict=True)
    ]
    for start in range(0, len(rows), batch):
        metric.process(None, rows[start : start + batch])
    return metric.evaluate(len(rows))  # type: ignore[no-any-return]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 12), images=st.integers(1, 30), levels=st.integers(1, 9))
def test_against_sorting(seed: int, classes: int, images: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    # Few levels make ties, negative ones logits that a rule "score > 0" would lose.
    scores = -generator.integers(1, levels + 1, (images, 2, classes)).astype(np.float32)
    labels = generator.integers(0, classes, images)
    order = np.argsort(-scores, axis=2, kind="stable")
    hits = order == labels[:, None, None]
    found = accuracy(scores, labels)
    for head in (0, 1):
        assert found[f"feature{head + 1}"] == 100.0 * hits[:, head, :1].any(1).sum() / images
        assert found[f"feature{head + 1}_top5"] == 100.0 * hits[:, head, :5].any(1).sum() / images


def test_values_are_not_rounded() -> None:
    scores = np.zeros((3, 1, 6), dtype=np.float32)
    found = accuracy(scores, np.array([0, 1, 5]))
    assert found == {"feature1": 100.0 / 3, "feature1_top5": 200.0 / 3}
    assert all(type(value) is float for value in found.values())


def test_nan_never_wins() -> None:
    scores = np.full((2, 1, 3), np.nan, dtype=np.float32)
    scores[1] = [3, np.nan, 1]
    labels = np.array([0, 0])
    assert (ranks_of_truth(scores, labels) == 3).all()


def test_a_nan_is_no_top_5_hit_among_many_classes() -> None:
    scores = np.zeros((1, 1, 10), dtype=np.float32)
    scores[0, 0, 9] = np.nan
    assert accuracy(scores, np.array([0]))["feature1_top5"] == 0
