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
from results.pages.html.charts import COLOURS, Axis, Chart, Dot, Line, line_chart, strip, swatch
from results.pages.html.provenance import Provenance
from results.pages.markdown import caption_line, file_name, plain, remark_line, versions_line
from results.pages.model import Caption, Page, Remark, Row, Table, Version
from results.pages.public import page_stem, public_text
from results.pages.twins import is_result
from results.published import Published, comparable

HEADLINES = {
    "voc07_svm": ("svm", "VOC07 SVM"),
    "imagenet_mhead": ("feature5", "ImageNet feature5"),
    "imagenet_linear": ("top1", "ImageNet linear"),
    "places205_mhead": ("feature5", "Places205 feature5"),
    "inaturalist2018_mhead": ("feature5", "iNat 2018 feature5"),
    "imagenet_knn": ("knn_k20", "ImageNet kNN, k=20"),
    "voc0712_faster_rcnn": ("AP50", "VOC07+12 AP50"),
    "coco_mask_rcnn": ("bbox_mAP", "COCO box mAP"),
    "voc12aug_fcn": ("mIoU", "VOC12aug mIoU"),
    "cityscapes_fcn": ("mIoU", "Cityscapes mIoU"),
}
"""The metric that stands for a benchmark in the overview, and its title there."""

_NUMBERED = re.compile(r"(?:svm_)?feature(\d)|lowshot_k(\d+)|knn_k(\d+)")
_PROFILES = (
    ("feature", "Over the five feature maps"),
    ("lowshot", "Over k, the images of a class"),
    ("knn", "Over k, the neighbours"),
)


@dataclasses.dataclass(frozen=True)
class TableView:
    """A table with what surrounds it."""

    number: int
    table: Table
    marked: str
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
    # Where each model can have a colour of its own it keeps it through the page.
    few = len(page.labels) <= COLOURS
    colours = {label.name: number for number, label in enumerate(page.labels)} if few else {}
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
    return TableView(number, table, _marked(table), best, texts, _charts(table, metrics, colours))


def _best(values: Sequence[float | None]) -> float | None:
    """The highest of several; None where there is nothing to choose from."""
    found = [value for value in values if value is not None]
    return max(found) if len(values) > 1 and found else None


def _marked(table: Table) -> str:
    """Why a table holds no results of a published protocol; empty where it does."""
    if table.profile != "full":
        return f"{table.profile.capitalize()} profile: no results"
    if table.caption.modified:
        return "Modified protocol"
    return "Non-standard data" if table.caption.nonstandard else ""


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


def _charts(table: Table, metrics: Sequence[str], colours: Mapping[str, int]) -> tuple[Chart, ...]:
    charts = [_profile(table, metrics, kind, title, colours) for kind, title in _PROFILES]
    headline, title = HEADLINES.get(table.benchmark, (metrics[-1], table.header[-1]))
    if headline in metrics:
        charts += [_among(table, metrics.index(headline), title, colours), _learning(table.rows, headline, colours)]
    return tuple(chart for chart in charts if chart is not None)


def _profile(table: Table, metrics: Sequence[str], kind: str, title: str, colours: Mapping[str, int]) -> Chart | None:
    """A line a row over metrics that differ by a number only."""
    columns = []
    for number, metric in enumerate(metrics):
        found = _NUMBERED.fullmatch(metric)
        if found and metric.removeprefix("svm_").startswith(kind):
            columns.append((number, float(next(filter(None, found.groups()))), table.header[number + 1]))
    if len(columns) < 2:
        return None
    lines = [
        Line(
            row.name.title,
            tuple((x, value) for number, x, _ in columns if (value := row.cells[number].value) is not None),
            colours.get(row.name.title),
        )
        for row in _ordered(table.rows, columns[-1][0])
    ]
    ticks = tuple((x, text.removeprefix("k=").removeprefix("Feature")) for _, x, text in columns)
    axis = Axis("feature map" if kind == "feature" else "k", ticks, kind != "feature")
    return line_chart(title, lines, axis)


def _ordered(rows: Sequence[Row], column: int) -> list[Row]:
    """The best rows of a column first: a chart has room for few."""
    return sorted(rows, key=lambda row: -(row.cells[column].value or -1.0))


def _among(table: Table, column: int, title: str, colours: Mapping[str, int]) -> Chart | None:
    metric = table.rows[0].cells[column].metric
    others = comparable(table.rows[0].jobs[0], metric)
    dots = [Dot(each.name, each.value, False) for each in others]
    dots += [
        Dot(row.name.title, value, True, colours.get(row.name.title))
        for row in table.rows
        if (value := row.cells[column].value) is not None
    ]
    return strip(f"{title} among the published", dots)


def _learning(rows: Sequence[Row], metric: str, colours: Mapping[str, int]) -> Chart | None:
    """Evaluations over training; of several seeds the first one's."""
    lines, unit = [], "epochs"
    for row in rows:
        curves = next((job.record.curves for job in row.jobs if job.record), {})
        unit = next((name for name in ("epochs", "iterations") if name in curves), unit)
        xs, ys = curves.get(unit), curves.get(metric)
        if isinstance(xs, list) and isinstance(ys, list):
            points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=False) if _is_number(x) and _is_number(y)]
            lines.append(Line(row.name.title, tuple(points), colours.get(row.name.title)))
    lines.sort(key=lambda line: -(line.points[-1][1] if line.points else -1.0))
    last = max((x for line in lines for x, _ in line.points), default=0.0)
    first = min((x for line in lines for x, _ in line.points), default=0.0)
    ticks = dict.fromkeys((first, (first + last) / 2, last))
    return line_chart("Learning curve", lines, Axis(unit, tuple((x, f"{x:,.10g}") for x in ticks)))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
