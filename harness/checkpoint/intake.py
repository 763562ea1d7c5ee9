"""From a checkpoint file of any publisher to a canonical, hashed backbone in the workspace."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.backbone import digest, random_backbone, tensor_shapes, write_backbone
from benchmarks.input_convention import DEFAULT_CONVENTION, input_convention
from harness.checkpoint.coverage import check, coverage_of
from harness.checkpoint.formats.base import Converted
from harness.checkpoint.formats.catalogue import convert
from harness.checkpoint.hub import fetch, on_hub
from harness.checkpoint.pickles.values import listed
from harness.checkpoint.read import read_checkpoint
from harness.checkpoint.signature import printable, regular_file
from harness.checkpoint.statistics import GroupStatistics, statistics
from harness.checkpoint.stored import InMemory
from results.errors import HarnessError
from results.files import TEMPORARY_SUFFIX, explain_os_error, make_folder, read_json, to_json, write_whole
from results.record import sha256_of
from results.workspace import Workspace

if TYPE_CHECKING:
    import torch

CACHE_VERSION = 2
"""Grows when the same file would be read otherwise than before."""

RANDOM = "random:"
"""Begins the name of an untrained backbone, ``random:SEED``."""

RANDOM_FORMAT = "random"
BACKBONE_FILE = "backbone.safetensors"
FACTS_FILE = "backbone.json"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What intake found out about a checkpoint.

    Args:
        digest: sha256 of the canonical tensors; the input convention has no part in it.
        source: File name without its folder, or ``random:SEED``.
        format: Publisher's format; ``random`` for an untrained backbone.
        encoder: Which of several networks in the file.
        input: Name of the input convention.
        coverage: ``convolutions`` (53) and ``batch_norms`` (53).
        ignored: Tensors that were left out, as ``prefix.*: count``.
        warnings: What the user should know, one sentence each.
        encoders: All networks that the file holds, by name.
        remarks: What belongs beside every number of this backbone: that it was read with ``--trust``, that it looks
            untrained.
        statistics: Averages over the stem and each stage, beside those of a fresh initialisation.
    """

    digest: str
    source: str
    format: str
    encoder: str
    input: str
    coverage: Mapping[str, int]
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ("backbone",)
    remarks: tuple[str, ...] = ()
    statistics: Mapping[str, GroupStatistics] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Intake(Facts):
    """Facts of a checkpoint whose backbone lies in a workspace.

    Args:
        path: Its ``backbone.safetensors``.
    """

    path: Path = dataclasses.field(kw_only=True)


def examine(
    checkpoint: str, encoder: str | None = None, trust: bool = False
) -> tuple[Facts, Mapping[str, torch.Tensor]]:
    """Reads and checks a checkpoint; writes nothing.

    Args:
        checkpoint: Path of a file, its name on the hub (``hf://``, ``timm:``), or ``random:SEED``.
        encoder: Which of several networks in the file; None for the publisher's default.
        trust: Whether a file whose pickles name more than plain types is read. Nothing in it is run either way.

    Returns:
        The facts, with the format's own input convention, and the 265 tensors, float32.

    Raises:
        HarnessError: Not readable, of no known format, without that encoder, or not a complete ResNet-50.
    """
    where = printable(checkpoint)
    seed = random_seed(checkpoint)
    remarks: tuple[str, ...] = ()
    if seed is None:
        with read_checkpoint(_path(checkpoint), trust) as file:
            converted = convert(file, where, encoder)
            checked = check(converted, where)
        if file.foreign:
            remarks += (f"read with --trust: its file names {listed(file.foreign)}; none of it was run",)
    else:
        refuse_encoder(encoder, where)
        weights = {name: InMemory(tensor) for name, tensor in random_backbone(seed).items()}
        converted = Converted(RANDOM_FORMAT, "backbone", DEFAULT_CONVENTION, weights)
        checked = check(converted, where)
    found = digest(checked.tensors)
    if converted.digest not in ("", found):
        raise HarnessError(
            f"the file says that its digest is {printable(converted.digest[:12])}, but it is {found[:12]}",
            where,
            "the file is damaged: make it again from the checkpoint it came from",
        )
    measured = statistics(checked.tensors)
    if seed is None:
        remarks += measured.warnings
    facts = Facts(
        found,
        _source(checkpoint),
        converted.format,
        converted.encoder,
        converted.input,
        checked.coverage,
        converted.ignored,
        remarks + converted.warnings + checked.warnings,
        converted.encoders,
        remarks,
        measured.groups,
    )
    return facts, checked.tensors


def refuse_encoder(encoder: str | None, where: str) -> None:
    """Refuses the choice of an encoder where there is none to choose.

    Raises:
        HarnessError: One was chosen.
    """
    if encoder is not None:
        raise HarnessError(f"an untrained backbone has no encoder '{printable(encoder)}'", where, "leave --encoder out")


