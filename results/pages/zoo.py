"""The page of an algorithm: what the metadata says, its checkpoints' numbers, and the table of models with links."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from results.entries import Entry
from results.metadata import Algorithm, Links, Matched, Model
from results.pages import model as views
from results.pages.build import Summaries, build_page, caption_of, cell_of, remarks_of
from results.pages.sections import all_sections
from results.table import summarise_cells

LINEAR = "imagenet_linear"
"""The benchmark whose place on the page the table of models takes."""

TABLED = (LINEAR, "imagenet_finetune")
"""Benchmarks that are columns of the table of models, in order."""

METRIC = "top1"
NOTHING = "/"
"""What the published table of models shows where nothing is."""


@dataclasses.dataclass(frozen=True)
class ZooPage:
    """An algorithm's page.

    Args:
        algorithm: What the metadata says of it.
        models: Its models in the metadata's order, with their labels; None for one without results here.
        page: Its numbers.
    """

    algorithm: Algorithm
    models: tuple[tuple[Model, str | None], ...]
    page: views.Page


def build_zoo_page(
    algorithm: Algorithm, matched: Matched, entries: Sequence[Entry], summary: Summaries | None = None
) -> ZooPage:
    """Orders the numbers of an algorithm's checkpoints into its page.

    Args:
        algorithm: The algorithm.
        matched: Which label is which model.
        entries: Jobs of any labels.
        summary: What :func:`results.table.summarise_cells` says of these entries, or of more; None to work it out.
    """
    labels = {matched.labels[each.name]: each for each in algorithm.models if each.name in matched.labels}
    order = {label: number for number, label in enumerate(labels)}
    own = sorted((each for each in entries if each.label.name in order), key=lambda each: order[each.label.name])
    summary = summarise_cells(own) if summary is None else summary
    names = {label: views.RowName(each.title or each.name, each.config or "") for label, each in labels.items()}
    page = build_page(algorithm.name, own, summary, names)
    models = tuple((each, matched.labels.get(each.name)) for each in algorithm.models)
    tables = _model_tables(algorithm, models, own, summary, names)
    groups = tuple(_group(group, algorithm, tables) for group in _with_linear(page.groups))
    page = dataclasses.replace(page, groups=tuple(group for group in groups if group.sections))
    return ZooPage(algorithm, models, page)


def _with_linear(groups: tuple[views.GroupView, ...]) -> tuple[views.GroupView, ...]:
    """Groups in which the section of the table of models is there, with or without numbers."""
    known = all_sections()
    section = next(each for each in known if each.benchmark == LINEAR)
    group = next((each for each in groups if each.name == section.group), None)
    if group is None:
        group = views.GroupView(section.group, section.group.capitalize(), "", (), ())
        groups = (group, *groups)
    if all(each.benchmark != LINEAR for each in group.sections):
        order = [each.benchmark for each in known]
        view = views.SectionView(LINEAR, section.heading, section.intro, ())
        sections = sorted((*group.sections, view), key=lambda each: order.index(each.benchmark))
        shown = {each.benchmark for each in sections}
        data = tuple(dict.fromkeys(each.data for each in known if each.benchmark in shown))
        filled = dataclasses.replace(group, sections=tuple(sections), data=data)
        groups = tuple(filled if each is group else each for each in groups)
    return groups


def _group(group: views.GroupView, algorithm: Algorithm, tables: tuple[views.ModelTable, ...]) -> views.GroupView:
    """Leaves out what the published pages do not show: tables under a heading of their own (the SVM of each layer)."""
    sections = tuple(
        dataclasses.replace(
            each,
            tables=() if each.benchmark in TABLED else tuple(table for table in each.tables if not table.heading),
            models=tables if each.benchmark == LINEAR else (),
            config=algorithm.benchmarks.get(each.benchmark, ""),
        )
        for each in group.sections
        if each.benchmark == LINEAR or each.benchmark not in TABLED
    )
    return dataclasses.replace(group, sections=sections)


@dataclasses.dataclass(frozen=True)
class _Column:
    """Comparable numbers of one benchmark: jobs by label."""

    benchmark: str
    group: tuple[str, ...]
    jobs: Mapping[str, Sequence[Entry]]


def _columns(own: Sequence[Entry], benchmark: str) -> list[_Column]:
    found: dict[tuple[str, ...], dict[str, list[Entry]]] = {}
    for entry in own:
        if entry.benchmark == benchmark:
            found.setdefault(entry.group, {}).setdefault(entry.label.name, []).append(entry)
    # The table of all models holds the numbers of most of them.
    keys = sorted(found, key=lambda group: (group[0], -len(found[group]), group))
    return [_Column(benchmark, group, found[group]) for group in keys]


def _model_tables(
    algorithm: Algorithm,
    models: Sequence[tuple[Model, str | None]],
    own: Sequence[Entry],
    summary: Summaries,
    names: Mapping[str, views.RowName],
) -> tuple[views.ModelTable, ...]:
    """The table of all models, then one for each further protocol, data set or profile, with the models it has."""
    found = [_columns(own, benchmark) for benchmark in TABLED]
    first: list[_Column | None] = []
    rest: list[_Column] = []
    profiles = {columns[0].group[0] for columns in found if columns}
    for columns in found:
        # Full and smoke numbers never share a table.
        fits = columns and columns[0].group[0] == min(profiles)
        first.append(columns[0] if fits else None)
        rest += columns[1:] if fits else columns
    tables = [_model_table(algorithm, models, first, summary, names)]
    for column in rest:
        shown = [(model, label) for model, label in models if label in column.jobs]
        alone = [column if column.benchmark == benchmark else None for benchmark in TABLED]
        tables.append(_model_table(algorithm, shown, alone, summary, names))
    return tuple(tables)


def _model_table(
    algorithm: Algorithm,
    models: Sequence[tuple[Model, str | None]],
    columns: Sequence[_Column | None],
    summary: Summaries,
    names: Mapping[str, views.RowName],
) -> views.ModelTable:
    rows = tuple(
        views.ModelRow(
            model.backbone,
            _fact(model.epochs),
            _fact(model.batch_size),
            tuple(_result(column, label, summary) for column in columns),
            tuple(
                views.Links(links.shown())
                for links in (model, *(model.downstream.get(benchmark, Links()) for benchmark in TABLED))
            ),
        )
        for model, label in models
    )
    there = [column for column in columns if column is not None]

    def titles(labels: Iterable[str]) -> tuple[str, ...]:
        return tuple(names[label].title for label in labels)

    remarks = tuple(
        remark
        for column in there
        for label, jobs in column.jobs.items()
        for remark in remarks_of(names[label].title, jobs, [each for each in jobs[0].display if each.metric == METRIC])
    )
    profile = there[0].jobs[next(iter(there[0].jobs))][0].protocol.profile if there else "full"
    captions = tuple(caption_of(column.jobs, titles) for column in there)
    return views.ModelTable(algorithm.name, profile, rows, captions, remarks)


def _fact(number: int | None) -> str:
    return NOTHING if number is None else str(number)


def _result(column: _Column | None, label: str | None, summary: Summaries) -> str:
    jobs = column.jobs.get(label, ()) if column is not None and label is not None else ()
    shown = next((each for each in jobs[0].display if each.metric == METRIC), None) if jobs else None
    return (cell_of(jobs, shown, summary).text if shown is not None else "") or NOTHING
