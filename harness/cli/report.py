"""``report``: tables and pages of what a workspace holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options

if TYPE_CHECKING:
    from results.pages.render import Pages
    from results.workspace import Workspace


def report(
    workspace: options.WorkspaceRoot = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Write the page of this label only; may be repeated.")
    ] = None,
    meta: options.Meta = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, parquet, markdown, html, metafile, card (these by default), latex, figures, wide; by commas.",
        ),
    ] = None,
    refresh: Annotated[
        list[Path] | None,
        typer.Option("--refresh", help="Refresh the sections between markers in this README; may be repeated."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: hold pages, the READMEs of --refresh and the metadata's links against the records.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Write results.csv, the pages of every label and their machine-readable twins, and print where they are.

    Exit status 1: a file of the workspace could not be read and was left out, or --check found something.
    """
    from results.entries import read_workspace
    from results.metadata import read_metadata
    from results.pages.render import DEFAULT_FORMATS, Request, make_pages, write_pages

    formats = DEFAULT_FORMATS if format_ is None else tuple(name.strip() for name in format_.split(",") if name.strip())
    path = options.meta_of(meta)
    request = Request(label or None, formats, None if path is None else read_metadata(path))
    place = options.workspace_of(workspace)
    reading = read_workspace(place)
    pages = make_pages(reading, place, request)
    for note in pages.matched.notes:
        typer.secho(f"note: {note}", err=True)
    if check:
        wrong = _check(pages, place, refresh or [], path, as_json)
        options.tell_left_out(reading.left_out)
        raise typer.Exit(1 if wrong or reading.left_out else 0)
    # Markers are refused before anything is written.
    refreshed = refresh_readmes(pages, refresh or [])
    paths = [str(each) for each in (*write_pages(pages, place), *refreshed)]
    if as_json:
        typer.echo(json.dumps({"pages": paths}, indent=2))
    else:
        for each in paths:
            typer.echo(each)
    options.tell_left_out(reading.left_out)
    if reading.left_out:
        raise typer.Exit(1)


def refresh_readmes(pages: Pages, readmes: list[Path]) -> list[Path]:
    """Refreshes sections of hand-written READMEs and returns those that changed."""
    from results.pages.refresh import refresh_file

    return [readme for readme in readmes if refresh_file(readme, pages.part_of(str(readme)))]


def _check(pages: Pages, workspace: Workspace, readmes: list[Path], meta: Path | None, as_json: bool) -> bool:
    """Prints what is wrong; whether anything is."""
    from results.pages.check import check_links, check_pages, check_readme

    problems = check_pages(pages, workspace.pages)
    for readme in readmes:
        problems += check_readme(pages, readme)
    if meta is not None and pages.metadata is not None:
        problems += check_links(pages.metadata, pages.matched, pages.hashes, meta.absolute().parent)
    if as_json:
        typer.echo(json.dumps({"problems": [dataclasses.asdict(each) for each in problems]}, indent=2))
    else:
        for each in problems:
            typer.echo(f"{each.where}: {each.what}")
        if not problems:
            typer.echo(
                "every number is that of its record" + ("" if meta is None else ", every link stands where it belongs")
            )
    return bool(problems)
