"""``report``: tables and pages of what a workspace holds."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from harness.cli import options


def report(
    workspace: options.WorkspaceRoot = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Write the page of this label only; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Write results.csv and the pages of every label, and print where they are."""
    from results.pages.render import render

    paths = [str(path) for path in render(options.workspace_of(workspace), label or None)]
    if as_json:
        typer.echo(json.dumps({"pages": paths}, indent=2))
    else:
        for path in paths:
            typer.echo(path)
