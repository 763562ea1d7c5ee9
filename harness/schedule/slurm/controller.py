"""The last job of a run: it begins when the others have ended, plans anew from the disk, and draws the pages."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time

from harness.ledger import now
from harness.order import Grant
from harness.schedule.slurm.commands import call
from harness.schedule.slurm.rounds import Round, advance
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.submissions import Submission
from results.errors import HarnessError
from results.workspace import Workspace

PAUSE_SECONDS = 15.0
"""Between two tries where SLURM does not answer or the disk is full."""
REQUEUE_SECONDS = 120.0
"""Before its own time is up it asks to be started again."""
NOTIFY_SECONDS = 300.0


def control(submission: Submission, grant: Grant) -> int:
    """Does a round, however long SLURM or the disk makes it wait.

    Args:
        submission: The controller's own.
        grant: What it was granted.

    Returns:
        Exit status: 0 where the round was done.
    """
    workspace = Workspace(submission.folder.parent.parent)
    deadline = time.monotonic() + max(60.0, grant.minutes * 60 - REQUEUE_SECONDS)
    while True:
        try:
            plan = RunPlan.read(workspace, submission.run)
            if plan.has_ended():
                return 0
            done = advance(plan, grant)
            break
        except HarnessError as error:
            _say(str(error))
        if time.monotonic() > deadline:
            with contextlib.suppress(HarnessError):
                call(["scontrol", "requeue", grant.job_id])
            return 1
        time.sleep(PAUSE_SECONDS)
    _tell(plan, done)
    _draw(plan)
    if done.over:
        _notify(plan, done)
    return 0


def _say(text: str) -> None:
    # What is printed goes to a file on the disk that may be full.
    with contextlib.suppress(OSError):
        print(f"{now()} {text}", flush=True)


def _tell(plan: RunPlan, done: Round) -> None:
    from harness.run_book import note_submissions

    for standing in done.standings:
        _say(f"{standing.name}: {standing.state}{': ' + standing.reason if standing.reason else ''}")
    for name, number in done.submitted:
        _say(f"{name}: submitted as {number}")
    with contextlib.suppress(HarnessError):
        note_submissions(plan.workspace.runs / f"{plan.id}.json", "slurm", done.submitted)


def _draw(plan: RunPlan) -> None:
    """Writes the pages; each round, so that what is there can be read before the rest is."""
    from harness.page_drawing import draw_pages

    if not plan.labels:
        return
    try:
        pages, left_out = draw_pages(plan.workspace, plan.labels, plan.settings.meta)
    except HarnessError as error:
        _say(f"no pages: {error}")
        return
    for page in pages:
        _say(f"wrote {page}")
    for each in left_out:
        _say(f"left out: {each.path}: {each.reason}")


def _notify(plan: RunPlan, done: Round) -> None:
    """Runs the command that the user wants to be told by; what becomes of it is only written down."""
    command = plan.settings.slurm.notify
    if command is None:
        return
    failed = sum(each.state in ("failed", "cancelled") for each in done.standings)
    notice = f"{len(done.standings) - failed} of {len(done.standings)} jobs are done"
    environment = {**os.environ, "TRANSFER_NOTICE_RUN": plan.id, "TRANSFER_NOTICE": notice}
    try:
        ended = subprocess.run(
            command, shell=True, env=environment, timeout=NOTIFY_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        _say(f"the notification command ended with status {ended.returncode}")
    except (OSError, subprocess.SubprocessError) as error:
        _say(f"the notification command failed: {error}")
