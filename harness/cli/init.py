"""``init``: files to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from results.errors import HarnessError
from results.files import publish


def init(
    meta: Annotated[Path, typer.Option("--meta", help="Write a commented example of the metadata file here.")],
) -> None:
    """Write a commented example to start from; a file that is there is never overwritten."""
    example = resources.files("results.pages").joinpath("templates/META.yaml").read_text(encoding="utf-8")
    if not publish(meta, example):
        raise HarnessError(f"{meta.name} is there already", str(meta), "name another file, or move this one away")
    typer.echo(f"wrote {meta}")
