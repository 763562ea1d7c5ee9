"""Pages written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown  # type: ignore[import-untyped]

from results.entries import read_workspace
from results.pages.render import Request, make_pages, write_pages
from results.record import Record
from results.workspace import Workspace

SHOTS = (1, 2, 4, 8, 16, 32, 64, 96)
LAYERS = range(1, 6)


class Reader(HTMLParser):
    """A page as blocks: ``(tag, text)``, and ``("table", [[cell, ...], ...])``."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.blocks: list[tuple[str, Any]] = []
        self.text = ""
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.blocks.append(("table", []))
        elif tag == "tr":
            self.blocks[-1][1].append([])
        if tag in ("td", "th", "p", "li", "h1", "h2", "h3", "h4"):
            self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.blocks[-1][1][-1].append(self.text)
        elif tag in ("p", "li", "h1", "h2", "h3", "h4"):
            self.blocks.append((tag, self.text))


def read(text: str) -> Reader:
    return Reader(by_python_markdown(text))


def tables(page: Path) -> list[tuple[str, list[str], list[list[str]], str]]:
    """Heading above, bold lines above, cells, caption below of each table of numbers."""
    found = []
    heading = ""
    bold: list[str] = []
    blocks = read(page.read_text()).blocks
    for number, (tag, content) in enumerate(blocks):
        if tag in ("h2", "h3", "h4"):
            heading, bold = content, []
        elif tag == "p" and not content.startswith("Protocol "):
            bold.append(content)
        elif tag == "table" and heading != "How these numbers were made":
            found.append((heading, bold, content, blocks[number + 1][1]))
            bold = []
    return found


def headings(page: Path) -> list[tuple[str, str]]:
    return [(tag, text) for tag, text in read(page.read_text()).blocks if tag in ("h1", "h2", "h3", "h4")]


def rounded(record: Record, metric: str, decimals: int) -> str:
    value = record.metrics[metric].value
    assert value is not None
    return f"{value:.{decimals}f}"


def only(paths: Sequence[Path], name: str) -> Path:
    (path,) = [path for path in paths if path.name == name]
    return path


def by_python_markdown(text: str) -> str:
    return str(markdown.markdown(text, extensions=["tables"]))


def render(workspace: Workspace, labels: Sequence[str] | None = None) -> list[Path]:
    """Writes the table and the markdown pages."""
    request = Request(labels, ("csv", "markdown"))
    return write_pages(make_pages(read_workspace(workspace), workspace, request), workspace)
