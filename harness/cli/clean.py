"""``clean``: frees what finished jobs no longer need."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.console import make_console, make_table
from results.errors import HarnessError, did_you_mean


def clean(
    workspace: options.WorkspaceRoot = None,
    what: Annotated[
        str | None,
        typer.Option("--what", help="attempts, weights, features, joined by commas. Default: all three."),
    ] = None,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep the checkpoints of trained detectors, segmentors and heads.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Free it; without this flag it is only shown.")] = False,
    json: options.Json = False,
) -> None:
    """Show, or with --yes free, logs and checkpoints of finished jobs and features of finished probes."""
    from rich.filesize import decimal

    from harness.cleaning import find_freeable, free

    place = options.workspace_of(workspace)
    if not place.root.is_dir():
        raise HarnessError("there is no workspace", str(place.root), "give --workspace")
    found = find_freeable(place, _kinds(what, keep_weights))
    freed = sum(free(place, item) for item in found) if yes else 0
    if json:
        rows = [{"what": each.kind, "name": each.name, "files": len(each.paths), "bytes": each.size} for each in found]
        print(json_module.dumps({"freeable": rows, "freed_bytes": freed}, indent=2))
        return
    console = make_console()
    if not found:
        console.print("nothing to free")
        return
    console.print(make_table(("of", "what", "size"), [(each.name, each.kind, decimal(each.size)) for each in found]))
    total = decimal(sum(each.size for each in found))
    console.print(f"freed {decimal(freed)}" if yes else f"{total} can be freed: add --yes", highlight=False)


def _kinds(what: str | None, keep_weights: bool) -> tuple[str, ...]:
    """The kinds that two flags name.

    Raises:
        HarnessError: An unknown one.
    """
    from harness.cleaning import KINDS

    asked = [word.strip() for word in what.split(",")] if what is not None else list(KINDS)
    for word in asked:
        if word not in KINDS:
            raise HarnessError(f"there is nothing called '{word}' to free", "--what", did_you_mean(word, KINDS))
    return tuple(kind for kind in KINDS if kind in asked and not (keep_weights and kind == "weights"))
