"""``plan``: what a run would do, without doing it."""

from __future__ import annotations

import dataclasses
import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import options
from harness.cli.console import make_console, make_table
from results.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.settings import Settings


def plan(
    ckpt: options.Checkpoints = None,
    suite: options.Suite = None,
    profile: options.Profile = None,
    data: options.Data = None,
    workspace: options.WorkspaceRoot = None,
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
    executor: options.ExecutorName = None,
    sbatch: Annotated[
        str | None,
        typer.Option("--sbatch", metavar="JOB", help="Print the script that a cluster would be given for this job."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the jobs of a run: their needs, their GPUs and hours, and which are finished already."""
    arguments = locals()
    from harness.plan import make_plan
    from harness.schedule.choose import with_executor

    settings = options.run_settings_of(arguments)
    if sbatch is not None:
        settings = settings.model_copy(update={"executor": "slurm"})
        print(_script_of(make_plan(settings), settings, sbatch), end="")
        return
    settings = with_executor(settings)
    show_plan(make_plan(settings), settings, json)


def _script_of(made: Plan, settings: Settings, name: str) -> str:
    """The script of the job whose name is, or begins with, a given text.

    Raises:
        HarnessError: None or several are.
    """
    from harness.schedule.slurm.request import preview, refuse_unusable_path
    from results.workspace import Workspace

    names = [planned.job.name for planned in made.jobs]
    found = [planned for planned in made.jobs if planned.job.name.startswith(name)]
    if len(found) != 1:
        problem = "no job's name begins with" if not found else "several jobs' names begin with"
        raise HarnessError(f"{problem} '{name}'", "--sbatch", did_you_mean(name, names))
    workspace = Workspace(settings.workspace.absolute())
    refuse_unusable_path(workspace.root)
    return preview(found[0], settings, workspace)


def plan_rows(made: Plan, settings: Settings) -> list[dict[str, Any]]:
    """One row for each job, as ``--json`` prints it."""
    from harness.completeness import is_complete, job_folder
    from results.workspace import Workspace

    workspace = Workspace(settings.workspace)
    complete = {each.job.key: is_complete(workspace, each.job) and settings.cache != "force" for each in made.jobs}
    wanted = {key for each in made.jobs if not complete[each.job.key] for key in each.needs}
    labels: dict[tuple[str, str], list[str]] = {}
    for checkpoint in made.checkpoints:
        labels.setdefault((checkpoint.intake.digest, checkpoint.intake.input), []).append(checkpoint.label)
    names = {planned.job.key: planned.job.name for planned in made.jobs}
    rows = []
    for planned in made.jobs:
        job = planned.job
        folder = job_folder(workspace, job)
        if complete[job.key]:
            state, why = "cached", "finished before"
        elif job.extracts and job.key not in wanted:
            state, why = "cached", "not needed: all that uses it is finished"
        elif folder.live_claim() is not None:
            state, why = "running", "held by another run"
        else:
            state, why = "to run", "forced" if folder.is_finished() else "no result"
        rows.append(
            {
                "job": job.name,
                "key": job.key,
                "benchmark": job.benchmark,
                "labels": labels[job.required_backbone().digest, job.required_backbone().input],
                "seed": job.seed,
                "state": state,
                "why": why,
                "needs": [names[key] for key in planned.needs],
                "gpus": planned.gpus,
                "hours": planned.hours,
                "protocol": dataclasses.asdict(job.stamp()),
                "data": dataclasses.asdict(job.data),
            }
        )
    return rows


def show_plan(made: Plan, settings: Settings, json: bool) -> None:
    """Prints a plan as a table or as JSON."""
    from harness.toolboxes import INSTALL, jobs_without_toolboxes

    rows = plan_rows(made, settings)
    notes = list(made.notes)
    wanting = jobs_without_toolboxes(made.jobs, settings)
    if wanting:
        notes.append(f"OpenMMLab's toolboxes are not installed, so {', '.join(wanting)} cannot be run: {INSTALL}")
    if json:
        print(json_module.dumps({"jobs": rows, "notes": notes}, indent=2))
        return
    titles = ("job", "label", "seed", "state", "why", "needs", "GPUs", "hours")
    cells = [
        (
            row["job"],
            ", ".join(row["labels"]),
            "" if row["seed"] is None else str(row["seed"]),
            row["state"],
            row["why"],
            ", ".join(row["needs"]),
            str(row["gpus"]),
            "" if settings.profile == "smoke" else f"{row['hours']:g}",
        )
        for row in rows
    ]
    console = make_console()
    console.print(make_table(titles, cells))
    for note in notes:
        console.print(f"note: {note}", markup=False, highlight=False)
