"""From entries to a page: groups, sections, tables, captions and remarks."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from results.entries import Entry
from results.pages.model import (
    FIRST_COLUMN,
    Caption,
    Cell,
    GroupView,
    Page,
    Remark,
    Row,
    RowName,
    SectionView,
    Table,
    Version,
)
from results.pages.public import public_text
from results.pages.sections import GROUPS, HIDDEN, OTHER, Group, Section, all_sections
from results.record import Column, MetricValue
from results.table import Summary, summarise_cells

DEFAULT_INPUT = "rgb-mean-std"
"""The input convention that goes without saying: torchvision's."""
REASON_CHARACTERS = 240
"""Longer reasons are cut on a page; ``results.csv`` has them whole."""


Summaries = Mapping[tuple[tuple[Any, ...], str], Summary]
"""What :func:`results.table.summarise_cells` gives."""


@dataclasses.dataclass(frozen=True)
class _Sources:
    """What all tables are made of: the numbers and the names of rows by label."""

    summary: Summaries
    names: Mapping[str, RowName]

    def name(self, label: str) -> RowName:
        return self.names.get(label) or RowName(label)

    def titles(self, labels: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.name(label).title for label in labels)


def build_page(
    title: str,
    entries: Sequence[Entry],
    summary: Summaries | None = None,
    names: Mapping[str, RowName] = MappingProxyType({}),
) -> Page:
    """Orders entries into the groups, sections and tables of one page.

    Args:
        title: Heading of the page.
        entries: Jobs of one or several labels, sorted as :func:`results.entries.read_entries` gives them.
        summary: What :func:`results.table.summarise_cells` says of these entries, or of more; None to work it out.
        names: What rows are called, by label, where that is not the label.
    """
    by_benchmark: dict[str, list[Entry]] = {}
    for entry in entries:
        by_benchmark.setdefault(entry.benchmark, []).append(entry)
    sections = all_sections()
    known = {section.benchmark for section in sections}
    others = tuple(Section(name, OTHER.name, name, name) for name in sorted(by_benchmark.keys() - known))
    sources = _Sources(summarise_cells(entries) if summary is None else summary, names)
    groups = tuple(_group(group, sections + others, by_benchmark, sources) for group in GROUPS)
    profiles = {entry.protocol.profile for entry in entries}
    return Page(
        title,
        tuple(group for group in groups if group.sections),
        tuple({entry.label.name: entry.label for entry in entries}.values()),
        _versions(entries),
        tuple(sorted(profiles - {"full"})),
        "full" in profiles,
    )


def _group(
    group: Group, sections: Iterable[Section], by_benchmark: Mapping[str, Sequence[Entry]], sources: _Sources
) -> GroupView:
    views: list[SectionView] = []
    data: list[str] = []
    for section in sections:
        if section.group != group.name or section.benchmark not in by_benchmark:
            continue
        tables = _tables(section, by_benchmark[section.benchmark], sources)
        if not tables:
            continue
        views.append(SectionView(section.benchmark, section.heading, section.intro, tables))
        data.append(section.data)
    return GroupView(group.name, group.heading, group.remark, tuple(dict.fromkeys(data)), tuple(views))


def _tables(section: Section, entries: Sequence[Entry], sources: _Sources) -> tuple[Table, ...]:
    """One table for each thing that keeps numbers apart and each heading, the main one first."""
    comparable: dict[tuple[str, ...], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.group):
        comparable.setdefault(entry.group, []).append(entry)
    tables = []
    for members in comparable.values():
        columns: dict[str, dict[str, Column]] = {"": {}}
        for column in (column for entry in members for column in entry.display if column.table != HIDDEN):
            columns.setdefault(column.table, {}).setdefault(column.metric, column)
        for heading, by_metric in columns.items():
            if by_metric:
                details = section.details if heading == "" else ()
                tables.append(_table(section.benchmark, heading, details, tuple(by_metric.values()), members, sources))
    return tuple(tables)


def _table(
    benchmark: str,
    heading: str,
    details: tuple[tuple[str, str], ...],
    columns: tuple[Column, ...],
    entries: Sequence[Entry],
    sources: _Sources,
) -> Table:
    by_label: dict[str, list[Entry]] = {}
    for entry in entries:
        by_label.setdefault(entry.label.name, []).append(entry)
    rows = tuple(
        Row(
            sources.name(label),
            (
                *(_detail(jobs, name) for name, _ in details),
                *(cell_of(jobs, column, sources.summary) for column in columns),
            ),
            tuple(jobs),
        )
        for label, jobs in by_label.items()
    )
    header = (FIRST_COLUMN, *(title for _, title in details), *(column.title for column in columns))
    several = len(by_label) > 1
    remarks = tuple(
        remark
        for label, jobs in by_label.items()
        for remark in remarks_of(sources.name(label).title if several else "", jobs, columns)
    )
    return Table(
        benchmark, heading, entries[0].protocol.profile, header, rows, caption_of(by_label, sources.titles), remarks
    )


