"""Figures for papers, drawn by matplotlib: each plot as SVG and PNG; the same plot gives the same bytes."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from results.pages.model import Page
from results.pages.public import page_stem
from results.pages.series import LinePlot, Plot, StripPlot, colours_of, plots_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which most kinds of colour vision tell apart, and a marker for each.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")
MARKERS = "os^DvPXd"
NAME = 48
"""Longer names are cut."""

SETTINGS: Any = {
    "svg.hashsalt": "harness",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def figures(page: Page) -> Iterator[tuple[str, bytes]]:
    """File names and contents of every plot of a page, tables in page order.

    Args:
        page: The page of all labels.
    """
    colours = colours_of(page)
    seen: dict[str, int] = {}
    for group in page.groups:
        for section in group.sections:
            for table in section.tables:
                for plot in plots_of(table, colours):
                    name = f"{section.benchmark}-{plot.kind}"
                    seen[name] = count = seen.get(name, 0) + 1
                    stem = page_stem(name if count == 1 else f"{name}-{count}")
                    note = "" if table.profile == "full" else f" ({table.profile} profile: no results)"
                    for kind in ("svg", "png"):
                        yield f"{stem}.{kind}", draw(plot, f"{section.heading}{note}", kind)


def draw(plot: Plot, heading: str, kind: str) -> bytes:
    """Draws one plot.

    Args:
        plot: The plot.
        heading: What stands above it.
        kind: ``svg`` or ``png``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # Fonts lack some characters that names may have; a box stands for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(f"{heading}\n{plot.title}", fontsize=9, parse_math=False)
        if isinstance(plot, LinePlot):
            _lines(axes, plot)
        else:
            _strip(axes, plot)
        stream = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(stream, format=kind, dpi=200, metadata=metadata)
    return stream.getvalue()


def _lines(axes: Axes, plot: LinePlot) -> None:
    for number, line in plot.shown:
        xs, ys = zip(*line.points, strict=True)
        (drawn,) = axes.plot(xs, ys, color=COLOURS[number], marker=MARKERS[number], markersize=4, linewidth=1.3)
        drawn.set_label(str(number))
    if plot.axis.logarithmic:
        axes.set_xscale("log", base=2)
    axes.set_xticks([x for x, _ in plot.axis.ticks], [text for _, text in plot.axis.ticks], minor=False)
    axes.set_xlabel(plot.axis.title)
    axes.set_ylabel("percent")
    # A name goes in afterwards: the legend leaves out labels that begin with an underscore.
    for text, (_, line) in zip(axes.legend(fontsize=7).get_texts(), plot.shown, strict=True):
        text.set_parse_math(False)
        text.set_text(_short(line.name))


def _strip(axes: Axes, plot: StripPlot) -> None:
    values = [dot.value for dot in plot.dots]
    low, high = math.floor(min(values)) - 1, math.ceil(max(values)) + 1
    axes.plot([dot.value for dot in plot.published], [0] * len(plot.published), "o", color="grey", fillstyle="none")
    axes.text(low, 0.28, " published", fontsize=7, color="grey")
    for place, (number, dot) in enumerate(plot.shown, start=1):
        axes.plot([dot.value] * 2, [0, place], color=COLOURS[number], linewidth=0.8, linestyle=":")
        axes.plot([dot.value], [place], MARKERS[number], color=COLOURS[number])
        right = dot.value > (low + high) / 2
        text = f"{_short(dot.name)}  {dot.value:.2f}"
        offset = (-7, 0) if right else (7, 0)
        side = "right" if right else "left"
        axes.annotate(
            text, (dot.value, place), offset, textcoords="offset points", ha=side, va="center", fontsize=7
        ).set_parse_math(False)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.5, len(plot.shown) + 0.5)
    axes.set_xlabel("percent")


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"
