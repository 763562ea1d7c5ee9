from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from results.entries import Entry
from results.pages.build import build_page
from results.pages.model import Table
from results.pages.series import LinePlot, StripPlot, plots_of
from results.record import Column, MetricValue
from tests.results.pages.zoo_pages import entries_of, numbers_of


def simclr(benchmark: str, **changes: Any) -> list[Entry]:
    found = entries_of([each for each in numbers_of("SimCLR") if each.benchmark == benchmark], lambda each: each.config)
    return [
        dataclasses.replace(each, record=dataclasses.replace(each.record, **changes)) for each in found if each.record
    ]


def table(entries: list[Entry]) -> Table:
    return build_page("x", entries).groups[0].sections[0].tables[0]


def plots(benchmark: str, **changes: Any) -> dict[str, Any]:
    return {plot.kind: plot for plot in plots_of(table(simclr(benchmark, **changes)), {})}


def test_low_shot_numbers_are_a_line_over_k() -> None:
    found = plots("voc07_svm")
    assert set(found) == {"lowshot", "published"}
    (line,) = found["lowshot"].lines
    assert line.points[0] == (1.0, 35.02)
    assert line.points[-1] == (96.0, 77.4)
    assert found["lowshot"].axis.logarithmic
    # Twelve checkpoints are published with this protocol, one of them with another stem.
    assert len(found["published"].published) == 11
    assert [dot.value for _, dot in found["published"].shown] == [79.98]


def test_feature_maps_are_lines_with_the_best_model_first() -> None:
    plot = plots("imagenet_mhead")["feature"]
    assert [line.points[-1] for line in plot.lines] == [(5.0, 66.41), (5.0, 62.91)]
    assert [text for _, text in plot.axis.ticks] == ["1", "2", "3", "4", "5"]
    assert not plot.axis.logarithmic


def test_evaluations_over_training_are_a_line() -> None:
    plot = plots("voc12aug_fcn", curves={"iterations": [2000, 4000], "mIoU": [50.0, 64.03]})["learning"]
    assert isinstance(plot, LinePlot)
    assert plot.axis.title == "iterations"
    assert plot.lines[0].points == ((2000.0, 50.0), (4000.0, 64.03))


def test_a_long_training_is_thinned_but_keeps_its_end() -> None:
    curves = {"epochs": list(range(12345)), "mIoU": [0.001 * number for number in range(12345)]}
    (line,) = plots("voc12aug_fcn", curves=curves)["learning"].lines
    assert len(line.points) <= 202
    assert line.points[0] == (0.0, 0.0)
    assert line.points[-1] == (12344.0, 12.344)


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"epochs": 3, "mIoU": 5},
        {"epochs": [1], "mIoU": [1.0]},
        {"epochs": [1, 2], "mIoU": [None, "x"]},
        {"epochs": [1, 2]},
        {"epochs": [], "mIoU": []},
    ],
)
def test_a_curve_that_is_none_is_not_drawn(curves: dict[str, Any]) -> None:
    assert set(plots("voc12aug_fcn", curves=curves)) == {"published"}


def test_a_protocol_with_no_images_of_a_class_has_an_even_axis() -> None:
    (entry,) = simclr("voc07_svm")
    display = (Column("lowshot_k0", "k=0", 2), Column("lowshot_k1", "k=1", 2))
    metrics = {column.metric: MetricValue(1.0) for column in display}
    changed = dataclasses.replace(entry, display=display, metrics=metrics)
    (plot,) = plots_of(table([changed]), {})
    assert isinstance(plot, LinePlot)
    assert not plot.axis.logarithmic


def test_what_has_no_place_among_the_published_has_no_strip() -> None:
    entries = simclr("voc12aug_fcn")
    smoke = [
        dataclasses.replace(each, protocol=dataclasses.replace(each.protocol, profile="smoke")) for each in entries
    ]
    assert [type(plot) for plot in plots_of(table(entries), {})] == [StripPlot]
    assert plots_of(table(smoke), {}) == []
