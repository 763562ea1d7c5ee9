"""Writes ``pages/``: ``results.csv``, one page a label, and the model zoo."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from results.entries import read_entries
from results.errors import HarnessError, did_you_mean
from results.files import write_whole
from results.pages.build import build_page
from results.pages.markdown import to_markdown
from results.pages.public import MODEL_ZOO, page_stem
from results.table import to_frame, write_csv
from results.workspace import Workspace


def render(workspace: Workspace, labels: Sequence[str] | None = None) -> list[Path]:
    """Writes what a workspace holds; the same workspace gives the same bytes.

    Args:
        workspace: The workspace.
        labels: Whose pages to write; None for all. ``results.csv`` and the model zoo always hold all labels.

    Returns:
        The files written: ``results.csv``, the labels' pages in the labels' order, and ``model_zoo.md`` where there
        is more than one label.

    Raises:
        HarnessError: There is nothing to report, a label is unknown, or a file cannot be written.
    """
    entries = read_entries(workspace)
    if not entries:
        command = f"python -m harness run --ckpt CHECKPOINT --suite all --workspace {shlex.quote(str(workspace.root))}"
        raise HarnessError("there is nothing to report: no run has left a job here", str(workspace.root), command)
    known = sorted({entry.label.name for entry in entries})
    wanted = list(dict.fromkeys(labels or known))
    for label in wanted:
        if label not in known:
            raise HarnessError(f"no run has the label '{label}'", "--label", did_you_mean(label, known))

    table = workspace.pages / "results.csv"
    write_csv(to_frame(entries), table)
    paths = [table]
    for label in wanted:
        page = build_page(label, [entry for entry in entries if entry.label.name == label])
        paths.append(workspace.pages / f"{page_stem(label)}.md")
        write_whole(paths[-1], to_markdown(page))
    if len(known) > 1:
        paths.append(workspace.pages / f"{MODEL_ZOO}.md")
        write_whole(paths[-1], to_markdown(build_page("Model zoo", entries)))
    return paths
