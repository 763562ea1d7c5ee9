"""Average precision of many rankings at once, in the two forms that the protocols use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

BUCKETS = 4096
"""As many as VOC2007 has rows, so that a bucket holds a few."""

if TYPE_CHECKING:
    import numpy.typing as npt
    from numpy.typing import ArrayLike


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """AP of one ranking: :func:`average_precisions` of scores [n] and labels [n].

    Raises:
        ValueError: A score is NaN, the shapes differ or are not one-dimensional, or there is no positive.
    """
    values = np.asarray(scores)
    if values.ndim != 1:
        raise ValueError(f"scores must be one vector of the labels' length, not {values.shape}")
    return float(average_precisions(values[None], positive)[0])


def average_precisions(scores: ArrayLike, positive: ArrayLike) -> npt.NDArray[np.float64]:
    """Area under the monotone envelope, in the form of VOC2010 and later (not the 11-point one of VOC2007's kit).

    With rows in falling order of score, precision_i = TP_i / (TP_i + FP_i). Each precision is raised to the largest
    one at the same or a higher recall, and AP is the sum of these over the positives, divided by their number
    (``mmselfsup/tools/benchmarks/classification/svm_voc07/svm_helper.py``, ``get_precision_recall``).

    Rows of equal score keep the order of their index. The reference implementation leaves that order to an unstable
    sort, so with ties its value is one of several and may differ from this one.

    Args:
        scores: Float [rankings, n], higher means more likely positive; infinities are allowed.
        positive: Bool [n], the same rows for all rankings.

    Returns:
        Float64 [rankings], between 0 and 1.

    Raises:
        ValueError: A score is NaN, the lengths differ, or there is no positive.
    """
    values, truth = _checked(scores, positive)
    # Only the ranks of the positives are needed: the i-th of them has i + 1 hits among its rank + 1 rows.
    ranks = np.stack([_ranks(row, truth) for row in values]) if len(values) else np.empty((0, 1))
    precision = np.arange(1, ranks.shape[1] + 1) / (ranks + 1)
    return np.asarray(np.maximum.accumulate(precision[:, ::-1], axis=1).mean(axis=1))


def _ranks(scores: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Places of the positives, from 0 on, in falling order of score; of equal scores the lower index comes first.

    Rows are counted in buckets of equal width, and only those that share a bucket with a positive are sorted. Rounding
    is monotone, so that no row of a higher score lies in a lower bucket.
    """
    least, most = scores.min(), scores.max()
    with np.errstate(all="ignore"):
        scale = (BUCKETS - 1) / (most - least)
    if not np.isfinite(scale) or scale <= 0:
        return np.flatnonzero(positive[np.argsort(-scores, kind="stable")])
    bucket = ((scores - least) * scale).astype(np.intp)
    held = np.zeros(BUCKETS, dtype=bool)
    held[bucket[positive]] = True
    near = np.flatnonzero(held[bucket])
    others = np.bincount(bucket, minlength=BUCKETS)
    others[held] = 0
    higher = others.sum() - np.cumsum(others)
    ordered = near[np.argsort(-scores[near], kind="stable")]
    places = np.flatnonzero(positive[ordered])
    return np.asarray(places + higher[bucket[ordered[places]]])


def stepwise_average_precisions(scores: ArrayLike, positive: ArrayLike) -> npt.NDArray[np.float64]:
    """Sum of precision times growth of recall over the distinct scores, as scikit-learn's ``average_precision_score``.

    Rows of equal score enter together, so that their order does not matter; no envelope.

    Args:
        scores: Float [rankings, n].
        positive: Bool [n], the same rows for all rankings.

    Returns:
        Float64 [rankings].

    Raises:
        ValueError: As for :func:`average_precisions`.
    """
    values, truth = _checked(scores, positive)
    ordered = np.sort(values, axis=1)
    wanted = np.sort(values[:, truth], axis=1)
    count = truth.sum()
    result = np.empty(len(values))
    for number, (row, positives) in enumerate(zip(ordered, wanted, strict=True)):
        # Of each positive: the rows, and the positives, whose score is at least its own.
        rows = len(row) - np.searchsorted(row, positives, side="left")
        hits = count - np.searchsorted(positives, positives, side="left")
        result[number] = (hits / rows).sum() / count
    return result


def _checked(scores: ArrayLike, positive: ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    values = np.asarray(scores)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    truth = np.asarray(positive, dtype=bool)
    if values.ndim != 2 or truth.shape != values.shape[1:]:
        raise ValueError(f"scores and labels must be of one length, not {values.shape} and {truth.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is NaN: there is no ranking")
    if not truth.any():
        raise ValueError("average precision needs at least one positive")
    return values, truth
