"""Records with published values, the pages they make, and those pages read back cell for cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown_it

from benchmarks.catalogue import catalogue
from results.entries import Entry, Label, Reading, entry_of_record
from results.metadata import Metadata
from results.pages.render import Pages, Request
from results.published import Published, published
from results.record import BackboneStamp, Column, DataStamp, MetricValue, ProtocolStamp, Record, sha256_of

FOLDER = Path(__file__).parent

LABELS = {
    "simclr_resnet50_8xb32-coslr-200e_in1k": "8xb32-200e",
    "simclr_resnet50_16xb256-coslr-200e_in1k": "16xb256-200e",
    "simclr_resnet50_16xb256-coslr-800e_in1k": "16xb256-800e",
}
"""Labels of the three checkpoints of the published SimCLR page, by config; `simclr.yaml` has them too."""


class Cells(HTMLParser):
    """Headings and tables of a page; a cell is its text, its links and its spans."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[list[str]] = []
        self.tables: list[dict[str, Any]] = []
        self._cell: dict[str, Any] | None = None
        self._heading: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("h1", "h2", "h3", "h4"):
            self._heading = [tag, ""]
        elif tag == "table":
            self.tables.append({"heading": self.headings[-1][1], "rows": []})
        elif tag == "tr":
            self.tables[-1]["rows"].append([])
        elif tag in ("td", "th"):
            spans = {name: int(given[name] or 1) for name in ("rowspan", "colspan") if name in given}
            self._cell = {"text": "", **spans}
        elif tag == "a" and self._cell is not None:
            self._cell.setdefault("links", []).append(given["href"])

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell["text"] += data
        elif self._heading is not None:
            self._heading[1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1]["rows"][-1].append(self._cell)
            self._cell = None
        elif self._heading is not None and tag == self._heading[0]:
            self.headings.append(self._heading)
            self._heading = None


def read_cells(markdown: str) -> Cells:
    """A page as a reader that is not ours sees it."""
    return Cells(markdown_it.MarkdownIt("commonmark").enable("table").render(markdown))


def columns(number: Published) -> tuple[Column, ...]:
    """How a number's benchmark shows its metrics; with more decimals where more were published."""
    digits = len(number.text.partition(".")[2])
    return tuple(
        dataclasses.replace(each, decimals=max(each.decimals, digits)) if each.metric == number.metric else each
        for each in rule(number)
    )


def rule(number: Published) -> tuple[Column, ...]:
    """How a number's benchmark shows its metrics, by the catalogue."""
    if number.benchmark == "imagenet_finetune":
        return (Column("top1", "Fine-tuning", 1),)
    benchmark = catalogue()[number.benchmark]
    return benchmark.columns(benchmark.protocol())


def record_of(numbers: Sequence[Published], backbone: BackboneStamp) -> Record:
    """A record that holds published numbers of one checkpoint, benchmark and variant."""
    first = numbers[0]
    values = {each.metric: each for each in numbers}
    shown = {column.metric: column for each in numbers for column in columns(each) if column.metric == each.metric}
    display = tuple(shown[column.metric] for column in rule(first) if column.metric in values)
    name = first.benchmark + (f"@{first.variant}" if first.variant else "")
    metrics = {each.metric: MetricValue(each.value) for each in numbers}
    return Record(
        key=sha256_of([backbone.digest, name]),
        benchmark=first.benchmark,
        protocol=ProtocolStamp(name, 1, sha256_of(name)),
        backbone=backbone,
        data=DataStamp(first.benchmark.partition("_")[0], sha256_of("data"), {}),
        seed=None,
        numerics={"precision": "fp32"},
        metrics=metrics,
        details={"best_layer": first.layer} if first.layer else {},
        display=display,
        curves={},
        started="2026-01-02T03:04:05+00:00",
        finished="2026-01-02T03:05:05+00:00",
        seconds=60.0,
        device="cpu",
        versions={"torch": "2.14.0"},
        config_digest="",
        git="0123456",
        attempt="001-x",
    )


def entries_of(numbers: Iterable[Published], label_of: Callable[[Published], str]) -> list[Entry]:
    """Jobs under labels that hold exactly these numbers."""
    found: dict[tuple[str, str, str], list[Published]] = {}
    for each in numbers:
        found.setdefault((label_of(each), each.benchmark, each.variant), []).append(each)
    entries = []
    for (label, _, _), members in found.items():
        stamp = BackboneStamp(sha256_of(label), f"{label}.pth", "mmpretrain", "backbone", "rgb-mean-std")
        entries.append(entry_of_record(Label(label, stamp), record_of(members, stamp)))
    return sorted(entries, key=lambda each: (each.label.name, each.benchmark, each.group))


def numbers_of(algorithm: str) -> list[Published]:
    """What is published of one algorithm."""
    return [each for each in published() if each.algorithm == algorithm]


def simclr() -> list[Entry]:
    """Jobs with the numbers of the published SimCLR page."""
    return entries_of(numbers_of("SimCLR"), lambda each: LABELS[each.config])


def pages_of(entries: Sequence[Entry], metadata: Metadata | None, **request: Any) -> dict[str, str | bytes]:
    """All files that entries and metadata make."""
    return dict(Pages(Reading(tuple(entries), ()), Request(metadata=metadata, **request)).files())


def without_value(entry: Entry, reason: str) -> Entry:
    """The same job, failed."""
    metrics = {name: MetricValue(None, note=reason) for name in entry.metrics}
    return dataclasses.replace(entry, metrics=metrics, record=None)
