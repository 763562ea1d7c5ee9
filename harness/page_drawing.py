"""The pages of a run, drawn where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from results.workspace import Workspace

if TYPE_CHECKING:
    from results.entries import LeftOut


def draw_pages(
    workspace: Workspace, labels: Sequence[str], meta: Path | None
) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """Writes the pages of some labels.

    Args:
        workspace: What is drawn.
        labels: Rows.
        meta: Metadata file for model-zoo pages.

    Returns:
        The files, and those that could not be read.

    Raises:
        HarnessError: The metadata is wrong, or the workspace cannot be written.
    """
    from results.entries import read_workspace
    from results.metadata import read_metadata
    from results.pages.render import Request, make_pages, write_pages

    metadata = read_metadata(meta) if meta is not None else None
    reading = read_workspace(workspace)
    pages = write_pages(make_pages(reading, workspace, Request(list(labels), metadata=metadata)), workspace)
    return list(pages), reading.left_out
