"""``init``: files to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import make_console
from results.errors import HarnessError


def init(
    meta: Annotated[
        Path | None, typer.Option("--meta", metavar="META.yaml", help="Write an example of the metadata file instead.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write it anew where one is there; its content is lost.")
    ] = False,
) -> None:
    """Write harness.yaml into the current folder: every setting with its meaning and default.

    On a machine with SLURM the partitions of the cluster stand in it as comments.
    """
    from harness.settings_file import write_settings_file

    path = _write_metadata(meta, force) if meta is not None else write_settings_file(Path.cwd(), force, _partitions())
    make_console().print(f"wrote {path}", markup=False, highlight=False)


def _write_metadata(path: Path, force: bool) -> Path:
    """Writes the commented example of a metadata file.

    Raises:
        HarnessError: A file is there already.
    """
    from results.files import publish, write_whole

    example = resources.files("results.pages").joinpath("templates/META.yaml").read_text(encoding="utf-8")
    if force:
        write_whole(path, example)
    elif not publish(path, example):
        raise HarnessError(f"{path.name} is there already", str(path), "name another file, or add --force")
    return path


def _partitions() -> list[str]:
    """The cluster's partitions in words; none on a machine without SLURM."""
    from harness.schedule.slurm.commands import has_slurm

    if not has_slurm():
        return []
    from harness.schedule.slurm.cluster import describe_partitions

    try:
        return describe_partitions()
    except HarnessError as error:
        make_console().print(f"note: partitions are not listed: {error.what}", markup=False, highlight=False)
        return []
