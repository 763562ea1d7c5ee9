"""``logs``: the newest log of a job."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Annotated

import typer

from harness.cli import options
from harness.status import find_job
from results.errors import HarnessError

FOLLOW_SECONDS = 0.5


def logs(
    job: Annotated[str, typer.Argument(help="Name of a job's folder, or its beginning.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the log grows, until the job ends.")] = False,
    workspace: options.WorkspaceRoot = None,
) -> None:
    """Print the log of a job's newest attempt."""
    folder = find_job(options.workspace_of(workspace), job)
    path = folder.log()
    if path is None:
        raise HarnessError(
            f"{folder.name} has no log yet", str(folder.path), "python -m harness status shows its state"
        )
    with path.open(encoding="utf-8", errors="replace") as stream:
        shutil.copyfileobj(stream, sys.stdout)
        while follow and folder.live_claim() is not None:
            time.sleep(FOLLOW_SECONDS)
            shutil.copyfileobj(stream, sys.stdout)
            sys.stdout.flush()
