"""``status``: where every job stands."""

from __future__ import annotations

import collections
import dataclasses
import json as json_module
import time
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from harness.cli import options
from harness.cli.console import make_console, make_table
from harness.status import STATES, JobStatus, all_statuses

WATCH_SECONDS = 5.0
MOST_ROWS = 100
"""Of more jobs a table of states by benchmark is shown, and those that want attention."""
ATTENTION = ("failed", "killed", "interrupted", "running")


def status(
    workspace: options.WorkspaceRoot = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again until Ctrl-C.")] = False,
    json: options.Json = False,
) -> None:
    """Show every job of the workspace: done, running, queued, failed, interrupted, killed or waiting."""
    place = options.workspace_of(workspace)
    console = make_console()
    if watch:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_tables(all_statuses(place)), refresh=True)
                time.sleep(WATCH_SECONDS)
    statuses = all_statuses(place)
    if json:
        rows = [{**dataclasses.asdict(each), "log": str(each.log) if each.log else None} for each in statuses]
        print(json_module.dumps(rows, indent=2))
    else:
        console.print(_tables(statuses))


def _tables(statuses: list[JobStatus]) -> Group:
    if len(statuses) <= MOST_ROWS:
        return Group(_rows(statuses))
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for each in statuses:
        counts[each.job.rpartition("-")[0]][each.state] += 1
    shown = [state for state in STATES if any(count[state] for count in counts.values())]
    summary = make_table(
        ("benchmark", *shown),
        [(name, *(str(count[state] or "") for state in shown)) for name, count in sorted(counts.items())],
    )
    urgent = sorted(
        (each for each in statuses if each.state in ATTENTION), key=lambda each: ATTENTION.index(each.state)
    )
    parts = [summary]
    if urgent:
        parts.append(_rows(urgent[:MOST_ROWS]))
    left = len(statuses) - min(len(urgent), MOST_ROWS)
    return Group(*parts, f"{left} more jobs; --json lists every one")


def _rows(statuses: list[JobStatus]) -> Table:
    rows = [(each.job, each.state, str(each.attempts), each.since, each.reason) for each in statuses]
    return make_table(("job", "state", "attempts", "since", "reason"), rows)
