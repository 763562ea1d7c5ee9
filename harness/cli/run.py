"""``run``: from checkpoints to pages."""

from __future__ import annotations

import datetime
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from harness.cli import options
from harness.cli.console import make_console

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.schedule.executor import Executor
    from harness.schedule.loop import Loop
    from harness.settings import Settings
    from results.metadata import Metadata
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Evaluate checkpoints: plan, run what is missing, collect the numbers, write the pages.

    Exit status: 0 everything asked for is there; 1 a job failed or something is missing; 2 bad input, nothing was
    started; 130 interrupted.
    """
    arguments = locals()
    from harness.cli.plan import show_plan
    from harness.plan import make_plan

    settings = options.settings_of(arguments)
    metadata = None
    if settings.meta is not None:
        from results.metadata import read_metadata

        metadata = read_metadata(settings.meta)
    made = make_plan(settings)
    if dry_run:
        show_plan(made, settings, json)
        return
    raise typer.Exit(_run(made, settings, metadata, quiet, json))


def _run(made: Plan, settings: Settings, metadata: Metadata | None, quiet: bool, json: bool) -> int:
    """Runs a plan and returns the exit status."""
    from harness.cli.live import choose_reporter
    from harness.schedule.loop import Loop
    from results.workspace import Workspace

    console = make_console(stderr=json)
    if not quiet:
        for note in made.notes:
            console.print(f"note: {note}", markup=False, highlight=False)
    workspace = Workspace(settings.workspace.absolute())
    book = RunBook(workspace.runs, made, settings)
    book.write()
    reporter: Any = choose_reporter(console, quiet)
    loop = Loop(workspace, made.jobs, make_executor(settings), settings, reporter, book.submitted)
    # A run that is asked to end stops its jobs as it does at Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with reporter:
        loop.prepare()
        finished = True if settings.cache == "read-only" else loop.run()
        reporter.tick(loop.jobs)
    _report(workspace, loop, made, metadata, console, quiet, json)
    if not finished:
        console.print("interrupted; the same command goes on from here", markup=False)
        return 130
    return 0 if all(tracked.state in ("done", "cached") for tracked in loop.jobs) else 1


def make_executor(settings: Settings) -> Executor:
    """What the settings name: processes of their own, or this one."""
    from harness.schedule.local import DebugExecutor, LocalExecutor
    from harness.spread import usable_ranks

    if settings.executor == "debug":
        return DebugExecutor(settings.workspace, settings.slots, settings.largest_batch)
    return LocalExecutor(settings.workspace, settings.slots, usable_ranks(settings), settings.largest_batch)


def _report(
    workspace: Workspace,
    loop: Loop,
    made: Plan,
    metadata: Metadata | None,
    console: Console,
    quiet: bool,
    json: bool,
) -> None:
    """Writes the pages and says what failed and where its log lies."""
    import json as json_module

    from results.entries import read_workspace
    from results.pages.render import Request, make_pages, write_pages

    failed = [tracked for tracked in loop.jobs if tracked.state not in ("done", "cached")]
    for tracked in failed:
        log = tracked.folder.log()
        where = f"\n  log: {log}" if log is not None else ""
        reason = tracked.reason or tracked.state
        if tracked.state == "waiting":
            reason = "no result, and --cache read-only runs nothing"
        make_console(stderr=True).print(
            f"{tracked.folder.name}: {reason}{where}", markup=False, highlight=False, style="red"
        )
    reading = read_workspace(workspace)
    request = Request([checkpoint.label for checkpoint in made.checkpoints], metadata=metadata)
    pages = write_pages(make_pages(reading, workspace, request), workspace)
    options.tell_left_out(reading.left_out)
    if json:
        rows = [
            {
                "job": tracked.folder.name,
                "key": tracked.planned.job.key,
                "state": tracked.state,
                "reason": tracked.reason,
                "log": str(tracked.folder.log() or ""),
            }
            for tracked in loop.jobs
        ]
        print(json_module.dumps({"jobs": rows, "pages": [str(page) for page in pages]}, indent=2))
    elif not quiet:
        for page in pages:
            console.print(f"wrote {page}", markup=False, highlight=False)


class RunBook:
    """The file of a run: what was asked for, and what was handed to which executor.

    Args:
        folder: ``runs/`` of the workspace.
        made: The plan.
        settings: What it was made of.
    """

    def __init__(self, folder: Path, made: Plan, settings: Settings) -> None:
        from harness.ledger import now
        from harness.plan import run_entry

        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self._path = folder / f"{stamp}-{uuid.uuid4().hex[:8]}.json"
        self._fields: dict[str, Any] = {
            "id": self._path.stem,
            "argv": sys.argv[1:],
            "checkpoints": [
                {
                    "label": each.label,
                    "path": each.checkpoint,
                    "digest": each.intake.digest,
                    "encoder": each.intake.encoder,
                    "input": each.intake.input,
                    "source": each.intake.source,
                    "format": each.intake.format,
                    "remarks": list(each.intake.remarks),
                    "sha256": _file_hash(each.checkpoint),
                }
                for each in made.checkpoints
            ],
            "jobs": [run_entry(planned) for planned in made.jobs if not planned.job.extracts],
            "settings_digest": settings.digest(),
            "submissions": [],
            "created": now(),
        }

    def write(self) -> None:
        from results.files import to_json, write_whole

        write_whole(self._path, to_json(self._fields))

    def submitted(self, job: str, executor: str, number: str) -> None:
        """Notes a submission."""
        self._fields["submissions"].append({"job": job, "executor": executor, "id": number})
        self.write()


def _file_hash(checkpoint: str) -> str:
    """sha256 of a checkpoint's file, by which metadata may name it; empty for what is no local file."""
    from results.files import file_sha256

    path = Path(checkpoint)
    return file_sha256(path) if path.is_file() else ""
