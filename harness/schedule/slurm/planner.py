"""A run whose data only compute nodes see: it is planned on one, by a job that then does the first round."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.base import ALONE
from benchmarks.catalogue import select
from harness.ledger import JobFolder
from harness.order import Grant
from harness.plan import make_plan
from harness.run_book import RunBook
from harness.schedule.slurm.hand_over import hand_over
from harness.schedule.slurm.request import controller_ask, draft
from harness.schedule.slurm.rounds import advance
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.submissions import PLANNER, Submission, view
from harness.schedule.tracking import TrackedJob, Tracker
from harness.settings import Settings, restore_settings
from harness.toolboxes import refuse_without_toolboxes
from results.errors import HarnessError
from results.files import make_own_folder, publish, read_json, to_json, write_whole
from results.workspace import Workspace

POLL_SECONDS = 1.0
ASK_SECONDS = 10.0


class Unseen:
    """A reporter on a node, where nobody looks."""

    def changed(self, job: TrackedJob) -> None:
        """Says nothing."""

    def tick(self, jobs: Sequence[TrackedJob]) -> None:
        """Says nothing."""


def submit_planner(workspace: Workspace, run: str, settings: Settings) -> Submission:
    """Submits the job that plans.

    Args:
        workspace: Its root is absolute; checkpoints were taken in.
        run: Id of the run.
        settings: Of the run.

    Raises:
        HarnessError: SLURM refuses or does not answer.
    """
    folder = make_own_folder(workspace.controllers / run, workspace.root)
    write_whole(folder / "request.json", to_json({"settings": settings.model_dump(mode="json"), "argv": sys.argv[1:]}))
    names = dict.fromkeys(choice.benchmark.data for choice in select(settings.suite))
    stage = tuple(settings.slurm.stage[name] for name in names if name in settings.slurm.stage)
    ask = dataclasses.replace(controller_ask(settings), stage=stage)
    made = draft(workspace, settings, run, f"planner-{run[-8:]}", PLANNER, [JobFolder(folder)], ask, ALONE)
    made.write()
    hand_over(made, ask, settings)
    return made


def plan_here(submission: Submission, grant: Grant) -> int:
    """What that job does.

    Args:
        submission: Its own.
        grant: What it was granted.

    Returns:
        Exit status.
    """
    workspace = Workspace(submission.folder.parent.parent)
    folder = workspace.controllers / submission.run
    try:
        request = read_json(folder / "request.json", own=True)
        settings = restore_settings(request["settings"])
        made = make_plan(settings)
        refuse_without_toolboxes(made.jobs, settings)
        # As `run` does where it plans itself: what is to be measured anew is set aside first.
        Tracker(workspace, made.jobs, settings, Unseen()).prepare()
        RunBook(workspace.runs, made, settings, submission.run, request["argv"]).write()
        labels = [checkpoint.label for checkpoint in made.checkpoints]
        plan = RunPlan.write(workspace, submission.run, labels, made.jobs, settings)
        advance(plan, grant)
    except HarnessError as error:
        publish(folder / "refused.json", to_json({"what": error.what, "where": error.where, "mend": error.mend}))
        raise
    for note in made.notes:
        with contextlib.suppress(OSError):
            print(f"note: {note}", flush=True)
    return 0


def wait_for_plan(workspace: Workspace, submission: Submission) -> RunPlan:
    """Waits until the job has planned.

    Raises:
        HarnessError: What it refused, or that it ended without a word.
    """
    folder: Path = workspace.controllers / submission.run
    asked = time.monotonic()
    gone = False
    while True:
        if (folder / "plan.json").exists():
            return RunPlan.read(workspace, submission.run)
        if (folder / "refused.json").exists():
            refused = read_json(folder / "refused.json")
            what, where, mend = refused["what"], refused["where"], refused["mend"]
            raise HarnessError(what, where, mend)
        if gone:
            raise HarnessError(
                "the job that was to plan the run ended without a word",
                str(submission.folder),
                "read the logs there, and run the same command again",
            )
        if time.monotonic() - asked > ASK_SECONDS:
            seen = view(workspace, certain=True)
            asked = time.monotonic()
            gone = submission in seen.submissions and seen.snapshot.answered and not seen.task(submission, 0).is_live
        else:
            time.sleep(POLL_SECONDS)
