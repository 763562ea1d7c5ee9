from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from results.entries import Label, entry_of_record
from results.pages.build import build_page
from results.pages.html.charts import chart, nice_range
from results.pages.html.page import to_html
from results.pages.series import Axis, Dot, Line, LinePlot, StripPlot
from tests.results.pages.html.sample import LABELS, sample_entries, sample_page

PAGE = sample_page()


class Document(HTMLParser):
    """Tags with their attributes, and whether they are closed in the right order."""

    VOID = ("meta", "link", "input", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def provenance(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="provenance">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_is_well_formed_and_its_ids_differ() -> None:
    document = Document(PAGE)
    assert document.open == []
    ids = [attrs["id"] for _, attrs in document.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    targets = {attrs["href"] for tag, attrs in document.tags if tag == "a"}
    assert targets <= {f"#{each}" for each in ids}


def test_the_page_loads_nothing() -> None:
    for tag, attrs in Document(PAGE).tags:
        assert tag not in ("img", "iframe", "object", "embed", "base"), tag
        assert not {"src", "srcset", "action", "formaction", "onclick", "onerror"} & set(attrs), (tag, attrs)
        assert tag != "link" or attrs["href"] == "data:,"
    assert "default-src 'none'" in PAGE
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", PAGE)


def test_two_pages_are_equal_byte_for_byte() -> None:
    assert sample_page() == PAGE


def test_every_value_carries_its_job_and_its_number() -> None:
    known = provenance(PAGE)
    entries = {each.key: each for each in sample_entries() if each.record}
    seen = 0
    for _, attrs in Document(PAGE).tags:
        if at := attrs.get("data-at"):
            table, row, column = map(int, at.split("."))
            where = known["tables"][table]
            metric = where["metrics"][column]
            for job in where["rows"][row]:
                entry = entries[known["jobs"][job][5]]
                assert known["jobs"][job][0] == entry.label.name
                assert known["jobs"][job][-1][metric] == entry.metrics[metric].value
                assert known["protocols"][known["jobs"][job][1]]["hash"] == entry.protocol.hash
                seen += 1
    assert seen > 150


def test_what_many_jobs_share_is_there_once() -> None:
    known = provenance(PAGE)
    assert len(known["backbones"]) == len(LABELS)
    assert len({each["hash"] + each["profile"] for each in known["protocols"]}) == len(known["protocols"]) < 15


def test_smoke_and_modified_numbers_are_in_no_overview() -> None:
    overview = PAGE[PAGE.index('<section id="overview"') : PAGE.index("<h2>Classification")]
    known = provenance(PAGE)
    for at in re.findall(r'data-at="([\d.]+)"', overview):
        table, row, _ = map(int, at.split("."))
        for job in known["tables"][table]["rows"][row]:
            protocol = known["protocols"][known["jobs"][job][1]]
            assert (protocol["profile"], protocol["modified"]) == ("full", [])


def test_every_reason_to_set_a_table_apart_is_marked(builder: Any) -> None:
    data = dataclasses.replace(builder.make().data, nonstandard=("10 classes.",))
    record = builder.make(profile="smoke", modified=["temperature"], data=data)
    entries = [entry_of_record(Label("a", record.backbone), record)]
    text = to_html(build_page("a", entries), entries)
    marks = re.findall(r'<span class="tag warn">([^<]*)</span>', text)
    assert marks == ["Smoke profile: no results", "Modified protocol", "Non-standard data"]
    assert 'id="overview"' not in text


def test_a_chart_has_a_line_for_each_row_and_a_mark_for_each_point() -> None:
    lines = [Line("a<b", ((1, 10.0), (2, 20.0))), Line("none", ()), Line("c", ((2, 15.0),))]
    drawn = chart(LinePlot("knn", "Title", tuple(lines), Axis("k", ((1, "1"), (2, "2")), True)))
    assert drawn.names == (("a<b", 0), ("c", 1))
    assert drawn.svg.count('class="mark"') == 3
    assert "a<b" not in drawn.svg
    assert "a&lt;b: 10.00 at 1" in drawn.svg


def test_a_chart_says_how_many_lines_it_leaves_out() -> None:
    lines = [Line(str(number), ((0, 1.0), (1, float(number)))) for number in range(11)]
    drawn = chart(LinePlot("knn", "Title", tuple(lines), Axis("x", ())))
    assert (len(drawn.names), drawn.left_out) == (8, 3)
    dots = [Dot(str(number), number, number > 0) for number in range(12)]
    assert chart(StripPlot("Title", tuple(dots))).left_out == 3


@pytest.mark.parametrize(
    ("low", "high"), [(0, 100), (62.9, 63.1), (5, 5), (0, 0), (-3.2, 99.9), (1e-12, 2e-12), (99.999, 100.001)]
)
def test_an_axis_holds_its_range_with_few_round_steps(low: float, high: float) -> None:
    first, last, step = nice_range(low, high)
    # Multiples of a step such as 0.1 are a few units in the last place beside the decimal number.
    assert first <= low + 1e-9 * abs(low)
    assert last >= high - 1e-9 * abs(high)
    assert 1 <= round((last - first) / step) <= 8
