"""``run``: from checkpoints to pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from harness.cli import options
from harness.cli.console import make_console
from results.errors import HarnessError

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.schedule.tracking import TrackedJob
    from harness.settings import Settings
    from results.workspace import Workspace


def run(
    ckpt: options.Checkpoints = None,
    suite: options.Suite = None,
    profile: options.Profile = None,
    data: options.Data = None,
    workspace: options.WorkspaceRoot = None,
    executor: options.ExecutorName = None,
    seeds: options.Seeds = None,
    label: options.Labels = None,
    set_: options.Overrides = None,
    cache: options.Cache = None,
    numerics: options.NumericsText = None,
    input_: options.InputName = None,
    encoder: options.Encoder = None,
    trust: options.Trust = None,
    allow_missing_data: options.AllowMissing = None,
    allow_nonstandard_data: options.AllowNonstandard = None,
    meta: options.Meta = None,
    detach: options.Detach = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Evaluate checkpoints: plan, run what is missing, collect the numbers, write the pages.

    Exit status: 0 everything asked for is there (with --detach: submitted); 1 a job failed or something is missing; 2
    bad input, nothing was started; 130 interrupted.
    """
    arguments = locals()
    from harness.cli.carry_out import refuse_detaching
    from harness.cli.plan import show_plan
    from harness.plan import make_plan
    from harness.schedule.choose import with_executor
    from harness.toolboxes import refuse_without_toolboxes

    settings = _with_metadata(with_executor(options.run_settings_of(arguments)))
    refuse_detaching(settings, detach)
    if settings.executor == "slurm" and settings.slurm.data_check == "node" and not dry_run:
        raise typer.Exit(_plan_on_node(settings, detach, quiet, json))
    made = make_plan(settings)
    if dry_run:
        show_plan(made, settings, json)
        return
    refuse_without_toolboxes(made.jobs, settings)
    raise typer.Exit(_run(made, settings, detach, quiet, json))


def _run(made: Plan, settings: Settings, detach: bool, quiet: bool, json: bool) -> int:
    """Runs a plan and returns the exit status."""
    from harness.cli.carry_out import carry_out, tell_detached, tell_left
    from harness.cli.live import choose_reporter
    from harness.run_book import RunBook
    from results.workspace import Workspace

    console = make_console(stderr=json)
    if not quiet:
        for note in made.notes:
            console.print(f"note: {note}", markup=False, highlight=False)
    workspace = Workspace(settings.workspace.absolute())
    book = RunBook(workspace.runs, made, settings)
    book.write()
    labels = [checkpoint.label for checkpoint in made.checkpoints]
    reporter = choose_reporter(console, quiet)
    jobs, end = carry_out(made.jobs, settings, book.id, labels, reporter, book.submitted, detach)
    if end == "detached":
        tell_detached(jobs, settings, f"The pages will lie in {workspace.pages}", quiet, json)
        return 0
    if end == "no longer looking on":
        tell_left(workspace.root)
        return 130
    _report(workspace, jobs, labels, settings.meta, console, quiet, json)
    if end == "interrupted":
        console.print("interrupted; the same command goes on from here", markup=False)
        return 130
    return _status(jobs)


def _with_metadata(settings: Settings) -> Settings:
    """Settings whose metadata file was read, so that nothing is measured for a page that cannot be written.

    Raises:
        HarnessError: It is missing or wrong.
    """
    if settings.meta is None:
        return settings
    from results.metadata import read_metadata

    read_metadata(settings.meta)
    # The pages may be drawn by another process, in another folder.
    return settings.model_copy(update={"meta": settings.meta.absolute()})


def _plan_on_node(settings: Settings, detach: bool, quiet: bool, json: bool) -> int:
    """Lets the cluster plan where the data is, and returns the exit status."""
    from harness.cli.carry_out import look_on, tell_detached, tell_left
    from harness.cli.live import choose_reporter
    from harness.plan import choose, label_checkpoints, usable_workspace
    from harness.run_book import run_id
    from harness.schedule.slurm.cluster import check_settings
    from harness.schedule.slurm.planner import submit_planner, wait_for_plan
    from results.workspace import Workspace

    if settings.cache == "read-only":
        raise HarnessError(
            "a run that is planned by a job cannot run nothing", "--cache read-only", "python -m harness report"
        )
    console = make_console(stderr=json)
    workspace = Workspace(usable_workspace(settings).root.absolute())
    choose(settings)
    labels = [checkpoint.label for checkpoint in label_checkpoints(settings, workspace)]
    check_settings((), settings)
    submission = submit_planner(workspace, run_id(), settings)
    if detach:
        tell_detached((), settings, f"The cluster plans first. The pages will lie in {workspace.pages}", quiet, json)
        return 0
    try:
        plan = wait_for_plan(workspace, submission)
    except KeyboardInterrupt:
        tell_left(workspace.root)
        return 130
    jobs, end = look_on(plan, choose_reporter(console, quiet))
    if end != "ended":
        tell_left(workspace.root)
        return 130
    _report(workspace, jobs, labels, settings.meta, console, quiet, json)
    return _status(jobs)


def _status(jobs: Sequence[TrackedJob]) -> int:
    return 0 if all(tracked.state in ("done", "cached") for tracked in jobs) else 1


def _report(
    workspace: Workspace,
    jobs: Sequence[TrackedJob],
    labels: Sequence[str],
    meta: Path | None,
    console: Console,
    quiet: bool,
    json: bool,
) -> None:
    """Writes the pages and says what failed and where its log lies."""
    import json as json_module

    from harness.cli.failures import tell_failures
    from harness.page_drawing import draw_pages

    tell_failures(jobs)
    pages, left_out = draw_pages(workspace, labels, meta)
    options.tell_left_out(left_out)
    if json:
        rows = [
            {
                "job": tracked.folder.name,
                "key": tracked.planned.job.key,
                "state": tracked.state,
                "reason": tracked.reason,
                "log": str(tracked.folder.log() or ""),
            }
            for tracked in jobs
        ]
        print(json_module.dumps({"jobs": rows, "pages": [str(page) for page in pages]}, indent=2))
    elif not quiet:
        for page in pages:
            console.print(f"wrote {page}", markup=False, highlight=False)
