"""``cancel``: gives jobs up."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from harness.cancelling import cancel_jobs
from harness.cli import options
from harness.cli.console import make_console
from harness.status import find_job


def cancel(
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]...", help="Names of jobs, or their beginnings. Default: all.")
    ] = None,
    workspace: options.WorkspaceRoot = None,
    json: options.Json = False,
) -> None:
    """Stop jobs of the workspace, on a cluster and here; the same `run` goes on from where they were."""
    place = options.workspace_of(workspace)
    folders = [find_job(place, name) for name in jobs] if jobs else None
    stopped = cancel_jobs(place, folders)
    if json:
        print(json_module.dumps({"cancelled": stopped}, indent=2))
        return
    console = make_console()
    for name in stopped:
        console.print(f"cancelled {name}", markup=False, highlight=False)
    if not stopped:
        console.print("nothing was running or waiting", markup=False, highlight=False)
