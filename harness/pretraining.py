"""The plan of a pretraining job, and the copy of its checkpoint that the user asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from benchmarks.datasets.fingerprint import fingerprint
from benchmarks.datasets.layout import data_set, missing_files
from harness.data_root import absolute_root, expanded
from harness.job import Job, PlannedJob
from harness.plan import refuse_nonstandard, usable_workspace
from harness.settings import Settings, parse_overrides
from pretrain.catalogue import find_config
from results.errors import HarnessError, did_you_mean
from results.files import file_sha256, read_json, write_whole
from results.workspace import Workspace


def plan_pretraining(name: str, settings: Settings, seed: int, overrides: Sequence[str]) -> PlannedJob:
    """Plans the job. The cheapest refusal comes first.

    Args:
        name: Name of the config.
        settings: Profile, data root, workspace and numerics.
        seed: Seed of everything random.
        overrides: What stood after ``--set``.

    Raises:
        HarnessError: Anything wrong with config, fields, workspace or data; nothing was started.
    """
    config = find_config(name)
    fields = parse_overrides(tuple(overrides))
    for other in fields:
        if other != config.name:
            raise HarnessError(
                f"--set names '{other}', but {config.name} is trained", "--set", did_you_mean(other, (config.name,))
            )
    protocol = config.protocol(profile=settings.profile, overrides=fields.get(config.name))
    config.check(protocol)
    workspace = usable_workspace(settings)
    root = expanded(absolute_root(settings.data))
    files = missing_files(config.data, root)
    if files:
        raise HarnessError(
            f"data is missing: {data_set(config.data).title} ({config.data}) lacks {', '.join(files[:5])}"
            + (" and more" if len(files) > 5 else ""),
            str(root),
            f"python -m harness data check --data {root} shows what must lie where; python -m harness data sample "
            "--data data/sample makes a small sample",
        )
    stamp = fingerprint(config.data, root, workspace.cache)
    if settings.profile == "full" and not settings.allow_nonstandard_data:
        refuse_nonstandard({config.data: stamp})
    job = Job(
        benchmark=config.name,
        protocol=protocol,
        request=None,
        backbone=None,
        data=stamp,
        data_root=root,
        seed=seed,
        numerics=settings.numerics.numerics(folds=False),
        batch=config.batch(protocol),
    )
    resources = config.resources(protocol)
    return PlannedJob(job, hours=resources.hours, gpus=resources.gpus)


def check_out(out: Path, workspace: Workspace) -> None:
    """Refuses a place at which the copy could not be put, or a file there that is no checkpoint of this workspace.

    Raises:
        HarnessError: As said.
    """
    if out.is_dir():
        raise HarnessError("a folder stands where the checkpoint is to be written", str(out), "give a file's name")
    nearest = next(folder for folder in out.absolute().parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise HarnessError(
            f"cannot write {out.name}: {nearest} is not a folder that you can write", "--out", "give another place"
        )
    if (out.exists() or out.is_symlink()) and file_sha256(out) not in _products(workspace):
        raise HarnessError(
            "a file is already there, and it is no checkpoint that was pretrained in this workspace",
            str(out),
            "move it away or give another name with --out",
        )


def _products(workspace: Workspace) -> Iterator[str]:
    """sha256 of every checkpoint that was ever made in a workspace."""
    for pattern in ("*/result.json", "*/superseded/*.json"):
        for path in sorted(workspace.pretrain.glob(pattern)):
            try:
                yield read_json(path)["details"]["checkpoint"]["sha256"]
            except (HarnessError, KeyError, TypeError):
                continue


def deliver(product: Path, out: Path, workspace: Workspace) -> None:
    """Copies the checkpoint, whole or not at all; a file that is the same already is left alone.

    Raises:
        HarnessError: Another file came to lie there meanwhile; disk full, not writable.
    """
    check_out(out, workspace)
    if out.exists() and file_sha256(out) == file_sha256(product):
        return

    def copy(stream: IO[bytes]) -> None:
        with product.open("rb") as source:
            shutil.copyfileobj(source, stream)

    write_whole(out, copy)
