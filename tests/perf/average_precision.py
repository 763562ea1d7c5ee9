"""Average precision of many rankings against a loop over their rows, as the old tools have one."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.probes.average_precision import average_precisions
from tests.perf.case import Case, Side

ROWS, RANKINGS, POSITIVES = 4952, 60, 250


def looped(scores: Any, positive: Any) -> list[float]:
    """Precision and recall row by row, envelope from the right, area where recall changes."""
    results = []
    for row in scores:
        order = np.argsort(-row, kind="stable")
        hits, total, precision, recall = 0, int(positive.sum()), [0.0], [0.0]
        for rank, index in enumerate(order, start=1):
            hits += int(positive[index])
            precision.append(hits / rank)
            recall.append(hits / total)
        precision.append(0.0)
        recall.append(1.0)
        for number in range(len(precision) - 2, -1, -1):
            precision[number] = max(precision[number], precision[number + 1])
        area = 0.0
        for number in range(1, len(recall)):
            area += (recall[number] - recall[number - 1]) * precision[number]
        results.append(area)
    return results


def make(seed: int) -> tuple[Side, Side]:
    """Every tenth ranking has nothing but ties, and every tenth many, far more than features give."""
    random = np.random.default_rng(seed)
    positive = np.zeros(ROWS, dtype=bool)
    positive[random.choice(ROWS, POSITIVES, replace=False)] = True
    scores = random.normal(size=(RANKINGS, ROWS)) + positive
    scores[::10] = scores[::10].round(0)
    scores[1::10] = scores[1::10].round(2)
    return Side("ours", lambda: average_precisions(scores, positive)), Side("loop", lambda: looped(scores, positive))


def equal(ours: Any, peer: Any) -> tuple[bool, str]:
    """To 1e-12: two sums of 250 terms in another order."""
    difference = float(np.abs(ours - np.array(peer)).max())
    return difference <= 1e-12, f"AP to {difference:.0e}, ties included"


CASES = (Case("average-precision", f"AP of {RANKINGS} rankings of {ROWS:,} rows", 20, None, make, equal, 5),)
