"""A round: look at what became of every job of a run, submit what is left, and see to it that somebody looks again.

Before anything is submitted, two followers are: a controller that waits for the jobs, and one that waits for that.
Whatever then happens to this process, or to a controller before it has begun, the next one finds on the disk what is
left to do. A patrol looks again after a while, should SLURM hold all of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from benchmarks.base import ALONE
from harness.ledger import JobFolder
from harness.order import Grant
from harness.schedule.slurm.arrays import submit_all
from harness.schedule.slurm.commands import call
from harness.schedule.slurm.desk import desk
from harness.schedule.slurm.endings import bury
from harness.schedule.slurm.hand_over import hand_over
from harness.schedule.slurm.request import controller_ask, draft
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.standing import Standing, stand
from harness.schedule.slurm.states import Phase
from harness.schedule.slurm.submissions import CONTROLLER, JOBS, PATROL, Submission, Task, View, settle, view
from results.errors import HarnessError
from results.workspace import Workspace

HEAD_START = "now+60"
"""When the first controller begins if the run that submits it is killed before it has told it what to wait for."""
FOLLOWERS = 2
"""Controllers that wait: one for the jobs, one for that one, should it die before it has begun."""
LOOK_AGAIN = "now+600"
"""When to look again where jobs are worked on by what SLURM knows nothing of."""


@dataclasses.dataclass(frozen=True)
class Round:
    """What a round did.

    Args:
        standings: Every job of the run.
        submitted: Name and SLURM's id of each job that was submitted.
        over: Whether nothing is left to wait for.
    """

    standings: tuple[Standing, ...]
    submitted: tuple[tuple[str, str], ...]
    over: bool


def advance(plan: RunPlan, grant: Grant | None = None) -> Round:
    """Does one round of a run. Any process may, at any time, as often as it likes.

    Args:
        plan: Of the run.
        grant: Of the controller that does it; None for ``run`` itself.

    Returns:
        What was found and done.

    Raises:
        HarnessError: SLURM does not answer or refuses, or the workspace cannot be written.
    """
    with desk(plan.workspace, grant):
        seen = look(plan.workspace)
        standings = stand(plan, seen)
        _give_up(plan, standings)
        plan.cancel(each.job.folder for each in standings if each.state == "cancelled")
        own = grant.submission if grant is not None else ""
        followers, patrols = _waiting(plan, seen, CONTROLLER, own), _waiting(plan, seen, PATROL, own)
        submitted: list[tuple[str, str]] = []
        if any(each.state in ("left", "active") for each in standings):
            followers = _complete(plan, followers, grant)
            patrols = patrols or [_submit_patrol(plan)]
        if any(each.state == "left" for each in standings):
            plan.note_rounds(plan.rounds() + 1)
            submitted = submit_all(plan, standings)
        active = [each for each in standings if each.state == "active"]
        if active:
            _wait_for(followers[0], active)
        else:
            _finish(plan, standings, [*followers, *patrols])
        return Round(tuple(standings), tuple(submitted), not active)


def look(workspace: Workspace) -> View:
    """Looks at all open submissions, finds lost numbers, buries what has ended, and closes what is over.

    Raises:
        HarnessError: SLURM does not answer.
    """
    seen = view(workspace, certain=True)
    nameless = [each for each in seen.submissions if not each.number()]
    for each in nameless:
        settle(each)
    if nameless:
        seen = view(workspace, certain=True)
    if not seen.snapshot.answered:
        raise HarnessError("squeue does not answer", "SLURM", "scontrol ping tells whether its controller is up")
    for submission in seen.submissions:
        tasks = [seen.task(submission, index) for index in range(len(submission.jobs))]
        for task in tasks:
            _set_free(task)
            if not task.is_live and submission.kind == JOBS:
                room, name = submission.jobs[task.index]
                bury(JobFolder(workspace.root / room / name), task)
        if submission.number() and not any(task.is_live for task in tasks):
            submission.close()
    return seen


def _set_free(task: Task) -> None:
    """Lets go what SLURM holds after it could not start it, and takes away what waits for ever."""
    if task.entry is None:
        return
    with contextlib.suppress(HarnessError):
        if task.entry.is_held:
            call(["scontrol", "release", task.entry.id])
        elif task.entry.never_starts:
            call(["scancel", task.entry.id])


def _give_up(plan: RunPlan, standings: Sequence[Standing]) -> None:
    """Leaves what is left where there were too many rounds."""
    rounds = plan.rounds()
    if rounds >= plan.settings.slurm.rounds:
        for each in standings:
            if each.state == "left":
                each.state, each.reason = "failed", f"given up after {rounds} rounds (slurm.rounds)"


def _waiting(plan: RunPlan, seen: View, kind: str, own: str) -> list[Submission]:
    """Controllers or patrols of the run that wait for their turn, in its order."""
    return [
        each
        for each in seen.submissions
        if each.kind == kind
        and each.run == plan.id
        and each.name != own
        and each.number()
        and seen.task(each, 0).phase is Phase.QUEUED
    ]


def _complete(plan: RunPlan, followers: Sequence[Submission], grant: Grant | None) -> list[Submission]:
    """Submits the followers that are missing; each waits for the one before it."""
    found = list(followers)
    while len(found) < FOLLOWERS:
        after = found[-1].number() if found else grant.job_id if grant is not None else ""
        dependency = f"afterany:{after}" if after else ""
        found.append(_submit_follower(plan, CONTROLLER, dependency, "" if dependency else HEAD_START))
    return found


def _submit_patrol(plan: RunPlan) -> Submission:
    """Submits what looks again after a while: SLURM may hold a job that it could not start, and who waits for it."""
    return _submit_follower(plan, PATROL, "", f"now+{round(plan.settings.slurm.patrol_minutes * 60)}")


def _submit_follower(plan: RunPlan, kind: str, dependency: str, begin: str) -> Submission:
    ask = controller_ask(plan.settings)
    title, place = f"{kind}-{plan.id[-8:]}", [JobFolder(plan.folder)]
    made = draft(plan.workspace, plan.settings, plan.id, title, kind, place, ask, ALONE)
    made.write()
    hand_over(made, ask, plan.settings, dependency, begin)
    return made


def _wait_for(follower: Submission, active: Sequence[Standing]) -> None:
    """Lets the follower begin when everything that is active has ended."""
    submissions = {each.task.submission.token: each.task.submission for each in active if each.task is not None}
    numbers = sorted({each.number() for each in submissions.values()} - {""}, key=int)
    unknown = any(each.task is None for each in active)
    words = [f"Dependency={'afterany:' + ':'.join(numbers) if numbers else ''}"]
    words.append(f"StartTime={LOOK_AGAIN if unknown else 'now'}")
    # Should it fail, the follower begins early, finds everything active, and waits anew.
    with contextlib.suppress(HarnessError):
        call(["scontrol", "update", f"JobId={follower.number()}", *words])


def _finish(plan: RunPlan, standings: Sequence[Standing], followers: Sequence[Submission]) -> None:
    if followers:
        with contextlib.suppress(HarnessError):
            call(["scancel", *(each.number() for each in followers)])
    plan.end({each.name: {"state": each.state, "reason": each.reason} for each in standings})
