"""``compare``: numbers side by side, and among the published ones."""

from __future__ import annotations

import dataclasses
import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from harness.cli import options
from harness.cli.console import make_console, make_table
from results.errors import HarnessError

if TYPE_CHECKING:
    from results.compare import Block, Comparison, Line
    from results.published import Published
    from results.table import Summary


def compare(
    targets: Annotated[
        list[str], typer.Argument(help="Labels of the workspace, other workspaces, folders or files of records.")
    ],
    workspace: options.WorkspaceRoot = None,
    published: Annotated[
        bool, typer.Option("--published", help="Also say where each stands among the published numbers.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show numbers side by side, with differences to the first; what is not comparable stands apart.

    Exit status 1: a record could not be read and was left out.
    """
    from results import compare as comparing

    sides, left_out = comparing.read_sides(options.workspace_of(workspace), targets)
    if len(sides) < 2 and not published:
        raise HarnessError(
            "one label alone cannot be compared", targets[0], "name another one, or compare it with --published"
        )
    found = comparing.compare(sides, published)
    if json:
        print(json_module.dumps(to_json(found), indent=2))
    else:
        _show(found, published)
    options.tell_left_out(left_out)
    if left_out:
        raise typer.Exit(1)


def _show(found: Comparison, published: bool) -> None:
    console = make_console()
    for block in found.blocks:
        facts = f"protocol {block.protocol}, version {block.version}, hash {block.hash[:12]}"
        _print(console, f"{block.benchmark}: {facts}")
        for mark in block.marks:
            _print(console, f"  {mark}", "yellow")
        titles = ["metric", *_heads(found.sides)]
        console.print(make_table(titles, [_cells(line) for line in block.lines]))
        _show_best(console, block)
        if published:
            _show_published(console, block)
        console.print()


def _heads(sides: tuple[str, ...]) -> list[str]:
    return [sides[0], *(head for side in sides[1:] for head in (side, f"− {sides[0]}"))]


def _cells(line: Line) -> list[str]:
    cells = [line.title]
    for number, (value, difference) in enumerate(zip(line.values, line.differences, strict=True)):
        cells.append("" if value is None else _number(value, line.decimals))
        if number:
            cells.append("" if difference is None else f"{difference:+.{line.decimals}f}")
    return cells


def _number(value: Summary, decimals: int) -> str:
    text = f"{value.mean:.{decimals}f}"
    return f"{text} ± {value.deviation:.{decimals}f} (n = {value.n})" if value.n > 1 else text


def _show_best(console: Console, block: Block) -> None:
    """Which side is best by each metric, and whether seeds alone could have put it there."""
    rows = [
        (
            line.title,
            line.best.side,
            f"+{line.best.lead:.{line.decimals}f}",
            line.best.runner_up,
            "" if line.best.spread is None else f"± {line.best.spread:.{line.decimals}f}",
            line.best.verdict,
        )
        for line in block.lines
        if line.best is not None
    ]
    if rows:
        console.print(make_table(("metric", "best", "lead", "before", "spread", "the lead is"), rows))


def _show_published(console: Console, block: Block) -> None:
    """Places of each metric, and the published numbers they are places among."""
    places = [
        (line.title, each.side, f"{each.rank.place} of {each.rank.of}", _near(each.rank.above), _near(each.rank.below))
        for line in block.lines
        for each in line.standings
    ]
    if places:
        console.print(make_table(("metric", "label", "place", "next better", "next worse"), places))
    else:
        _print(console, "  nothing is published by this protocol with this backbone")
    rest = {
        f"{each.backbone}{f', {each.variant}' if each.variant else ''}": None
        for line in block.lines
        for each in line.apart
    }
    if rest:
        _print(console, f"  published too, but not comparable: {'; '.join(rest)}")


def _near(number: Published | None) -> str:
    return "" if number is None else f"{number.text} {number.name}"


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(text, markup=False, highlight=False, style=style)


def to_json(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON: unrounded, with everything published beside it."""
    return {
        "labels": list(found.sides),
        "tables": [
            {
                "benchmark": block.benchmark,
                "protocol": block.protocol,
                "protocol_version": block.version,
                "protocol_hash": block.hash,
                "data": block.data,
                "marks": list(block.marks),
                "metrics": [_line_to_json(found.sides, line) for line in block.lines],
            }
            for block in found.blocks
        ],
    }


def _line_to_json(sides: tuple[str, ...], line: Line) -> dict[str, Any]:
    return {
        "metric": line.metric,
        "values": {
            side: {"mean": value.mean, "deviation": value.deviation if value.n > 1 else None, "n": value.n}
            for side, value in zip(sides, line.values, strict=True)
            if value is not None
        },
        "differences": {
            side: difference for side, difference in zip(sides, line.differences, strict=True) if difference is not None
        },
        "best": None if line.best is None else {**dataclasses.asdict(line.best), "verdict": line.best.verdict},
        "places": {each.side: {"place": each.rank.place, "of": each.rank.of} for each in line.standings},
        "published": [_published_to_json(each) for each in line.published],
        "published_apart": [_published_to_json(each) for each in line.apart],
    }


def _published_to_json(number: Published) -> dict[str, Any]:
    facts = ("algorithm", "config", "backbone", "epochs", "batch_size", "variant", "source")
    return {"value": number.value, **{name: getattr(number, name) for name in facts}}
