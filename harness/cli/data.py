"""``data sample``, ``data prepare`` and ``data check``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.cli.bars import FileBar

if TYPE_CHECKING:
    from benchmarks.datasets.check import Report

app = typer.Typer(
    help="Data sets: make a small sample, prepare official archives, look through what is there.", no_args_is_help=True
)


def data_sets_of(suite: str) -> list[str]:
    """Names of the data sets of a suite: ``all``, or data sets, benchmarks and groups joined by commas.

    Raises:
        HarnessError: Unknown name.
    """
    from benchmarks.catalogue import GROUPS, catalogue, select
    from benchmarks.datasets.official import DATA_SETS
    from results.errors import HarnessError, did_you_mean

    found: list[str] = []
    for name in (word.strip() for word in suite.split(",")):
        if name == "all":
            found += DATA_SETS
        elif name in DATA_SETS:
            found.append(name)
        elif name.partition("@")[0] in (*GROUPS, *catalogue()):
            found += [choice.benchmark.data for choice in select(name)]
        else:
            valid = ("all", *GROUPS, *catalogue(), *DATA_SETS)
            raise HarnessError(f"unknown suite or data set '{name}'", "--suite", did_you_mean(name, valid))
    return list(dict.fromkeys(found))


@app.command()
def sample(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder to make; it must not exist yet.")],
) -> None:
    """Make a small sample of every data set from what scikit-learn ships (11 MB, some seconds)."""
    from benchmarks.datasets.sample import make_sample

    make_sample(data)
    typer.echo(f"the sample lies in {data}; use it with --data {data} --allow-nonstandard-data")


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="Name of the data set, as in `data check`.")],
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="PATH", help="Official archive or unpacked folder. Repeat for several."),
    ] = None,
    data: options.Data = None,
    quiet: options.Quiet = False,
) -> None:
    """Put a data set into the layout, from archives that you have got. Nothing is downloaded.

    What is there is not written again, so the same command goes on where it was interrupted. Files of an unpacked
    folder get a second name where they lie on the same disk, and are copied otherwise.
    """
    from benchmarks.datasets.prepare import prepare as put_in_place

    root = options.data_root_of(data)
    with FileBar(quiet) as bar:
        done = put_in_place(name, tuple(from_ or ()), root, bar.files)
    if quiet:
        return
    if done.already:
        typer.echo(f"{name}: already prepared below {root}")
    else:
        typer.echo(f"{name}: wrote {done.written:,} files below {root}; {done.kept:,} were there")
    for line in done.made:
        typer.echo(f"  {line}")
    typer.echo(f"next: python -m harness data check --data {root} --suite {name}")


@app.command()
def check(
    data: options.Data = None,
    suite: Annotated[str, typer.Option(help="all, or suites, benchmarks and data sets joined by commas.")] = "all",
    allow_nonstandard_data: Annotated[
        bool,
        typer.Option(
            "--allow-nonstandard-data",
            help="Accept other counts than the official ones, and images that no list names.",
        ),
    ] = False,
    decode: Annotated[bool, typer.Option(help="Decode every image and mask.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look through the data: lists, counts, annotations, every image. Exit status 2 where something is wrong."""
    from benchmarks.datasets.check import check as look_through

    root = options.data_root_of(data)
    with FileBar(quiet) as bar:
        reports = [look_through(name, root, decode, bar.files(name)) for name in data_sets_of(suite)]
    right = all(
        report.sound and (allow_nonstandard_data or not (report.nonstandard or report.unlisted_count))
        for report in reports
    )
    if as_json:
        content = {"data": str(root), "ok": right, "data_sets": [report.to_dict() for report in reports]}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=True))
    else:
        _print_table(reports, allow_nonstandard_data)
        for line in _details(reports, root, allow_nonstandard_data):
            typer.echo(_printable(line))
    if not right:
        raise typer.Exit(2)


def _verdict(report: Report, allow_nonstandard: bool) -> str:
    faults = []
    if report.missing_count:
        faults.append(f"{report.missing_count:,} missing")
    if report.broken_count:
        faults.append(f"{report.broken_count:,} broken")
    remarks = []
    if report.unlisted_count:
        remarks.append(f"{report.unlisted_count:,} in no list")
    if report.nonstandard:
        remarks.append("not the official counts")
    if allow_nonstandard and not faults:
        return ", ".join(("ok", *remarks))
    return ", ".join((*faults, *remarks)) or "ok"


def _print_table(reports: list[Report], allow_nonstandard: bool) -> None:
    head = ("data set", "found", "official", "short edges", "verdict")
    rows = []
    for report in reports:
        found = "  ".join(f"{what} {report.counts.get(what, '-')}" for what in report.official or report.counts)
        official = "  ".join(f"{what} {count}" for what, count in report.official.items())
        edges = "-".join(map(str, report.short_edges)) if report.short_edges else ""
        rows.append((report.name, found, official, edges, _verdict(report, allow_nonstandard)))
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _details(reports: list[Report], data: Path, allow_nonstandard: bool) -> list[str]:
    """What is wrong or remarkable, file by file, and the commands that mend what is wrong."""
    lines = []
    for report in reports:
        for what, named, count in (
            ("missing", report.missing, report.missing_count),
            ("broken", report.broken, report.broken_count),
            ("in no list", report.unlisted, report.unlisted_count),
        ):
            lines += [f"{report.name}: {what}: {one}" for one in named]
            if count > len(named):
                lines.append(f"{report.name}: {what}: ... and {count - len(named):,} more")
    if any(report.missing_count for report in reports):
        free = not data.exists() or (data.is_dir() and not any(os.scandir(data)))
        place = data if free else f"{data}-sample"
        lines.append(f"mend: unpack the official data sets below {data}, or look only at what you have with --suite")
        lines.append(f"      for a trial without them: python -m harness data sample --data {place}")
    if any(report.broken_count for report in reports):
        lines.append("mend: take the broken files again from the official archives")
    if any(report.unlisted_count for report in reports) and not allow_nonstandard:
        lines.append("mend: take the whole list, or say that images are left out on purpose: --allow-nonstandard-data")
    if any(report.nonstandard for report in reports) and not allow_nonstandard:
        lines += [f"{report.name}: {sentence}" for report in reports for sentence in report.nonstandard]
        lines.append("mend: unpack the whole data set, or say that you know with --allow-nonstandard-data")
    return lines


def _printable(line: str) -> str:
    """The line with control characters escaped: file names in lists come from anywhere."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
