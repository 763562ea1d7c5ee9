"""Metrics that the toolboxes lack: top-1 and top-5 of several classifiers, VOC's AP as detectron2 measures it, COCO's
AP and mIoU unrounded, the number of detections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mmdet.evaluation import CocoMetric, VOCMetric
from mmdet.evaluation.functional import mean_ap
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric

from benchmarks.toolbox.coco_evaluation import coco_statistics
from benchmarks.toolbox.modules.heads import SCORES

# mmdet's mean AP forks a pool of processes out of one that computes with threads, which now and then never ends.
mean_ap.Pool = ThreadPool

TOP = 5
"""The k of top-5."""


def ranks_of_truth(scores: npt.NDArray[Any], labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How many classes a classifier puts before the true one.

    Equal scores go to the lower class, as in ``argmax``. A classifier that gives NaN anywhere puts all classes first.

    Args:
        scores: Float [images, heads, classes].
        labels: Integers [images].

    Returns:
        int64 [images, heads], from 0 to ``classes``.
    """
    truth = labels.reshape(-1, 1, 1).astype(np.int64)
    own = np.take_along_axis(scores, np.broadcast_to(truth, (*scores.shape[:2], 1)), axis=2)
    lower_class = np.arange(scores.shape[2]) < truth
    before = (scores > own) | ((scores == own) & lower_class)
    broken = np.isnan(scores).any(axis=2)
    return np.where(broken, scores.shape[2], before.sum(axis=2)).astype(np.int64)


@METRICS.register_module()
class MultiHeadAccuracy(BaseMetric):
    """Accuracy of every classifier in percent: ``feature1`` (top-1), ``feature1_top5`` and so on.

    With fewer than 5 classes, top-5 is top-``classes``. mmpretrain's ``Accuracy`` is not used: it counts a hit only
    where the score is positive, which logits need not be.

    Args:
        features: Names of the classifiers, in the order of their scores.
        **options: Arguments of mmengine's ``BaseMetric``.
    """

    def __init__(self, features: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.features = tuple(features)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes one batch; each image leaves one row of ranks."""
        scores = np.stack([sample[SCORES].numpy() for sample in data_samples])
        labels = np.array([int(sample["gt_label"]) for sample in data_samples])
        self.results.extend(ranks_of_truth(scores, labels))

    def compute_metrics(self, results: Sequence[npt.NDArray[np.int64]]) -> dict[str, float]:
        """Percentages, as Python floats, over all images."""
        ranks = np.stack(results)
        metrics: dict[str, float] = {}
        for column, feature in enumerate(self.features):
            metrics[feature] = 100.0 * int((ranks[:, column] < 1).sum()) / len(ranks)
            metrics[f"{feature}_top{TOP}"] = 100.0 * int((ranks[:, column] < TOP).sum()) / len(ranks)
        return metrics


@METRICS.register_module()
class Detectron2VOCMetric(VOCMetric):
    """``AP`` (mean over the thresholds), ``AP50`` and ``AP75`` as detectron2 measures them, unrounded.

    detectron2 (``evaluation/pascal_voc_evaluation.py``) writes detections with one decimal of a pixel and three of the
    score, compares them with VOC's own corners, of which training took 1 from xmin and ymin only, and wants more than
    the threshold. mmdetection's true boxes have 1 taken from all four corners, so here detections get that too.

    Args:
        iou_thrs: Thresholds, with 0.5 and 0.75 among them.
        **options: Arguments of mmdetection's ``VOCMetric``.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes one batch."""
        super().process(data_batch, [{**sample, "pred_instances": _written(sample)} for sample in data_samples])

    def compute_metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """Fractions over all images."""
        truth, found = zip(*results, strict=True)
        by_threshold = {
            threshold: mean_ap.eval_map(
                found,
                truth,
                iou_thr=np.nextafter(np.float32(threshold), np.float32(1)),
                dataset="voc",
                logger="silent",
                eval_mode=self.eval_mode,
                use_legacy_coordinate=True,
            )[0]
            for threshold in self.iou_thrs
        }
        mean = sum(by_threshold.values()) / len(by_threshold)
        return {"AP": float(mean), "AP50": float(by_threshold[0.5]), "AP75": float(by_threshold[0.75])}


def _written(sample: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Detections as detectron2's files have them, their far corners where mmdetection's true boxes have theirs."""
    found = sample["pred_instances"]
    boxes = found["bboxes"] - found["bboxes"].new_tensor([0.0, 0.0, 1.0, 1.0])
    return {"bboxes": boxes.round(decimals=1), "scores": found["scores"].round(decimals=3), "labels": found["labels"]}


@METRICS.register_module()
class CountDetections(BaseMetric):
    """``detections``: how many objects a detector found in all images; mmdet's metrics say nothing where it is none."""

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes one batch."""
        self.results.extend(len(sample["pred_instances"]["scores"]) for sample in data_samples)

    def compute_metrics(self, results: Sequence[int]) -> dict[str, float]:
        """The sum."""
        return {"detections": float(sum(results))}


@METRICS.register_module()
class CocoAveragePrecision(CocoMetric):
    """mmdet's CocoMetric, which rounds to three decimals and takes pycocotools, unrounded and many times quicker.

    Args:
        ann_file: Annotation file.
        metric: ``bbox``, ``segm`` or both.
        **options: Other arguments of mmdet's ``CocoMetric``.
    """

    def __init__(self, ann_file: str, metric: str | list[str] = "bbox", **options: Any) -> None:
        super().__init__(ann_file=ann_file, metric=metric, **options)

    def compute_metrics(self, results: Sequence[tuple[Any, dict[str, Any]]]) -> dict[str, float]:
        """The six average precisions of each kind, over all images; none where nothing was detected."""
        self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta["classes"])
        self.img_ids = self._coco_api.get_img_ids()
        values: dict[str, float] = {}
        for kind in self.metrics:
            found = [one for _, image in results for one in self._detections(image, kind)]
            if not found:
                break
            truth = self._coco_api.dataset
            statistics = coco_statistics(truth, found, kind, self.cat_ids, self.img_ids, self.proposal_nums)
            values |= {f"{kind}_{name}": value for name, value in statistics.items() if name.startswith("mAP")}
        return values

    def _detections(self, image: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        """Detections of an image in COCO's form."""
        scores = image["scores"] if kind == "bbox" else image.get("mask_scores", image["scores"])
        boxes = image["bboxes"].astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        return [
            {
                "image_id": image["img_id"],
                "category_id": self.cat_ids[label],
                "score": float(score),
                **({"bbox": boxes[number].tolist()} if kind == "bbox" else {"segmentation": image["masks"][number]}),
            }
            for number, (label, score) in enumerate(zip(image["labels"], scores, strict=True))
        ]


@METRICS.register_module()
class IntersectionOverUnion(IoUMetric):
    """mmsegmentation's mIoU in percent, which it rounds to two decimals, unrounded.

    Classes that neither the images nor the predictions hold are left out of the mean. Without any, it is NaN.
    """

    def compute_metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """``mIoU``, over all images.

        Args:
            results: Of each image intersection, union, pixels predicted and pixels labelled, float [classes] each.
        """
        # In float64 from the start: the pixels of a data set are more than float32 counts.
        counts = [torch.stack(part).double().sum(dim=0) for part in zip(*results, strict=True)]
        intersection, union = counts[:2]
        present = union > 0
        return {"mIoU": 100.0 * float((intersection[present] / union[present]).mean())}
