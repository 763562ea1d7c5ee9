"""Charts as SVG that takes its colours from the page, so that it follows light, dark and print."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Sequence

from results.pages.series import COLOURS, Axis, LinePlot, Plot, StripPlot

WIDTH, HEIGHT = 460.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 14.0, 12.0, 40.0


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart as the page shows it.

    Args:
        title: Its heading.
        svg: The drawing.
        names: Names of its lines with the numbers of their colours.
        left_out: How many further lines there are.
    """

    title: str
    svg: str
    names: tuple[tuple[str, int], ...]
    left_out: int


def chart(plot: Plot) -> Chart:
    """Draws a plot."""
    return line_chart(plot) if isinstance(plot, LinePlot) else strip(plot)


def line_chart(plot: LinePlot) -> Chart:
    """Draws lines over one axis, in percent."""
    title, axis, shown = plot.title, plot.axis, plot.shown
    xs = [_place(x, axis.logarithmic) for _, line in shown for x, _ in line.points]
    xs += [_place(x, axis.logarithmic) for x, _ in axis.ticks]
    ys = [y for _, line in shown for _, y in line.points]
    low, high, step = nice_range(min(ys), max(ys))
    x_scale = _Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_scale = _Scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_grid(low, high, step, y_scale)]
    for x, text in axis.ticks:
        at = x_scale(_place(x, axis.logarithmic))
        parts.append(_words("tick", "middle", at, HEIGHT - BOTTOM + 16, text))
    parts.append(_words("axis", "middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axis.title))
    for number, line in shown:
        places = [(x_scale(_place(x, axis.logarithmic)), y_scale(y), x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
        marks = "".join(
            f"{marker(number, x, y)}<title>{_text(f'{line.name}: {value:.2f} at {_tick(axis, at)}')}</title></path>"
            for x, y, at, value in places
        )
        parts.append(
            f'<g class="series c{number}" data-name="{_text(line.name)}"><polyline points="{path}"/>{marks}</g>'
        )
    spoken = f"{title}: {', '.join(line.name for _, line in shown)}. The table above has the numbers."
    names = tuple((line.name, number) for number, line in shown)
    return Chart(title, _svg(spoken, HEIGHT, parts), names, plot.left_out)


def strip(plot: StripPlot) -> Chart:
    """Draws numbers on one axis: the published ones below it, ours above with their names."""
    own, published = plot.shown, plot.published
    values = [dot.value for dot in (*(dot for _, dot in own), *published)]
    low, high, step = nice_range(min(values), max(values))
    scale = _Scale(low, high, 16.0, WIDTH - 16.0)
    base = 24.0 + 18.0 * len(own)
    parts = [f'<line class="rule" x1="10" x2="{WIDTH - 10:.0f}" y1="{base:.0f}" y2="{base:.0f}"/>']
    value = low
    while value <= high + step / 2:
        parts.append(_words("tick", "middle", scale(value), base + 42, _number(value, step)))
        value += step
    for dot in published:
        at = scale(dot.value)
        parts.append(
            f'<circle class="published" cx="{at:.1f}" cy="{base + 14:.0f}" r="4.5">'
            f"<title>{_text(f'{dot.name}: {dot.value:g} (published)')}</title></circle>"
        )
    for place, (number, dot) in enumerate(own):
        at, height = scale(dot.value), 14.0 + 18.0 * (len(own) - 1 - place)
        right = at > WIDTH * 0.62
        side = -6 if right else 6
        shown = dot.name if len(dot.name) <= 34 else dot.name[:33] + "…"
        parts.append(
            f'<g class="series c{number}" data-name="{_text(dot.name)}">'
            f'<line class="stem" x1="{at:.1f}" x2="{at:.1f}" y1="{height:.0f}" y2="{base:.0f}"/>'
            f"{marker(number, at, base)}<title>{_text(f'{dot.name}: {dot.value:.2f}')}</title></path>"
            f"{_words('name', 'end' if right else 'start', at + side, height + 6, f'{shown}  {dot.value:.2f}')}</g>"
        )
    named = ", ".join(f"{dot.name} {dot.value:.2f}" for _, dot in own)
    spoken = f"{plot.title}: {named}, among {len(published)} published numbers."
    return Chart(plot.title, _svg(spoken, base + 50, parts), (), plot.left_out)


def marker(number: int, x: float, y: float) -> str:
    """The beginning of a marker's path: a shape for each colour, so that no colour has to be told apart."""
    shapes = (
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
        "M-3.6-3.6h7.2v7.2h-7.2z",
        "M0-4.8L4.6 3.4H-4.6z",
        "M0-5L5 0L0 5L-5 0z",
        "M0 4.8L4.6-3.4H-4.6z",
        "M-4.6-1.5h3.1v-3.1h3v3.1h3.1v3h-3.1v3.1h-3v-3.1h-3.1z",
        "M-5-2.6h10v5.2h-10z",
        "M-2.6-5h5.2v10h-5.2z",
    )
    return f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{shapes[number % COLOURS]}">'


def swatch(number: int) -> str:
    """The marker of a line, for a legend."""
    return f'<svg class="swatch c{number}" viewBox="-8 -8 16 16" aria-hidden="true">{marker(number, 0, 0)}</path></svg>'


def nice_range(low: float, high: float) -> tuple[float, float, float]:
    """Round numbers that hold a range, and the step between them: three to seven steps."""
    spread = max(high - low, 1e-9 * max(abs(high), 1.0), 0.4)
    rough = spread / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step) * step, math.ceil(high / step) * step
    return first, (last if last > first else first + step), step


class _Scale:
    """Maps a range of values to a range of places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.start = low, start
        self.factor = (end - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.factor


def _place(value: float, logarithmic: bool) -> float:
    return math.log2(value) if logarithmic else value


def _grid(low: float, high: float, step: float, scale: _Scale) -> str:
    parts = []
    value = low
    while value <= high + step / 2:
        y = scale(value)
        parts.append(f'<line class="grid" x1="{LEFT:.0f}" x2="{WIDTH - RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_words("tick", "end", LEFT - 6, y + 4, _number(value, step)))
        value += step
    return "".join(parts)


def _number(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step))) + (1 if step in (2.5, 0.25, 0.025) else 0)
    return f"{value + 0.0:.{decimals}f}"


def _tick(axis: Axis, at: float) -> str:
    return next((text for x, text in axis.ticks if x == at), f"{at:g}")


def _words(kind: str, anchor: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{_text(text)}</text>'


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _svg(spoken: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH:.0f} {height:.0f}" aria-label="{_text(spoken)}">'
        + "".join(parts)
        + "</svg>"
    )
