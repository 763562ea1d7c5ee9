"""``run --executor slurm``: everything is handed to the cluster; looking on is optional."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.cli.console import make_console

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.run_book import RunBook
    from harness.schedule.slurm.run_plan import RunPlan
    from harness.schedule.slurm.watch import Watch
    from harness.settings import Settings
    from results.workspace import Workspace


def submit_run(made: Plan, settings: Settings, watch: Watch, book: RunBook, reporter: Any) -> RunPlan | None:
    """Submits what is left of a run.

    Args:
        made: The plan.
        settings: What it was made of.
        watch: Its jobs.
        book: The run's file.
        reporter: What shows them; a context manager.

    Returns:
        The run's plan on the disk; None where nothing is left.
    """
    from harness.run_book import note_submissions
    from harness.schedule.slurm.cluster import check_settings
    from harness.schedule.slurm.run_plan import RunPlan

    with reporter:
        watch.prepare()
        if settings.cache == "read-only" or all(tracked.ended for tracked in watch.jobs):
            return None
        check_settings(made.jobs, settings)
        labels = [checkpoint.label for checkpoint in made.checkpoints]
        plan = RunPlan.write(watch.workspace, book.id, labels, made.jobs, settings)
        watch.submit(plan, lambda submitted: note_submissions(book.path, "slurm", submitted))
        reporter.tick(watch.jobs)
    return plan


def tell_detached(watch: Watch, workspace: Workspace, console: Console, quiet: bool, json: bool) -> None:
    """Says what was submitted, and how to look at it."""
    submitted = [tracked for tracked in watch.jobs if tracked.state == "submitted"]
    if json:
        rows = [
            {"job": each.folder.name, "key": each.planned.job.key, "state": each.state, "reason": each.reason}
            for each in watch.jobs
        ]
        print(json_module.dumps({"jobs": rows, "pages": []}, indent=2))
    elif not quiet:
        root = workspace.root
        text = (
            f"{len(submitted)} jobs are submitted, {len(watch.jobs) - len(submitted)} were finished before; "
            "the cluster goes on by itself.\n"
            f"  python -m harness status --workspace {root}    where every job stands\n"
            f"  python -m harness cancel --workspace {root}    gives the run up\n"
            f"The pages will lie in {workspace.pages}"
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def tell_left(workspace: Workspace) -> None:
    """After Ctrl-C: nothing was stopped."""
    make_console(stderr=True).print(
        f"no longer looking on; the cluster goes on by itself. python -m harness status --workspace {workspace.root} "
        "shows where every job stands, cancel gives the run up",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
