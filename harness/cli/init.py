"""``init``: a commented ``harness.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import make_console


def init(
    force: Annotated[
        bool, typer.Option("--force", help="Write it anew where one is there; its content is lost.")
    ] = False,
) -> None:
    """Write harness.yaml into the current folder: every setting with its meaning and default.

    On a machine with SLURM the partitions of the cluster stand in it as comments.
    """
    from harness.schedule.slurm.commands import has_slurm
    from harness.settings_file import write_settings_file
    from results.errors import HarnessError

    console = make_console()
    partitions: list[str] = []
    if has_slurm():
        from harness.schedule.slurm.cluster import describe_partitions

        try:
            partitions = describe_partitions()
        except HarnessError as error:
            console.print(f"note: partitions are not listed: {error.what}", markup=False, highlight=False)
    path = write_settings_file(Path.cwd(), force, partitions)
    console.print(f"wrote {path}", markup=False, highlight=False)
