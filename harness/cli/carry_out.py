"""Planned jobs, here or on a cluster, until they have ended, the user has enough, or the cluster goes on by itself."""

from __future__ import annotations

import contextlib
import json as json_module
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from harness.cli.console import make_console
from results.errors import HarnessError

if TYPE_CHECKING:
    from harness.job import PlannedJob
    from harness.schedule.executor import Executor
    from harness.schedule.slurm.run_plan import RunPlan
    from harness.schedule.slurm.watch import Watch
    from harness.schedule.tracking import TrackedJob
    from harness.settings import Settings
    from results.workspace import Workspace

End = Literal["ended", "interrupted", "no longer looking on", "detached"]
Note = Callable[[str, Iterable[tuple[str, str]]], object]
"""Is told the executor, and names and ids of what was submitted to it."""


def refuse_detaching(settings: Settings, detach: bool) -> None:
    """Refuses ``--detach`` where nothing would go on.

    Raises:
        HarnessError: The executor is not a cluster.
    """
    if detach and settings.executor != "slurm":
        raise HarnessError(
            "nothing goes on by itself without a cluster", "--detach", "leave it out, or use --executor slurm"
        )


def carry_out(
    planned: Sequence[PlannedJob],
    settings: Settings,
    run: str,
    labels: Sequence[str],
    reporter: Any,
    note: Note,
    detach: bool,
) -> tuple[list[TrackedJob], End]:
    """Runs jobs.

    Args:
        planned: Needs before what needs them.
        settings: Of the run; they name the executor.
        run: Id of the run.
        labels: Rows of its pages; none for pretraining.
        reporter: What shows the jobs; a context manager.
        note: Is told what was submitted.
        detach: Whether to leave the cluster alone once all is submitted.

    Returns:
        The jobs, and how it ended.

    Raises:
        HarnessError: Nothing could be started.
    """
    from results.workspace import Workspace

    workspace = Workspace(settings.workspace.absolute())
    # A run that is asked to end does what it does at Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if settings.executor == "slurm":
        return _on_cluster(planned, settings, workspace, run, labels, reporter, note, detach)
    from harness.schedule.loop import Loop

    def submitted(job: str, executor: str, number: str) -> None:
        note(executor, [(job, number)])

    loop = Loop(workspace, planned, make_executor(settings), settings, reporter, submitted)
    with reporter:
        loop.prepare()
        finished = True if settings.cache == "read-only" else loop.run()
        reporter.tick(loop.jobs)
    return loop.jobs, "ended" if finished else "interrupted"


def _on_cluster(
    planned: Sequence[PlannedJob],
    settings: Settings,
    workspace: Workspace,
    run: str,
    labels: Sequence[str],
    reporter: Any,
    note: Note,
    detach: bool,
) -> tuple[list[TrackedJob], End]:
    from harness.schedule.slurm.cluster import check_settings
    from harness.schedule.slurm.run_plan import RunPlan
    from harness.schedule.slurm.watch import Watch

    watch = Watch(workspace, planned, settings, reporter)
    with reporter:
        watch.prepare()
        if settings.cache == "read-only" or all(tracked.ended for tracked in watch.jobs):
            return watch.jobs, "ended"
        check_settings(planned, settings)
        plan = RunPlan.write(workspace, run, labels, planned, settings)
        submitted = watch.submit(plan)
        # The note is for people only; where the disk is full, the jobs themselves will say so.
        with contextlib.suppress(HarnessError):
            note("slurm", submitted)
        reporter.tick(watch.jobs)
    return (watch.jobs, "detached") if detach else _look_on(watch, plan, reporter)


def look_on(plan: RunPlan, reporter: Any) -> tuple[list[TrackedJob], End]:
    """Looks at a run that was planned on the cluster.

    Args:
        plan: Of the run.
        reporter: What shows the jobs; a context manager.

    Returns:
        As :func:`carry_out`.
    """
    from harness.schedule.slurm.watch import Watch

    planned = [job.planned() for job in plan.jobs]
    return _look_on(Watch(plan.workspace, planned, plan.settings, reporter), plan, reporter)


def _look_on(watch: Watch, plan: RunPlan, reporter: Any) -> tuple[list[TrackedJob], End]:
    with reporter:
        looked_on = watch.run(plan)
        reporter.tick(watch.jobs)
    return watch.jobs, "ended" if looked_on else "no longer looking on"


def make_executor(settings: Settings) -> Executor:
    """What the settings name: processes of their own, or this one."""
    from harness.schedule.local import DebugExecutor, LocalExecutor
    from harness.spread import usable_ranks

    if settings.executor == "debug":
        return DebugExecutor(settings)
    return LocalExecutor(settings, usable_ranks(settings))


def tell_detached(jobs: Sequence[TrackedJob], settings: Settings, what: str, quiet: bool, json: bool) -> None:
    """Says what was submitted, and how to look at it.

    Args:
        jobs: Of the run.
        settings: Of the run.
        what: What will be there in the end, as a sentence.
        quiet: Whether to say nothing.
        json: Whether to say it as JSON.
    """
    submitted = [tracked for tracked in jobs if tracked.state == "submitted"]
    if json:
        rows = [
            {"job": each.folder.name, "key": each.planned.job.key, "state": each.state, "reason": each.reason}
            for each in jobs
        ]
        print(json_module.dumps({"jobs": rows, "pages": []}, indent=2))
    elif not quiet:
        root = settings.workspace.absolute()
        _say(
            make_console(),
            f"{len(submitted)} jobs are submitted, {len(jobs) - len(submitted)} were finished before; "
            "the cluster goes on by itself.\n"
            f"  python -m harness status --workspace {root}    where every job stands\n"
            f"  python -m harness cancel --workspace {root}    gives the run up\n"
            f"{what}",
        )


def tell_left(workspace: Path) -> None:
    """After Ctrl-C: nothing was stopped."""
    _say(
        make_console(stderr=True),
        f"no longer looking on; the cluster goes on by itself. python -m harness status --workspace "
        f"{workspace.absolute()} shows where every job stands, cancel gives the run up",
    )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
