"""Average precision as the area under the monotone envelope of the precision-recall curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """AP of one ranking, in the form of VOC2010 and later (not the 11-point one of VOC2007's development kit).

    With rows in falling order of score, precision_i = TP_i / (TP_i + FP_i). Each precision is raised to the largest
    one at the same or a higher recall, and AP is the sum of these over the positives, divided by their number
    (``mmselfsup/tools/benchmarks/classification/svm_voc07/svm_helper.py``, ``get_precision_recall``).

    Rows of equal score keep the order of their index. The reference implementation leaves that order to an unstable
    sort, so with ties its value is one of several and may differ from this one.

    Args:
        scores: Float [n], higher means more likely positive; infinities are allowed.
        positive: Bool [n].

    Returns:
        AP between 0 and 1.

    Raises:
        ValueError: A score is NaN, the shapes differ or are not one-dimensional, or there is no positive.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(positive, dtype=bool)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"scores and labels must be two vectors of one length, not {values.shape} and {truth.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is NaN: there is no ranking")
    hits = truth[np.argsort(-values, kind="stable")]
    count = int(hits.sum())
    if count == 0:
        raise ValueError("average precision needs at least one positive")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / count)
