"""Where verbs print tables: in a terminal as wide as it is, elsewhere wide enough that no name is broken."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 240


def make_console(stderr: bool = False) -> Console:
    """A console on standard output or standard error."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, soft_wrap=True, width=None if stream.isatty() else PLAIN_WIDTH)


def make_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Table:
    """A table without lines; the first column, the job's name, is never broken, so that it can be copied.

    Args:
        titles: Heads of the columns.
        rows: Plain text; nothing in it is taken for markup.
        styles: For a column's title, the style of each text that has one.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(
            *(Text(cell, style=styles.get(title, {}).get(cell, "")) for title, cell in zip(titles, row, strict=True))
        )
    return table
