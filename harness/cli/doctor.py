"""``doctor``: whether machine, data, settings and cluster are fit for a run."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json as json_module
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import options
from harness.cli.console import make_console, make_table

if TYPE_CHECKING:
    from harness.doctor.findings import Finding
    from harness.doctor.subject import Subject

STYLES = {"state": {"ok": "green", "warning": "yellow", "error": "bold red"}}


def doctor(
    suite: options.Suite = None,
    data: options.Data = None,
    workspace: options.WorkspaceRoot = None,
    profile: options.Profile = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also submit a job of a minute that says what a node of the cluster sees.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Look at Python, torch, GPUs, data, settings, disk and cluster: is all fit for a run, and if not, what mends it?

    Exit status: 0 no errors; 1 errors; 2 bad usage.
    """
    flags = {"suite": suite, "data": data, "workspace": workspace, "profile": profile}
    from harness.doctor.examine import examine

    subject, first = _subject(flags)
    with _telling() as tell:
        findings = [first, *examine(subject, probe, tell)]
    counts: Mapping[str, int] = collections.Counter(str(each.state) for each in findings)
    if json:
        rows = [dataclasses.asdict(each) for each in findings]
        print(json_module.dumps({"ok": not counts["error"], "findings": rows}, indent=2))
    else:
        _print(findings, counts)
    if counts["error"]:
        raise typer.Exit(1)


def _subject(flags: Mapping[str, Any]) -> tuple[Subject, Finding]:
    """What is looked at, and what is to be said of the settings.

    Raises:
        HarnessError: A flag is wrong.
    """
    from benchmarks.catalogue import select
    from harness.doctor.examine import settings_finding
    from harness.doctor.subject import Subject
    from harness.settings import Settings
    from results.errors import HarnessError

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = options.settings_of(flags)
        return Subject(settings, select(settings.suite)), settings_finding(None)
    except HarnessError as failed:
        if failed.where.startswith("--") and failed.where.removeprefix("--") in given:
            raise
        settings = Settings.model_construct(**given)
        try:
            choices = select(settings.suite)
        except HarnessError:
            # A third party's benchmark cannot be loaded: the same error again.
            choices = ()
        return Subject(settings, choices), settings_finding(failed)


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str], object]]:
    """Shows in a terminal what is looked at now."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(f"looking: {text}")


def _print(findings: list[Finding], counts: Mapping[str, int]) -> None:
    console = make_console()
    rows = [(each.name, each.state, each.what, each.mend) for each in findings]
    console.print(make_table(("check", "state", "what", "mend"), rows, STYLES))
    console.print(f"{counts['error']} errors, {counts['warning']} warnings", markup=False, highlight=False)
