"""``logs``: the newest log of a job, and those of the attempts that follow."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import IO, Annotated

import typer

from harness.cli import options
from harness.ledger import JobFolder
from harness.status import find_job, job_status, look_at_cluster
from results.errors import HarnessError
from results.workspace import Workspace

FOLLOW_SECONDS = 0.5
ASK_SECONDS = 5.0
"""Between two looks at whether the job goes on; on a cluster its scheduler is asked."""


def logs(
    job: Annotated[str, typer.Argument(help="Name of a job's folder, or its beginning.")],
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on as the log grows, through all attempts, until the job ends.")
    ] = False,
    workspace: options.WorkspaceRoot = None,
) -> None:
    """Print the log of a job's newest attempt."""
    place = options.workspace_of(workspace)
    folder = find_job(place, job)
    if follow:
        _follow(folder, place)
        return
    path = folder.log()
    if path is None:
        raise HarnessError(
            f"{folder.name} has no log yet", str(folder.path), "python -m harness status shows its state"
        )
    with path.open(encoding="utf-8", errors="replace") as stream:
        shutil.copyfileobj(stream, sys.stdout)


def _follow(folder: JobFolder, workspace: Workspace) -> None:
    """Prints what is there and what comes, until the job is done or nobody works on it."""
    shown: Path | None = None
    stream: IO[str] | None = None
    goes_on, asked = True, 0.0
    while True:
        if time.monotonic() - asked > ASK_SECONDS:
            # Before the copy: what was written until then is still printed.
            goes_on, asked = _goes_on(folder, workspace), time.monotonic()
        path = folder.log()
        if path is not None and path != shown:
            if shown is not None:
                print(f"== {path.parent.name}", flush=True)
            shown, stream = path, path.open(encoding="utf-8", errors="replace")
        if stream is not None:
            shutil.copyfileobj(stream, sys.stdout)
            sys.stdout.flush()
        if not goes_on:
            return
        if folder.is_finished():
            asked = 0.0
        time.sleep(FOLLOW_SECONDS)


def _goes_on(folder: JobFolder, workspace: Workspace) -> bool:
    return job_status(folder, look_at_cluster(workspace)).state in ("running", "queued")
