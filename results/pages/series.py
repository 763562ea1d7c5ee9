"""What charts show, whoever draws them: lines over feature maps, k and training, and numbers among the published."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from results.pages.markdown import plain
from results.pages.model import Page, Row, Table
from results.published import comparable

COLOURS = 8
"""Colours and shapes of markers that can be told apart; a chart has no more lines."""

POINTS = 200
"""A line has no more points; of more, evenly spaced ones are taken."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        name: What it shows.
        points: x and y.
        colour: Number of its colour and marker; None for its place in the chart.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    colour: int | None = None


@dataclasses.dataclass(frozen=True)
class Axis:
    """A horizontal axis.

    Args:
        title: What it shows.
        ticks: Values and their labels.
        logarithmic: Whether equal factors are equally far apart.
    """

    title: str
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False


@dataclasses.dataclass(frozen=True)
class LinePlot:
    """Lines over one axis, in percent.

    Args:
        kind: ``feature``, ``lowshot``, ``knn`` or ``learning``.
        title: Heading.
        lines: The lines, the most important first.
        axis: The horizontal axis.
    """

    kind: str
    title: str
    lines: tuple[Line, ...]
    axis: Axis

    @property
    def shown(self) -> list[tuple[int, Line]]:
        """Lines that there is room for, each with the number of its colour."""
        lines = [line for line in self.lines if line.points][:COLOURS]
        return [(place if line.colour is None else line.colour, line) for place, line in enumerate(lines)]

    @property
    def left_out(self) -> int:
        """Number of lines that there is no room for."""
        return sum(bool(line.points) for line in self.lines) - len(self.shown)


@dataclasses.dataclass(frozen=True)
class Dot:
    """One number on a strip.

    Args:
        name: What it belongs to.
        value: In percent.
        own: Whether it is one of ours.
        colour: As a line's.
    """

    name: str
    value: float
    own: bool
    colour: int | None = None


@dataclasses.dataclass(frozen=True)
class StripPlot:
    """Numbers of ours among the published ones, on one axis.

    Args:
        title: Heading.
        dots: The numbers.
    """

    title: str
    dots: tuple[Dot, ...]
    kind: str = "published"

    @property
    def shown(self) -> list[tuple[int, Dot]]:
        """The best of ours, the lowest first, each with the number of its colour."""
        own = sorted((dot for dot in self.dots if dot.own), key=lambda dot: dot.value)[-COLOURS:]
        return [(place if dot.colour is None else dot.colour, dot) for place, dot in enumerate(own)]

    @property
    def published(self) -> list[Dot]:
        """The published ones."""
        return [dot for dot in self.dots if not dot.own]

    @property
    def left_out(self) -> int:
        """Number of ours that there is no room for."""
        return sum(dot.own for dot in self.dots) - len(self.shown)


Plot = LinePlot | StripPlot

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


def colours_of(page: Page) -> dict[str, int]:
    """A colour for each model through the whole page; none where there are too many models."""
    few = len(page.labels) <= COLOURS
    return {label.name: number for number, label in enumerate(page.labels)} if few else {}


def plots_of(table: Table, colours: Mapping[str, int]) -> list[Plot]:
    """What there is to draw of a table.

    Args:
        table: The table.
        colours: Colour by label; others take the colour of their place.
    """
    metrics = [cell.metric for cell in table.rows[0].cells]
    plots: list[Plot | None] = [_profile(table, metrics, kind, title, colours) for kind, title in _PROFILES]
    headline, title = HEADLINES.get(table.benchmark, (metrics[-1], table.header[-1]))
    if headline in metrics:
        plots.append(_among(table, metrics.index(headline), title, colours))
        plots.append(_learning(table.rows, headline, colours))
    return [plot for plot in plots if plot is not None]


def _profile(
    table: Table, metrics: Sequence[str], kind: str, title: str, colours: Mapping[str, int]
) -> LinePlot | None:
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
            plain(row.name.title),
            tuple((x, value) for number, x, _ in columns if (value := row.cells[number].value) is not None),
            colours.get(row.name.title),
        )
        for row in _ordered(table.rows, columns[-1][0])
    ]
    ticks = tuple((x, text.removeprefix("k=").removeprefix("Feature")) for _, x, text in columns)
    logarithmic = kind != "feature" and all(x > 0 for x, _ in ticks)
    return _with_points(
        LinePlot(kind, title, tuple(lines), Axis("feature map" if kind == "feature" else "k", ticks, logarithmic))
    )


def _with_points(plot: LinePlot) -> LinePlot | None:
    """A plot that shows something: a line of two points or more."""
    return plot if any(len(line.points) > 1 for _, line in plot.shown) else None


def _ordered(rows: Sequence[Row], column: int) -> list[Row]:
    """The best rows of a column first: a chart has room for few."""
    return sorted(rows, key=lambda row: -(row.cells[column].value or -1.0))


def _among(table: Table, column: int, title: str, colours: Mapping[str, int]) -> StripPlot | None:
    metric = table.rows[0].cells[column].metric
    dots = [Dot(each.name, each.value, False) for each in comparable(table.rows[0].jobs[0], metric)]
    own = [
        Dot(plain(row.name.title), value, True, colours.get(row.name.title))
        for row in table.rows
        if (value := row.cells[column].value) is not None
    ]
    return StripPlot(f"{title} among the published", (*dots, *own)) if dots and own else None


def _learning(rows: Sequence[Row], metric: str, colours: Mapping[str, int]) -> LinePlot | None:
    """Evaluations over training; of several seeds the first one's."""
    lines, unit = [], "epochs"
    for row in rows:
        curves = next((job.record.curves for job in row.jobs if job.record), {})
        unit = next((name for name in ("epochs", "iterations") if name in curves), unit)
        xs, ys = curves.get(unit), curves.get(metric)
        if isinstance(xs, list) and isinstance(ys, list):
            points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=False) if _is_number(x) and _is_number(y)]
            thinned = points[:: len(points) // POINTS + 1]
            thinned += points[-1:] if points and thinned[-1] != points[-1] else []
            lines.append(Line(plain(row.name.title), tuple(thinned), colours.get(row.name.title)))
    lines.sort(key=lambda line: -(line.points[-1][1] if line.points else -1.0))
    last = max((x for line in lines for x, _ in line.points), default=0.0)
    first = min((x for line in lines for x, _ in line.points), default=0.0)
    ticks = dict.fromkeys((first, (first + last) / 2, last))
    axis = Axis(unit, tuple((x, f"{x:,.10g}") for x in ticks))
    return _with_points(LinePlot("learning", "Learning curve", tuple(lines), axis))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
