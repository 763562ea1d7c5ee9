"""Jobs as arrays: what is alike is submitted with one call, and what needs features waits for just those."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.base import World
from harness.job import PlannedJob
from harness.schedule.slurm.cluster import largest_array
from harness.schedule.slurm.hand_over import hand_over
from harness.schedule.slurm.request import Ask, ask_of, draft
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.standing import Standing
from harness.schedule.slurm.submissions import JOBS, Submission, Task
from harness.spread import usable_ranks, world_of
from results.errors import HarnessError


@dataclasses.dataclass(frozen=True)
class Array:
    """Jobs that ask for the same.

    Args:
        title: Name of the benchmark, ``features``, or the pretraining config.
        jobs: In the order of the array.
        ask: What each asks for.
        world: How each is spread.
        dependency: As ``--dependency`` takes it; empty where nothing is waited for.
    """

    title: str
    jobs: tuple[Standing, ...]
    ask: Ask
    world: World
    dependency: str = ""


def submit_all(plan: RunPlan, standings: Sequence[Standing]) -> list[tuple[str, str]]:
    """Submits every job that is left; afterwards each is active, or failed where SLURM refuses it.

    Args:
        plan: Of the run.
        standings: All its jobs.

    Returns:
        Name and SLURM's id of each.

    Raises:
        HarnessError: SLURM does not answer; what was submitted stays.
    """
    by_place = {each.job.folder.place: each for each in standings}
    left = [each for each in standings if each.state == "left"]
    ready = [each for each in left if all(by_place[need.place].state == "done" for need in each.job.needs)]
    submitted: list[tuple[str, str]] = []
    for array in _alike(plan, ready):
        submitted += _submit(plan, array)
    for array in _after(plan, [each for each in left if each.state == "left"], by_place):
        submitted += _submit(plan, array)
    return submitted


def _submit(plan: RunPlan, array: Array) -> list[tuple[str, str]]:
    folders = [each.job.folder for each in array.jobs]
    made = draft(plan.workspace, plan.settings, plan.id, array.title, JOBS, folders, array.ask, array.world)
    made.write()
    try:
        number = hand_over(made, array.ask, plan.settings, array.dependency)
    except HarnessError as error:
        if not made.is_void():
            raise
        # What SLURM refuses it will refuse again; the other arrays need not wait for that.
        for each in array.jobs:
            each.state, each.reason = "failed", error.what
        return []
    for index, each in enumerate(array.jobs):
        each.state, each.reason, each.task = "active", "", Task.submitted(made, index)
    return [(each.name, f"{number}_{index}") for index, each in enumerate(array.jobs)]


def _alike(plan: RunPlan, standings: Iterable[Standing]) -> Iterator[Array]:
    """Arrays of jobs of one benchmark that ask for the same, none larger than SLURM takes."""
    groups: dict[tuple[str, str, World], list[Standing]] = collections.defaultdict(list)
    asks: dict[tuple[str, str, World], Ask] = {}
    for each in standings:
        planned = each.job.planned()
        ask, world = _wants(plan, planned)
        key = (planned.job.benchmark, repr(ask), world)
        groups[key].append(each)
        asks[key] = ask
    largest = largest_array()
    for key, group in groups.items():
        for begin in range(0, len(group), largest):
            yield Array(key[0], tuple(group[begin : begin + largest]), asks[key], key[2])


def _wants(plan: RunPlan, planned: PlannedJob) -> tuple[Ask, World]:
    settings = plan.settings
    world = world_of(planned.job, usable_ranks(settings), settings.largest_batch)
    return ask_of(planned, world, settings), world


def _after(plan: RunPlan, waiting: Sequence[Standing], by_place: dict[tuple[str, str], Standing]) -> Iterator[Array]:
    """Arrays of jobs that wait for features which are being extracted.

    An array whose tasks match the extraction's one by one waits task by task (``aftercorr``): one extraction that fails
    holds up its own probes only. Where they do not match, each job is an array of its own.
    """
    sets: dict[tuple[str, int], list[tuple[int, Standing]]] = collections.defaultdict(list)
    seen: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for each in waiting:
        needs = [by_place[need.place] for need in each.job.needs]
        pending = [need for need in needs if need.state != "done"]
        refused = [need for need in pending if need.state == "failed"]
        if refused:
            each.state, each.reason = "failed", f"needs {refused[0].name}: {refused[0].reason}"
            continue
        if len(pending) != 1 or pending[0].task is None:
            # Something else works on what it needs; a later round submits it.
            each.state, each.reason = "active", "waits for what another run works on"
            continue
        task = pending[0].task
        # Probes of one kind that need the same features (several seeds) cannot stand in one array.
        kind = each.name.rpartition("-")[0]
        turn = seen[kind, task.submission.token, task.index]
        seen[kind, task.submission.token, task.index] += 1
        sets[f"{kind} {task.submission.token}", turn].append((task.index, each))
    for members in sets.values():
        members.sort(key=lambda member: member[0])
        standings = [each for _, each in members]
        submission = _submission_of(by_place, standings[0])
        arrays = list(_alike(plan, standings))
        whole = [index for index, _ in members] == list(range(len(submission.jobs)))
        if whole and len(arrays) == 1:
            yield dataclasses.replace(arrays[0], dependency=f"aftercorr:{submission.number()}")
            continue
        for index, each in members:
            for array in _alike(plan, [each]):
                yield dataclasses.replace(array, dependency=f"afterok:{submission.number()}_{index}")


def _submission_of(by_place: dict[tuple[str, str], Standing], waiting: Standing) -> Submission:
    pending = [by_place[need.place] for need in waiting.job.needs if by_place[need.place].state != "done"]
    task = pending[0].task
    if task is None:
        raise ValueError(f"nothing that {waiting.name} needs was submitted")
    return task.submission