def take_in(
    checkpoint: str,
    workspace: Workspace,
    input: str | None = None,
    encoder: str | None = None,
    trust: bool = False,
) -> Intake:
    """Brings a checkpoint into a workspace; one that is there already is not read again.

    Args:
        checkpoint: Path of a file, its name on the hub (``hf://``, ``timm:``), or ``random:SEED``.
        workspace: Where the backbone goes.
        input: Name of the input convention; None takes the format's.
        encoder: As :func:`examine`.
        trust: As :func:`examine`.

    Returns:
        The facts and the path of the canonical backbone. Imports no torch where the checkpoint is known.

    Raises:
        HarnessError: As :func:`examine`; unknown input convention; the file changed meanwhile; disk full.
    """
    convention = None if input is None else input_convention(input).name
    facts = known(checkpoint, workspace, encoder, trust)
    if facts is None:
        entry = _cache_entry(checkpoint, workspace, encoder, trust)
        facts, tensors = examine(checkpoint, encoder, trust)
        if _cache_entry(checkpoint, workspace, encoder, trust) != entry:
            raise HarnessError(
                "the checkpoint changed while it was read", printable(checkpoint), "wait until it is written, run again"
            )
        _store(facts, tensors, workspace)
        write_whole(entry, to_json({"version": CACHE_VERSION, **dataclasses.asdict(facts)}))
    fields = {field.name: getattr(facts, field.name) for field in dataclasses.fields(Facts)}
    fields["input"] = convention or facts.input
    return Intake(**fields, path=workspace.backbone(facts.digest) / BACKBONE_FILE)


def known(checkpoint: str, workspace: Workspace, encoder: str | None = None, trust: bool = False) -> Facts | None:
    """Looks a checkpoint up without reading it and without importing torch.

    Args:
        checkpoint: Path of a file, its name on the hub (``hf://``, ``timm:``), or ``random:SEED``.
        workspace: The workspace that may know it.
        encoder: As :func:`examine`.
        trust: As :func:`examine`.

    Returns:
        Its facts; None where it is new, its file changed, or its backbone is gone.

    Raises:
        HarnessError: There is no such file, or SEED is no seed.
    """
    entry = _cache_entry(checkpoint, workspace, encoder, trust)
    try:
        raw = read_json(entry)
        if raw.pop("version") != CACHE_VERSION:
            return None
        lists = {name: tuple(raw[name]) for name in ("ignored", "warnings", "encoders", "remarks")}
        groups = {name: GroupStatistics(**group) for name, group in raw["statistics"].items()}
        facts = Facts(**{**raw, **lists, "statistics": groups})
        input_convention(facts.input)
        intact = bool(re.fullmatch("[0-9a-f]{64}", facts.digest)) and facts.coverage == coverage_of(tensor_shapes())
    except (HarnessError, KeyError, TypeError, AttributeError):
        return None
    if not intact or not _complete(workspace.backbone(facts.digest)):
        return None
    # Two names may lead to one file: the name is the caller's, the rest the file's.
    return dataclasses.replace(facts, source=_source(checkpoint))


def random_seed(checkpoint: str) -> int | None:
    """The seed in ``random:SEED``; None for the path of a file.

    Raises:
        HarnessError: SEED is no integer from 0 to 2**63 - 1.
    """
    if not checkpoint.startswith(RANDOM):
        return None
    text = checkpoint.removeprefix(RANDOM)
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= 2**63:
        raise HarnessError(
            f"'{printable(text)}' is no seed", f"--ckpt {printable(checkpoint)}", "give an integer, as in random:0"
        )
    return int(text)


def _source(checkpoint: str) -> str:
    seed = random_seed(checkpoint)
    if seed is not None:
        return f"{RANDOM}{seed}"
    return fetch(checkpoint).source if on_hub(checkpoint) else printable(Path(checkpoint).name)


def _path(checkpoint: str) -> Path:
    return fetch(checkpoint).path if on_hub(checkpoint) else Path(checkpoint)


def _cache_entry(checkpoint: str, workspace: Workspace, encoder: str | None, trust: bool) -> Path:
    """Where the facts of a checkpoint are remembered: a name made of the file's place, size, time and inode, of those
    of the ``config.json`` beside it (Hugging Face says there where the stride is), and of how it is to be read.
    """
    seed = random_seed(checkpoint)
    if seed is None:
        path = _path(checkpoint)
        place = os.path.realpath(path)
        status = regular_file(path)
        try:
            # Beside the name that was given: the cache of the hub keeps the files themselves elsewhere.
            beside = path.absolute().with_name("config.json").stat()
            config: Any = [beside.st_size, beside.st_mtime_ns, beside.st_ino]
        except OSError:
            config = None
        identity: Any = [place, status.st_size, status.st_mtime_ns, status.st_ino, config, encoder, trust]
    else:
        refuse_encoder(encoder, printable(checkpoint))
        identity = {"random": seed}
    return workspace.cache / "checkpoints" / f"{sha256_of(identity)}.json"


def _complete(folder: Path) -> bool:
    return (folder / BACKBONE_FILE).is_file() and (folder / FACTS_FILE).is_file()


def _store(facts: Facts, tensors: Mapping[str, torch.Tensor], workspace: Workspace) -> None:
    """Makes the backbone's folder under a temporary name and renames it; whoever is first wins."""
    folder = workspace.backbone(facts.digest)
    if _complete(folder):
        return
    if folder.is_dir():
        _write(folder, facts, tensors)
        return
    make_folder(folder.parent)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        _write(temporary, facts, tensors)
        try:
            temporary.rename(folder)
        except OSError as error:
            if not _complete(folder):
                raise explain_os_error(error, folder) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)


def _write(folder: Path, facts: Facts, tensors: Mapping[str, torch.Tensor]) -> None:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_backbone(folder / BACKBONE_FILE, tensors)
    write_whole(folder / FACTS_FILE, to_json({**dataclasses.asdict(facts), "created": created}))
