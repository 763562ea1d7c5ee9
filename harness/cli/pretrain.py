"""``pretrain``: from images to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.cli.console import make_console
from pretrain.catalogue import DEFAULT_CONFIG
from results.errors import HarnessError

if TYPE_CHECKING:
    from harness.job import PlannedJob
    from harness.schedule.tracking import TrackedJob
    from harness.settings import Settings
    from results.workspace import Workspace


def pretrain(
    config: Annotated[str, typer.Argument(metavar="[CONFIG]", help="What to train.")] = DEFAULT_CONFIG,
    profile: options.Profile = None,
    data: options.Data = None,
    workspace: options.WorkspaceRoot = None,
    executor: options.ExecutorName = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of everything random.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="CONFIG.field=value: replace a field of the protocol; marked as modified."),
    ] = None,
    numerics: options.NumericsText = None,
    cache: options.Cache = None,
    allow_nonstandard_data: options.AllowNonstandard = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also copy the checkpoint to FILE.")] = None,
    detach: options.Detach = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Pretrain a ResNet-50 and write its checkpoint, which `run --ckpt` evaluates.

    Exit status: 0 the checkpoint is there (with --detach: submitted); 1 the job failed or is missing; 2 bad input,
    nothing was started; 130 interrupted.
    """
    arguments = locals()
    from harness.cli.carry_out import refuse_detaching
    from harness.pretraining import check_out, plan_pretraining
    from harness.schedule.choose import with_executor
    from harness.toolboxes import refuse_without_toolboxes
    from results.workspace import Workspace

    # Of a benchmark's fields harness.yaml may say something, of this config's only --set.
    given = {name: value for name, value in arguments.items() if name != "set_"}
    settings = with_executor(options.settings_of(given))
    refuse_detaching(settings, detach)
    if detach and out is not None:
        raise HarnessError("nobody is left to copy the checkpoint", "--out", "leave out one of --out and --detach")
    planned = plan_pretraining(config, settings, seed, set_ or ())
    place = Workspace(settings.workspace.absolute())
    if out is not None:
        check_out(out, place)
    refuse_without_toolboxes([planned], settings)
    raise typer.Exit(_run(planned, settings, place, out, detach, quiet, json))


def _run(
    planned: PlannedJob,
    settings: Settings,
    workspace: Workspace,
    out: Path | None,
    detach: bool,
    quiet: bool,
    json: bool,
) -> int:
    """Runs the job, or finds it finished, and returns the exit status."""
    from harness.cli.carry_out import carry_out, tell_detached, tell_left
    from harness.cli.live import choose_reporter
    from harness.pretraining import deliver
    from harness.run_book import run_id

    console = make_console(stderr=json)
    reporter = choose_reporter(console, quiet)
    jobs, end = carry_out((planned,), settings, run_id(), (), reporter, lambda *_: None, detach)
    if end == "detached":
        tell_detached(
            jobs, settings, f"The checkpoint will lie in {workspace.pretrain / planned.job.name}", quiet, json
        )
        return 0
    if end == "no longer looking on":
        tell_left(workspace.root)
        return 130
    (tracked,) = jobs
    product = tracked.folder.product() if tracked.state in ("done", "cached") else None
    delivered = True
    if product is not None and out is not None:
        try:
            deliver(product, out, workspace)
        except HarnessError as error:
            # The checkpoint is there, so this is no refusal: the same command only copies.
            make_console(stderr=True).print(f"error: {error}", markup=False, highlight=False, style="red")
            out, delivered = None, False
    _report(tracked, product, out, quiet, json)
    if end == "interrupted":
        console.print("interrupted; the same command goes on from here", markup=False)
        return 130
    return 0 if product is not None and delivered else 1


def _report(tracked: TrackedJob, product: Path | None, out: Path | None, quiet: bool, json: bool) -> None:
    """Says where the checkpoint lies, or why there is none."""
    import json as json_module

    from harness.cli.failures import tell_failures

    record = tracked.folder.read_result() if product is not None else None
    log = tracked.folder.log()
    if record is None:
        tell_failures([tracked])
    if json:
        answer = {
            "job": tracked.folder.name,
            "key": tracked.planned.job.key,
            "state": tracked.state,
            "reason": tracked.reason,
            "log": str(log or ""),
            "checkpoint": str(product) if product is not None else None,
            "sha256": record.details["checkpoint"]["sha256"] if record is not None else None,
            "digest": record.backbone.digest if record is not None else None,
            "loss": record.metrics["loss"].value if record is not None else None,
            "out": str(out) if product is not None and out is not None else None,
        }
        print(json_module.dumps(answer, indent=2))
    elif record is not None and not quiet:
        losses = record.curves["loss"]
        console = make_console()
        console.print(
            f"loss {losses[0]:.3f} in the first epoch, {losses[-1]:.3f} in the last of {len(losses)}", highlight=False
        )
        for path in (product, out):
            if path is not None:
                console.print(f"wrote {path}", markup=False, highlight=False)
