"""COCO's twelve statistics by the quickest evaluator that is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

STATISTICS = (
    "mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l",
    "AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000",
)  # fmt: skip
"""Names that mmdet's ``CocoMetric`` gives to pycocotools' statistics, in their order."""

EVALUATORS = ("hotcoco", "faster_coco_eval", "pycocotools")
"""Import names, the quickest first. All give the same statistics; seconds for val2017 stand in ``docs/probes.md``."""

Detections = Sequence[Mapping[str, Any]]


def installed_evaluator() -> str:
    """The quickest evaluator that can be imported; pycocotools always can, as mmdet needs it."""
    return next(name for name in EVALUATORS if importlib.util.find_spec(name) is not None)


def coco_statistics(
    truth: Mapping[str, Any],
    detections: Detections,
    kind: str,
    categories: Sequence[int],
    images: Sequence[int],
    most_detections: Sequence[int],
    evaluator: str | None = None,
) -> dict[str, float]:
    """Evaluates detections.

    Args:
        truth: Content of an annotation file.
        detections: Of each image_id, category_id, score, and bbox (x, y, width, height) or segmentation (RLE). Those
            with a segmentation must have no bbox: its area would decide between small, medium and large.
        kind: ``bbox`` or ``segm``.
        categories: Ids that count.
        images: Ids that count.
        most_detections: Detections of an image that count, three numbers in rising order.
        evaluator: One of :data:`EVALUATORS`; None takes the quickest.

    Returns:
        The :data:`STATISTICS`, between 0 and 1, unrounded; -1 where there is nothing to average, as in pycocotools.
    """
    make, load, evaluation = _classes(evaluator or installed_evaluator())
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # hotcoco warns of other numbers of detections than 1, 10, 100; mmdet has always taken others.
        warnings.simplefilter("ignore", UserWarning)
        ground = make(truth)
        found = evaluation(ground, load(ground, detections), kind)
        found.params.catIds = list(categories)
        found.params.imgIds = list(images)
        found.params.maxDets = list(most_detections)
        found.evaluate()
        found.accumulate()
        found.summarize()
    return dict(zip(STATISTICS, (float(value) for value in found.stats[: len(STATISTICS)]), strict=True))


def _classes(evaluator: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """How an evaluator reads ground truth and detections, and its evaluation."""
    if evaluator == "hotcoco":
        import hotcoco

        return hotcoco.COCO, lambda ground, found: ground.load_res(list(found)), hotcoco.COCOeval
    if evaluator == "faster_coco_eval":
        from faster_coco_eval import COCO as FasterCoco
        from faster_coco_eval import COCOeval_faster

        return FasterCoco, lambda ground, found: ground.loadRes(list(found)), COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def read(truth: Mapping[str, Any]) -> Any:
        ground = COCO()
        ground.dataset = truth
        ground.createIndex()
        return ground

    return read, lambda ground, found: ground.loadRes([dict(one) for one in found]), COCOeval
