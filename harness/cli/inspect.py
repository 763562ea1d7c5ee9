"""``inspect``: says what a checkpoint is, and writes it in another publisher's form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.backbone import tensor_shapes
from benchmarks.input_convention import input_convention
from harness.checkpoint.coverage import coverage_of
from harness.checkpoint.exports import WRITERS
from harness.checkpoint.intake import Facts, examine, known
from harness.checkpoint.signature import printable
from harness.checkpoint.statistics import GroupStatistics
from harness.cli import options
from results.errors import HarnessError, did_you_mean
from results.files import to_json

if TYPE_CHECKING:
    import torch

    from results.workspace import Workspace

READ_BACK = {"mmpretrain": "mmpretrain", "torchvision": "torchvision", "safetensors": "canonical"}
"""Format as which intake reads what was exported."""

JSON_FIELDS = ("format", "encoder", "digest", "coverage", "input", "ignored", "warnings")
"""Fields of ``--json``, with ``refusal`` after them."""


def inspect(
    ckpt: Annotated[str, typer.Option("--ckpt", metavar="PATH|random:SEED", help="The checkpoint.")],
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            "--export",
            metavar="FORMAT OUT",
            help="Write the backbone to OUT as torchvision, mmpretrain or safetensors, and read it back.",
        ),
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", metavar="CONVENTION", help="Input convention, where the file has another.")
    ] = None,
    encoder: options.Encoder = None,
    trust: options.Trust = None,
    workspace: options.WorkspaceRoot = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; a refusal stands in it.")] = False,
) -> None:
    """Say what a checkpoint is: format, digest, coverage, input convention."""
    try:
        facts = _inspect(ckpt, export, input, Reading(encoder, bool(trust)), options.workspace_of(workspace))
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


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a checkpoint is to be read; see :func:`harness.checkpoint.intake.examine`."""

    encoder: str | None
    trust: bool


def _inspect(
    ckpt: str, export: tuple[str, Path] | None, input: str | None, reading: Reading, workspace: Workspace
) -> Facts:
    convention = None if input is None else input_convention(input).name
    if export is not None and export[0] not in WRITERS:
        raise HarnessError(f"cannot export as '{printable(export[0])}'", "--export", did_you_mean(export[0], WRITERS))
    facts = known(ckpt, workspace, reading.encoder, reading.trust)
    if facts is None or export is not None:
        facts, tensors = examine(ckpt, reading.encoder, reading.trust)
        if export is not None:
            _export(facts, tensors, *export)
    return dataclasses.replace(facts, input=convention or facts.input)


def _export(facts: Facts, tensors: Mapping[str, torch.Tensor], form: str, out: Path) -> None:
    """Writes the backbone, or leaves a file alone that is already the same, and reads back what is there."""
    fresh = not out.exists() and not out.is_symlink()
    if fresh:
        WRITERS[form](out, tensors)
    try:
        there: Any = examine(str(out))[0]
    except HarnessError:
        there = None
    if there is None or (there.digest, there.format) != (facts.digest, READ_BACK[form]):
        raise HarnessError(
            f"what was written is not read back as this backbone as {form}"
            if fresh
            else f"a file is already there, and it is not this backbone as {form}",
            printable(out),
            "the disk may be full or faulty: export to another one"
            if fresh
            else "move it away or export to another name",
        )


def _page(facts: Facts) -> str:
    total = coverage_of(tensor_shapes())
    others = [name for name in facts.encoders if name != facts.encoder]
    rows = [
        ("checkpoint", facts.source),
        ("format", facts.format),
        ("encoder", facts.encoder + (f" (also in the file: {', '.join(map(printable, others))})" if others else "")),
        ("digest", facts.digest),
        *((name.replace("_", " "), f"{facts.coverage[name]}/{count}") for name, count in total.items()),
        ("shapes", f"all {len(tensor_shapes())} tensors as in ResNet-50"),
        ("input", _convention(facts.input)),
        ("ignored", ", ".join(facts.ignored) or "nothing"),
    ]
    rows += [("warning", warning) for warning in facts.warnings]
    page = [f"{name:14}{value}" for name, value in rows]
    return "\n".join([*page, *_statistics(facts.statistics)])


def _convention(name: str) -> str:
    convention = input_convention(name)
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (convention.mean, convention.std))
    return f"{name}: {convention.channels}, mean {mean}, standard deviation {std} (of 255)"


def _statistics(groups: Mapping[str, GroupStatistics]) -> list[str]:
    """The table that compares the weights with a fresh initialisation."""
    if not groups:
        return []
    heads = {
        "spread": "convolution std, of initial",
        "gain": "norm weight",
        "shift": "norm |bias|",
        "mean": "running |mean|",
        "variance": "running var",
    }
    width = [max(len(head), 9) for head in heads.values()]

    def row(name: str, cells: Iterable[str]) -> str:
        return f"{name:14}" + "  ".join(f"{cell:>{size}}" for cell, size in zip(cells, width, strict=True))

    lines = ["", row("", heads.values()), row("fresh", ["1", "1", "0", "0", "1"])]
    for name, group in groups.items():
        lines.append(row(name, [f"{getattr(group, kind):.4g}" for kind in heads]))
    return lines
