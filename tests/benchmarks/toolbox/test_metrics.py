from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.toolbox.modules.heads import SCORES
from benchmarks.toolbox.modules.metrics import CountDetections, IntersectionOverUnion, MultiHeadAccuracy, ranks_of_truth


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


def overlap(pairs: list[tuple[list[list[int]], list[list[int]]]], classes: int) -> dict[str, float]:
    """mIoU of (predicted, true) label maps, one image a batch."""
    metric = IntersectionOverUnion(ignore_index=255)
    metric.dataset_meta = {"classes": [f"class{number}" for number in range(classes)]}
    for predicted, truth in pairs:
        sample = {"pred_sem_seg": {"data": torch.tensor([predicted])}, "gt_sem_seg": {"data": torch.tensor([truth])}}
        metric.process({}, [sample])
    return metric.evaluate(len(pairs))  # type: ignore[no-any-return]


def test_overlap_of_two_images_by_hand() -> None:
    """Two pixels are void, whatever is predicted there: so class 2 comes nowhere, as class 3, and does not count."""
    first = ([[0, 0, 1], [1, 1, 2]], [[0, 0, 0], [1, 255, 255]])
    second = ([[1, 1, 1]], [[1, 1, 0]])
    # Class 0: shared 2 + 0, together 3 + 1. Class 1: shared 1 + 2, together 2 + 3.
    found = overlap([first, second], classes=4)
    assert found == {"mIoU": pytest.approx(100 * (2 / 4 + 3 / 5) / 2, abs=1e-9)}


def test_overlap_is_not_rounded_and_leaves_absent_classes_out() -> None:
    found = overlap([([[0, 0, 0, 1]], [[0, 0, 0, 0]]), ([[0, 0, 0]], [[0, 0, 0]])], classes=21)
    # Class 0: 6 of 7. Class 1: predicted once, never right. Nineteen others: nowhere.
    assert found["mIoU"] == 100 * (6 / 7 + 0) / 2
    assert type(found["mIoU"]) is float


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
def test_overlap_against_counting_pixels(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(3):
        predicted, truth = generator.integers(0, classes, (2, 4, 5))
        truth[generator.random((4, 5)) < 0.2] = 255
        pairs.append((predicted, truth))
    shares = []
    for label in range(classes):
        both = sum(int(((p == label) & (t == label)).sum()) for p, t in pairs)
        either = sum(int((((p == label) | (t == label)) & (t != 255)).sum()) for p, t in pairs)
        if either:
            shares.append(both / either)
    found = overlap([(p.tolist(), t.tolist()) for p, t in pairs], classes)
    assert found["mIoU"] == pytest.approx(100 * sum(shares) / len(shares), rel=1e-12)


def test_overlap_of_nothing_is_nan() -> None:
    assert math.isnan(overlap([([[0, 1]], [[255, 255]])], classes=2)["mIoU"])


def test_detections_are_counted_over_all_images() -> None:
    metric = CountDetections()
    for counts in ([2, 0], [5], [0]):
        metric.process(None, [{"pred_instances": {"scores": torch.ones(count)}} for count in counts])
    found = metric.evaluate(4)
    assert found == {"detections": 7.0}
    assert type(found["detections"]) is float


def test_no_detections_are_a_number_too() -> None:
    metric = CountDetections()
    metric.process(None, [{"pred_instances": {"scores": torch.empty(0)}}])
    assert metric.evaluate(1) == {"detections": 0.0}
