"""Puts the results page together: overview, sections with tables and charts, and what stands behind each number."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from results.entries import Entry
from results.pages.html.charts import Chart, chart, swatch
from results.pages.html.provenance import Provenance
from results.pages.markdown import caption_line, file_name, plain, remark_line, versions_line
from results.pages.model import Caption, Page, Remark, Table, Version
from results.pages.public import page_stem, public_text
from results.pages.series import HEADLINES, colours_of, plots_of
from results.pages.twins import is_result
from results.published import Published, comparable


@dataclasses.dataclass(frozen=True)
class TableView:
    """A table with what surrounds it."""

    number: int
    table: Table
    marked: tuple[str, ...]
    best: tuple[float | None, ...]
    published: tuple[tuple[str, tuple[str, ...]], ...]
    charts: tuple[Chart, ...]


@dataclasses.dataclass(frozen=True)
class Glance:
    """A cell of the overview: the text, its share of the column's range, and where its number stands below."""

    text: str
    share: int
    at: str
    best: bool


@dataclasses.dataclass(frozen=True)
class Overview:
    """One row a label, one column a benchmark."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Glance | None, ...]], ...]


def to_html(page: Page, entries: Sequence[Entry]) -> str:
    """The results page; the same page gives the same text.

    Args:
        page: The page of all labels.
        entries: Its jobs.
    """
    provenance = Provenance()
    colours = colours_of(page)
    views: dict[int, TableView] = {}
    for group in page.groups:
        for section in group.sections:
            for table in section.tables:
                views[id(table)] = _view(table, provenance, colours)
    finished = max((entry.record.finished for entry in entries if entry.record), default="")
    return (
        _environment()
        .get_template("results.html.j2")
        .render(
            page=page,
            views=views,
            overview=_overview(list(views.values())),
            provenance=Markup(provenance.to_json()),
            finished=finished,
            jobs=sum(entry.record is not None for entry in entries),
            style=Markup(_part("results.css")),
            script=Markup(_part("results.js")),
        )
    )


def _view(table: Table, provenance: Provenance, colours: Mapping[str, int]) -> TableView:
    metrics = [cell.metric for cell in table.rows[0].cells]
    rows = _published_rows(table, metrics)
    heads = [row[0].name for row in rows]
    texts = tuple(
        (
            head if heads.count(head) == 1 else f"{head} ({_gpus(row[0])})",
            tuple(_text_of(row, each) for each in metrics),
        )
        for head, row in zip(heads, rows, strict=True)
    )
    best = tuple(_best([row.cells[number].value for row in table.rows]) for number in range(len(metrics)))
    number = provenance.table(table, rows)
    return TableView(
        number, table, _marked(table), best, texts, tuple(chart(plot) for plot in plots_of(table, colours))
    )


def _best(values: Sequence[float | None]) -> float | None:
    """The highest of several; None where there is nothing to choose from."""
    found = [value for value in values if value is not None]
    return max(found) if len(values) > 1 and found else None


def _marked(table: Table) -> tuple[str, ...]:
    """Why a table holds no results of a published protocol; empty where it does."""
    marks = {
        f"{table.profile.capitalize()} profile: no results": table.profile != "full",
        "Modified protocol": bool(table.caption.modified),
        "Non-standard data": bool(table.caption.nonstandard),
    }
    return tuple(mark for mark, holds in marks.items() if holds)


def _published_rows(table: Table, metrics: Sequence[str]) -> list[tuple[Published, ...]]:
    """Published numbers that may be compared with a table's, one tuple a checkpoint."""
    entry = table.rows[0].jobs[0]
    found: dict[tuple[str, str], list[Published]] = {}
    for metric in metrics:
        for each in comparable(entry, metric):
            found.setdefault((each.algorithm, each.config), []).append(each)
    return [tuple(numbers) for numbers in found.values()]


def _gpus(number: Published) -> str:
    """What tells two checkpoints apart that share algorithm, epochs and batch size: how the batch was split."""
    found = re.search(r"\d+xb\d+(-accum\d+)?", number.config)
    return found[0] if found else number.config


def _text_of(numbers: Sequence[Published], metric: str) -> str:
    return next((each.text for each in numbers if each.metric == metric), "")


def _overview(views: Sequence[TableView]) -> Overview | None:
    """Results only: of each benchmark the first table that has any."""
    columns: dict[str, tuple[str, dict[str, tuple[float, str, str]]]] = {}
    labels: dict[str, None] = {}
    for view in views:
        table = view.table
        metrics = [cell.metric for cell in table.rows[0].cells]
        metric, title = HEADLINES.get(table.benchmark, (metrics[0], table.benchmark))
        if table.benchmark in columns or metric not in metrics or not is_result(table.rows[0].jobs[0]):
            continue
        column = metrics.index(metric)
        found = {}
        for number, row in enumerate(table.rows):
            cell = row.cells[column]
            if cell.value is not None:
                found[row.name.title] = (cell.value, cell.text, f"{view.number}.{number}.{column}")
        if found:
            columns[table.benchmark] = (title, found)
            labels |= dict.fromkeys(found)
    if not columns:
        return None
    rows = tuple((label, tuple(_glance(found, label) for _, found in columns.values())) for label in sorted(labels))
    return Overview(tuple(title for title, _ in columns.values()), rows)


def _glance(found: Mapping[str, tuple[float, str, str]], label: str) -> Glance | None:
    if label not in found:
        return None
    values = [value for value, _, _ in found.values()]
    value, text, at = found[label]
    spread = max(values) - min(values)
    share = round(100 * (value - min(values)) / spread) if spread else 100
    return Glance(text, share, at, len(values) > 1 and value == max(values))


def _part(name: str) -> str:
    return resources.files("results.pages").joinpath("templates", name).read_text(encoding="utf-8")


def _strong(text: str) -> Markup:
    """The one mark that texts of ours use: two asterisks around what is strong."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(Markup.escape(text))))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("results.pages"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        strong=_strong,
        plain=plain,
        anchor=page_stem,
        file_name=file_name,
        public=public_text,
        # Lines of the markdown pages are HTML already once their few marks are turned.
        caption=_caption,
        remark=_remark,
        versions=_versions,
    )
    environment.globals.update(id=id, swatch=_swatch, svg=Markup)
    return environment


def _caption(caption: Caption) -> Markup:
    return _marks(caption_line(caption))


def _remark(remark: Remark) -> Markup:
    return _marks(remark_line(remark).removeprefix("- "))


def _versions(versions: Sequence[Version]) -> Markup:
    return Markup(versions_line(versions))


def _swatch(number: int) -> Markup:
    return Markup(swatch(number))


def _marks(line: str) -> Markup:
    line = re.sub(r"`([^`]*)`", r"<code>\1</code>", line)
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", line))
