"""What machine-readable twins of a page hold: the results of one label under the names that others use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from results.entries import Entry
from results.pages.build import Summaries, rounded
from results.pages.sections import HIDDEN, all_sections
from results.record import Column


@dataclasses.dataclass(frozen=True)
class Task:
    """What a benchmark is called outside.

    Args:
        name: Task in metafiles.
        dataset: Data set in metafiles and cards.
        hub_task: Task on the Hugging Face hub.
        hub_dataset: Data set there.
        hub_metric: Metric there.
    """

    name: str
    dataset: str
    hub_task: str
    hub_dataset: str
    hub_metric: str


_CLASSIFICATION = ("Image Classification", "image-classification")
_DETECTION = ("Object Detection", "object-detection")
_SEGMENTATION = ("Semantic Segmentation", "image-segmentation")

TASKS = {
    "voc07_svm": Task(_CLASSIFICATION[0], "PASCAL VOC 2007", _CLASSIFICATION[1], "pascal-voc-2007", "mAP"),
    "imagenet_mhead": Task(_CLASSIFICATION[0], "ImageNet-1k", _CLASSIFICATION[1], "imagenet-1k", "accuracy"),
    "imagenet_linear": Task(_CLASSIFICATION[0], "ImageNet-1k", _CLASSIFICATION[1], "imagenet-1k", "accuracy"),
    "imagenet_finetune": Task(_CLASSIFICATION[0], "ImageNet-1k", _CLASSIFICATION[1], "imagenet-1k", "accuracy"),
    "places205_mhead": Task(_CLASSIFICATION[0], "Places205", _CLASSIFICATION[1], "places205", "accuracy"),
    "inaturalist2018_mhead": Task(
        _CLASSIFICATION[0], "iNaturalist 2018", _CLASSIFICATION[1], "inaturalist-2018", "accuracy"
    ),
    "imagenet_knn": Task(_CLASSIFICATION[0], "ImageNet-1k", _CLASSIFICATION[1], "imagenet-1k", "accuracy"),
    "voc0712_faster_rcnn": Task(_DETECTION[0], "PASCAL VOC 2007 + 2012", _DETECTION[1], "pascal-voc-2007", "AP50"),
    "coco_mask_rcnn": Task(_DETECTION[0], "COCO", _DETECTION[1], "coco-2017", "mAP"),
    "voc12aug_fcn": Task(_SEGMENTATION[0], "Pascal VOC 2012 + Aug", _SEGMENTATION[1], "pascal-voc-2012", "mean_iou"),
    "cityscapes_fcn": Task(_SEGMENTATION[0], "Cityscapes", _SEGMENTATION[1], "cityscapes", "mean_iou"),
}
"""By benchmark; others are called what they are called here."""

PLAIN_METRICS = {"top1": "Top 1 Accuracy", "svm": "mAP", "AP50": "AP50", "mIoU": "mIoU"}
"""Metrics that stand for their whole benchmark, as metafiles call them."""


@dataclasses.dataclass(frozen=True)
class Result:
    """One number of one label as a twin holds it.

    Args:
        benchmark: Name of the benchmark.
        task: What it is called outside.
        metric: Our name of the metric.
        title: What it is called outside.
        text: The number as pages show it, without its deviation.
        protocol: Name, version and beginning of the hash of its protocol.
        n: Number of seeds.
    """

    benchmark: str
    task: Task
    metric: str
    title: str
    text: str
    protocol: str
    n: int

    @property
    def value(self) -> float:
        """The number as pages show it."""
        return float(self.text)


def task_of(benchmark: str) -> Task:
    """What a benchmark is called outside."""
    return TASKS.get(benchmark) or Task(benchmark, benchmark, "image-classification", benchmark, "accuracy")


def metric_title(benchmark: str, column: Column) -> str:
    """What a metric is called outside."""
    if column.metric in PLAIN_METRICS:
        return PLAIN_METRICS[column.metric]
    kind = {"voc07_svm": " mAP", "coco_mask_rcnn": ""}.get(benchmark)
    if kind is None:
        kind = " Top 1 Accuracy" if task_of(benchmark).name == _CLASSIFICATION[0] and benchmark in TASKS else ""
    return f"{column.title}{kind}"


def is_result(entry: Entry) -> bool:
    """Whether twins hold an entry: it is of the full profile, unmodified, and on the official data."""
    return entry.protocol.profile == "full" and not entry.protocol.modified and not entry.data.nonstandard


def results_of(entries: Sequence[Entry], label: str, summary: Summaries) -> list[Result]:
    """The results of one label in page order.

    Args:
        entries: Jobs of any labels.
        label: Whose.
        summary: What :func:`results.table.summarise_cells` says of them.
    """
    rows: dict[object, Entry] = {}
    for entry in entries:
        if entry.label.name == label and is_result(entry):
            rows.setdefault(entry.row, entry)
    order = {section.benchmark: number for number, section in enumerate(all_sections())}
    found = []
    for entry in sorted(rows.values(), key=lambda each: (order.get(each.benchmark, len(order)), each.group)):
        task, protocol = task_of(entry.benchmark), entry.protocol
        origin = f"{protocol.name}, version {protocol.version}, hash {protocol.hash[:12]}"
        for column in entry.display:
            numbers = summary.get((entry.row, column.metric))
            if column.table == HIDDEN or numbers is None or not numbers.n:
                continue
            text = rounded(numbers.mean, column.decimals)
            title = metric_title(entry.benchmark, column)
            found.append(Result(entry.benchmark, task, column.metric, title, text, origin, numbers.n))
    return found
