"""A results page with everything on it: four models, seeds, curves, a smoke run, a modified one, a failed job."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from typing import Any

from benchmarks.catalogue import catalogue
from benchmarks.protocol import Protocol
from results.entries import Entry
from results.pages.build import build_page
from results.pages.html.page import to_html
from results.published import Published, published
from results.record import MetricValue
from tests.results.pages.zoo_pages import entries_of, without_value

LABELS = {
    "simclr_resnet50_8xb32-coslr-200e_in1k": "SimCLR",
    "byol_resnet50_8xb32-accum16-coslr-200e_in1k": "BYOL </script><img src=x onerror=alert(1)>",
    "mocov2_resnet50_8xb32-coslr-200e_in1k": "MoCo v2, with a name that is rather long_and_has_no_places_to_break_it",
    "swav_resnet50_8xb32-mcrop-2-6-coslr-200e_in1k-224-96": "SwAV",
}
CURVES = {"imagenet_mhead": "feature5", "voc0712_faster_rcnn": "AP50", "voc12aug_fcn": "mIoU"}


def sample_entries() -> list[Entry]:
    """Published numbers, each moved a little so that none is equal to its original."""
    generator = random.Random(0)
    numbers = [
        dataclasses.replace(each, text=f"{each.value + generator.uniform(-1, 1.5):.4f}")
        for each in published()
        if each.config in LABELS and each.benchmark != "imagenet_linear"
    ]
    entries = []
    for entry in entries_of(numbers, _label):
        seeds = (0, 1, 2) if entry.benchmark == "imagenet_mhead" else (None,)
        entries += [_finished(entry, seed, generator) for seed in seeds]
    entries += [_changed(each, profile="smoke") for each in entries if _is(each, "imagenet_knn")]
    entries += [_changed(each, modified=("epochs",)) for each in entries if _is(each, "voc12aug_fcn")]
    failed = [without_value(each, "failed: out of memory") if _is(each, "coco_mask_rcnn") else each for each in entries]
    return sorted(failed, key=lambda each: (each.label.name, each.benchmark, each.group, each.seed or 0, each.key))


def sample_page() -> str:
    """The page."""
    entries = sample_entries()
    return to_html(build_page("Model zoo", entries), entries)


def _label(number: Published) -> str:
    return LABELS[number.config]


def _is(entry: Entry, benchmark: str) -> bool:
    return (entry.label.name, entry.benchmark) == ("SwAV", benchmark)


@functools.cache
def _protocol(benchmark: str) -> Protocol:
    return catalogue()[benchmark].protocol()


@functools.cache
def _fields(benchmark: str) -> dict[str, Any]:
    return _protocol(benchmark).values()


def _finished(entry: Entry, seed: int | None, generator: random.Random) -> Entry:
    assert entry.record is not None
    protocol = _protocol(entry.benchmark)
    metrics = {
        name: MetricValue((metric.value or 0.0) + (generator.gauss(0, 0.2) if seed else 0.0))
        for name, metric in entry.metrics.items()
    }
    shown = catalogue()[entry.benchmark].columns(_protocol(entry.benchmark))
    display = tuple(column for column in shown if column.metric in metrics)
    curves = {}
    if entry.benchmark in CURVES:
        last = metrics[CURVES[entry.benchmark]].value or 0.0
        curves = {
            "epochs": [10 * step for step in range(1, 10)],
            CURVES[entry.benchmark]: [last * (1 - 0.5 * math.exp(-step)) for step in range(1, 10)],
        }
    record = dataclasses.replace(
        entry.record,
        key=f"{entry.key[:-1]}{seed or 0}",
        seed=seed,
        metrics=metrics,
        curves=curves,
        display=display,
        protocol=protocol.stamp(),
        protocol_fields=_fields(entry.benchmark),
    )
    return dataclasses.replace(
        entry, key=record.key, seed=seed, metrics=metrics, display=display, protocol=record.protocol, record=record
    )


def _changed(entry: Entry, **changes: object) -> Entry:
    protocol = dataclasses.replace(entry.protocol, hash="e" * 64, **changes)  # type: ignore[arg-type]
    assert entry.record is not None
    record = dataclasses.replace(entry.record, key=entry.key[:-1] + "x", protocol=protocol)
    return dataclasses.replace(entry, key=record.key, protocol=protocol, record=record)
