"""The only place that opens a user's checkpoint. Nothing in the file is ever run.

torch files are read with ``torch.load(weights_only=True)``. Where that refuses, because of globals that are not on
torch's list, :mod:`harness.checkpoint.unpickle` reads the tensors and replaces everything else by something inert. So
a hostile pickle beside the weights is read safely, and named in a warning; one in place of a weight is a missing
weight, and intake refuses the file.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.checkpoint.signature import container, printable, regular_file
from results.errors import HarnessError

_DAMAGED = "download or save the file again and compare its size with the publisher's"


@dataclasses.dataclass(frozen=True)
class CheckpointFile:
    """What a file holds, before any publisher's layout is recognised.

    Args:
        content: The outermost mapping; tensors are on the CPU and may be backed by the file.
        container: ``zip``, ``legacy`` or ``safetensors``.
        metadata: Text that a safetensors file carries.
        warnings: What the user should know, one sentence each.
    """

    content: Mapping[Any, Any]
    container: str
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> CheckpointFile:
    """Reads a checkpoint safely.

    Args:
        path: A torch file of either form, or safetensors; told by content, not by name.

    Returns:
        Its content.

    Raises:
        HarnessError: Missing, not readable, empty, cut short, damaged, or no checkpoint at all.
    """
    regular_file(path)
    kind = container(path)
    try:
        if kind == "safetensors":
            return _read_safetensors(path)
        content, foreign = _read_torch(path, kind)
    except HarnessError:
        raise
    # A damaged or hostile file can raise anything: struct.error, KeyError, RuntimeError, MemoryError...
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = printable(lines[0])[:200] if lines else type(error).__name__
        raise HarnessError(f"the checkpoint is cut short or damaged: {reason}", printable(path), _DAMAGED) from error
    if not isinstance(content, Mapping):
        raise HarnessError(
            f"the checkpoint holds no mapping of names to tensors but {_kind_of(content)}",
            printable(path),
            "save its state_dict: torch.save(model.state_dict(), PATH)",
        )
    found: tuple[str, ...] = ()
    if foreign:
        names = ", ".join(printable(name) for name in sorted(foreign)[:5])
        found = (f"the file names code that has no place in a checkpoint ({names}); none of it was run",)
    return CheckpointFile(content, kind, warnings=found)


def _read_torch(path: Path, kind: str) -> tuple[Any, frozenset[str]]:
    import torch

    from harness.checkpoint.unpickle import load_legacy, load_zip

    mapped = kind == "zip" and _check_entries(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # torch maps only by path, takes every *.safetensors for one, and cannot open names that are no UTF-8.
            if mapped and path.suffix != ".safetensors" and printable(path) == str(path):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True), frozenset()
            with path.open("rb") as stream:
                return torch.load(stream, map_location="cpu", weights_only=True), frozenset()
    except pickle.UnpicklingError:
        return load_zip(path) if kind == "zip" else load_legacy(path)


def _check_entries(path: Path) -> bool:
    """Compares every entry of a zip with its checksum, which torch does not, and says whether it can be mapped.

    A file saved under ``torch.serialization.set_crc32_options(False)`` has zeros for checksums and goes unchecked.
    """
    stored = True
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            stored &= entry.compress_type == zipfile.ZIP_STORED
            if entry.CRC == 0:
                continue
            try:
                with archive.open(entry) as stream:
                    while stream.read(2**20):
                        pass
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise HarnessError(
                    f"the checkpoint is damaged: entry {printable(entry.filename)} does not match its checksum",
                    printable(path),
                    _DAMAGED,
                ) from error
    return stored


def _read_safetensors(path: Path) -> CheckpointFile:
    from safetensors.torch import load

    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.get("__metadata__") or {}
    return CheckpointFile(load(data), "safetensors", {str(name): str(text) for name, text in metadata.items()})


def _kind_of(content: object) -> str:
    import torch

    from harness.checkpoint.unpickle import Inert

    if isinstance(content, Inert):
        return "a pickled object"
    if isinstance(content, torch.Tensor):
        return f"a single tensor of shape {list(content.shape)}"
    return f"a {type(content).__name__}"
