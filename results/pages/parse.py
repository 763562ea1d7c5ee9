"""Tables of a markdown page as a reader sees them, whoever wrote it: markdown tables and HTML ones with spans."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html.parser import HTMLParser

import markdown_it


@dataclasses.dataclass(frozen=True)
class ParsedTable:
    """One table.

    Args:
        line: Line of the page on which it begins, from 1.
        heading: The heading above it.
        header: Heads of the columns; where there are two rows of them, both, joined by ``/``.
        rows: Texts of the cells; a cell over several rows or columns stands in each of them.
    """

    line: int
    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def parse_tables(text: str) -> list[ParsedTable]:
    """The tables of a markdown page, in its order."""
    reader = markdown_it.MarkdownIt("commonmark").enable("table")
    tokens = reader.parse(text)
    found: list[ParsedTable] = []
    heading = ""
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _Grid(reader.renderer.render(tokens[number + 1 : number + 2], reader.options, {})).text.strip()
        line = (token.map or [0])[0] + 1
        if token.type == "table_open":
            end = next(place for place in range(number, len(tokens)) if tokens[place].type == "table_close")
            found += _tables(reader.renderer.render(tokens[number : end + 1], reader.options, {}), line, heading)
        elif token.type == "html_block" and "<table" in token.content:
            found += _tables(token.content, line, heading)
    return found


def _tables(html: str, line: int, heading: str) -> list[ParsedTable]:
    grid = _Grid(html)
    tables = []
    for head, body in grid.tables:
        header = head[-1] if head else ()
        if len(head) > 1:
            joined = zip(*head, strict=True)
            header = tuple(" / ".join(dict.fromkeys(filter(None, texts))) for texts in joined)
        tables.append(ParsedTable(line, heading, header, tuple(body)))
    return tables


class _Grid(HTMLParser):
    """Rows of every table with spans filled in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[tuple[list[tuple[str, ...]], list[tuple[str, ...]]]] = []
        self.text = ""
        self._row: list[tuple[str, int, int]] = []
        self._spans = (1, 1)
        self._above: dict[int, tuple[str, int]] = {}
        self._in_head = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append(([], []))
            self._above = {}
        elif tag in ("thead", "tbody"):
            self._in_head = tag == "thead"
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th"):
            given = dict(attrs)
            rows, columns = (given.get(name) or "1" for name in ("rowspan", "colspan"))
            self._spans = (_span(rows), _span(columns))
            self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._row.append((" ".join(self.text.split()), *self._spans))
        elif tag == "tr" and self.tables:
            head, body = self.tables[-1]
            (head if self._in_head else body).append(self._fill())

    def _fill(self) -> tuple[str, ...]:
        """The row with what reaches into it from above."""
        cells: list[str] = []
        below: dict[int, tuple[str, int]] = {}
        coming = list(self._row)
        while coming or len(cells) in self._above:
            place = len(cells)
            if place in self._above:
                text, rows = self._above[place]
                columns = 1
            else:
                text, rows, columns = coming.pop(0)
            for offset in range(columns):
                if rows > 1:
                    below[place + offset] = (text, rows - 1)
                cells.append(text)
        self._above = below
        return tuple(cells)


def _span(text: str) -> int:
    """A span as a page may give it; absurd ones count as one."""
    return int(text) if text.isdecimal() and 0 < int(text) < 1000 else 1
