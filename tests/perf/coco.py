"""COCO evaluation of val2017's size through the chosen evaluator, against pycocotools."""

from __future__ import annotations

import functools
from typing import Any

from benchmarks.toolbox.coco_evaluation import coco_statistics, installed_evaluator
from tests.perf.case import Case, Side
from tests.perf.made_coco import make_coco

IMAGES = 5000


def make(kind: str, seed: int) -> tuple[Side, Side]:
    """Both read the same annotations and detections, and evaluate."""
    truth, detections = make_coco(IMAGES, seed, kind == "segm")
    categories, images = ([one["id"] for one in truth[name]] for name in ("categories", "images"))

    def run(evaluator: str) -> dict[str, float]:
        return coco_statistics(truth, detections, kind, categories, images, (100, 300, 1000), evaluator)

    quickest = installed_evaluator()
    return Side(quickest, functools.partial(run, quickest)), Side("pycocotools", functools.partial(run, "pycocotools"))


def equal(ours: dict[str, Any], peer: dict[str, Any]) -> tuple[bool, str]:
    """All twelve to 1e-9."""
    worst = max(abs(ours[name] - peer[name]) for name in peer)
    return worst <= 1e-9, f"12 statistics to {worst:.0e}, mAP {100 * peer['mAP']:.2f}"


CASES = tuple(
    Case(f"coco-{kind}", f"COCO {kind}, {IMAGES:,} images", 10, None, functools.partial(make, kind), equal, 1)
    for kind in ("bbox", "segm")
)
