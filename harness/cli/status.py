"""``status``: where every job stands."""

from __future__ import annotations

import dataclasses
import json as json_module
import time
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from harness.cli import options
from harness.cli.console import make_console, make_table
from harness.status import JobStatus, all_statuses

WATCH_SECONDS = 2.0


def status(
    workspace: options.WorkspaceRoot = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again until Ctrl-C.")] = False,
    json: options.Json = False,
) -> None:
    """Show every job of the workspace: done, running, failed, interrupted, killed or waiting."""
    place = options.workspace_of(workspace)
    console = make_console()
    if watch:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_table(all_statuses(place)), refresh=True)
                time.sleep(WATCH_SECONDS)
    statuses = all_statuses(place)
    if json:
        rows = [{**dataclasses.asdict(each), "log": str(each.log) if each.log else None} for each in statuses]
        print(json_module.dumps(rows, indent=2))
    else:
        console.print(_table(statuses))


def _table(statuses: list[JobStatus]) -> Table:
    rows = [(each.job, each.state, str(each.attempts), each.since, each.reason) for each in statuses]
    return make_table(("job", "state", "attempts", "since", "reason"), rows)