def _detail(jobs: Sequence[Entry], name: str) -> Cell:
    """A detail that all seeds agree on, or each one's."""
    found = (public_text(str(job.record.details[name])) for job in jobs if job.record and name in job.record.details)
    return Cell(", ".join(dict.fromkeys(found)))


def cell_of(jobs: Sequence[Entry], column: Column, summary: Summaries) -> Cell:
    """The rounded mean, with its deviation where there are several seeds; blank without a value."""
    found = summary.get((jobs[0].row, column.metric))
    if found is None or found.n == 0:
        return Cell("", column.metric)
    text = rounded(found.mean, column.decimals)
    if found.n > 1:
        text += f" ± {found.deviation:.{column.decimals}f}"
    return Cell(text if found.n == len(jobs) else f"{text} (n = {found.n})", column.metric, found.mean)


def rounded(value: float, decimals: int) -> str:
    """A number as pages show it: always that many digits after the point."""
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def remarks_of(label: str, jobs: Sequence[Entry], columns: Sequence[Column]) -> list[Remark]:
    """The notes of one row's cells; columns with the same note share a remark."""
    titles: dict[tuple[str, bool], dict[int | None, list[str]]] = {}
    absent = MetricValue(None, note="not measured")
    for job in jobs:
        for column in columns:
            metric = job.metrics.get(column.metric, absent)
            if metric.note:
                by_seed = titles.setdefault((metric.note, metric.value is None), {})
                by_seed.setdefault(job.seed, []).append(column.title)
    remarks = []
    for (note, blank), by_seed in titles.items():
        reason = textwrap.shorten(public_text(note), REASON_CHARACTERS, placeholder=" …")
        same = len(by_seed) == len(jobs) and len({tuple(names) for names in by_seed.values()}) == 1
        for seed, names in list(by_seed.items())[: 1 if same else None]:
            remarks.append(Remark(label, None if same else seed, tuple(names), reason, blank))
    return remarks


def caption_of(by_label: Mapping[str, Sequence[Entry]], titles: Callable[[Iterable[str]], tuple[str, ...]]) -> Caption:
    """How the numbers of one table were measured; ``titles`` says what its rows are called."""
    entries = [entry for jobs in by_label.values() for entry in jobs]
    protocol, data = entries[0].protocol, entries[0].data
    inputs: dict[str, list[str]] = {}
    remarks: dict[str, list[str]] = {}
    seeds: dict[tuple[int, ...], list[str]] = {}
    for label, jobs in by_label.items():
        if (convention := jobs[0].label.backbone.input) != DEFAULT_INPUT:
            inputs.setdefault(convention, []).append(label)
        for remark in jobs[0].label.backbone.remarks:
            remarks.setdefault(public_text(remark), []).append(label)
        if measured := tuple(sorted({job.seed for job in jobs if job.record and job.seed is not None})):
            seeds.setdefault(measured, []).append(label)
    code = tuple(sorted({public_text(entry.record.git) or "unknown" for entry in entries if entry.record}))
    return Caption(
        protocol.name,
        protocol.version,
        protocol.hash,
        protocol.modified,
        data.name,
        tuple(data.counts.items()),
        tuple(public_text(sentence) for sentence in data.nonstandard),
        tuple((convention, titles(labels)) for convention, labels in inputs.items()),
        tuple((remark, titles(labels)) for remark, labels in remarks.items()),
        tuple((measured, titles(labels)) for measured, labels in sorted(seeds.items())),
        _numerics(entries[0].numerics),
        code if len(code) > 1 else (),
    )


def _numerics(numerics: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is set, flattened and by name; what is off or does not apply is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in sorted(numerics.items()):
        if isinstance(value, Mapping):
            pairs += [(f"{name} {inner}", text) for inner, text in _numerics(value)]
        elif value is not None and value is not False:
            pairs.append((name.replace("_", " "), "on" if value is True else public_text(str(value))))
    return tuple(pairs)


def _versions(entries: Iterable[Entry]) -> tuple[Version, ...]:
    """Versions of the code and its packages, once where all records agree."""
    uses: dict[str, dict[str, set[str]]] = {}
    for record in (entry.record for entry in entries if entry.record):
        for name, version in (*record.versions.items(), ("git", record.git)):
            if version:
                uses.setdefault(name, {}).setdefault(version, set()).add(record.benchmark)
    return tuple(
        Version(
            name,
            tuple(
                (public_text(version), tuple(sorted(benchmarks)) if len(by_version) > 1 else ())
                for version, benchmarks in sorted(by_version.items())
            ),
        )
        for name, by_version in sorted(uses.items())
    )
