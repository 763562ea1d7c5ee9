"""``inspect``: says what a checkpoint is, and writes it in another publisher's form."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.backbone import tensor_shapes
from benchmarks.input_convention import input_convention
from harness.checkpoint.coverage import coverage_of
from harness.checkpoint.formats import WRITERS
from harness.checkpoint.intake import Facts, examine, known
from harness.checkpoint.signature import printable
from harness.cli import options
from results.errors import HarnessError, did_you_mean
from results.files import to_json

if TYPE_CHECKING:
    import torch

    from results.workspace import Workspace

JSON_FIELDS = ("format", "encoder", "digest", "coverage", "input", "ignored", "warnings")
"""Fields of ``--json``, with ``refusal`` after them."""


def inspect(
    ckpt: Annotated[str, typer.Option("--ckpt", metavar="PATH|random:SEED", help="The checkpoint.")],
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option("--export", metavar="FORMAT OUT", help="Write the backbone to OUT as mmpretrain or torchvision."),
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", metavar="CONVENTION", help="Input convention, where the file has another.")
    ] = None,
    workspace: options.WorkspaceRoot = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; a refusal stands in it.")] = False,
) -> None:
    """Say what a checkpoint is: format, digest, coverage, input convention."""
    try:
        facts = _inspect(ckpt, export, input, options.workspace_of(workspace))
    except HarnessError as error:
        if not json:
            raise
        typer.echo(to_json({**dict.fromkeys(JSON_FIELDS), "refusal": str(error)}), nl=False)
        raise typer.Exit(2) from error
    if json:
        found = dataclasses.asdict(facts)
        typer.echo(to_json({**{field: found[field] for field in JSON_FIELDS}, "refusal": None}), nl=False)
    else:
        typer.echo(_page(facts))


def _inspect(ckpt: str, export: tuple[str, Path] | None, input: str | None, workspace: Workspace) -> Facts:
    convention = None if input is None else input_convention(input).name
    if export is not None and export[0] not in WRITERS:
        raise HarnessError(f"cannot export as '{printable(export[0])}'", "--export", did_you_mean(export[0], WRITERS))
    facts = known(ckpt, workspace)
    if facts is None or export is not None:
        facts, tensors = examine(ckpt)
        if export is not None:
            _export(facts, tensors, *export)
    return dataclasses.replace(facts, input=convention or facts.input)


def _export(facts: Facts, tensors: Mapping[str, torch.Tensor], form: str, out: Path) -> None:
    """Writes the backbone, or leaves a file alone that is already the same."""
    if not out.exists() and not out.is_symlink():
        WRITERS[form](out, tensors)
        return
    try:
        there: Any = examine(str(out))[0]
    except HarnessError:
        there = None
    if there is None or (there.digest, there.format) != (facts.digest, form):
        raise HarnessError(
            f"a file is already there, and it is not this backbone as {form}",
            printable(out),
            "move it away or export to another name",
        )


def _page(facts: Facts) -> str:
    total = coverage_of(tensor_shapes())
    rows = [
        ("checkpoint", facts.source),
        ("format", facts.format),
        ("encoder", facts.encoder),
        ("digest", facts.digest),
        *((name.replace("_", " "), f"{facts.coverage[name]}/{count}") for name, count in total.items()),
        ("input", facts.input),
        ("ignored", ", ".join(facts.ignored) or "nothing"),
    ]
    rows += [("warning", warning) for warning in facts.warnings]
    return "\n".join(f"{name:14}{value}" for name, value in rows)
