"""The only place that opens a user's checkpoint. Nothing in the file is ever run.

Pickles are interpreted by :mod:`harness.checkpoint.pickles.machine`, which calls nothing that a file names; torch's and
numpy's own loaders are not used. A file that names more than plain types is refused, since elsewhere it would run code;
``trust`` reads its tensors all the same, and still runs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from harness.checkpoint.containers.archive import Archive
from harness.checkpoint.containers.base import Unpacked
from harness.checkpoint.containers.npz import read_npz
from harness.checkpoint.containers.plain_pickle import read_pickle
from harness.checkpoint.containers.safetensors import read_safetensors
from harness.checkpoint.containers.tar import open_tar
from harness.checkpoint.containers.torch_legacy import read_torch_legacy
from harness.checkpoint.containers.torch_zip import read_torch_zip
from harness.checkpoint.pickles.values import Inert, listed
from harness.checkpoint.signature import HEAD_BYTES, container, printable, regular_file, zip_kind
from harness.checkpoint.stored import Weight
from results.errors import HarnessError

DAMAGED = "download or save the file again and compare its size with the publisher's"


@dataclasses.dataclass(frozen=True)
class CheckpointFile:
    """What a file holds, before any publisher's layout is recognised. A context: the tensors' values are read from it.

    Args:
        content: The outermost mapping; tensors in it are :class:`harness.checkpoint.stored.Weight`.
        container: ``zip``, ``npz``, ``legacy``, ``safetensors`` or ``pickle``, in a tar or not.
        metadata: Text that a safetensors file carries.
        foreign: What its pickles name that is no plain type; empty unless the file is trusted.
        path: The file; None where the content was made in memory.
        stream: Where the tensors' values are read from.
    """

    content: Mapping[Any, Any]
    container: str
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    path: Path | None = None
    stream: BinaryIO | None = None

    def __enter__(self) -> CheckpointFile:
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the file; tensors that were not read by then cannot be read any more."""
        if self.stream is not None:
            self.stream.close()


def read_checkpoint(path: Path, trust: bool = False) -> CheckpointFile:
    """Reads all of a checkpoint but the values of its tensors.

    Args:
        path: A torch file of either form, safetensors, npz, a pickle of arrays, or a tar with one of them; told by
            content, not by name.
        trust: Whether a file that names more than plain types is read.

    Returns:
        Its content.

    Raises:
        HarnessError: Missing, not readable, empty, cut short, damaged, built to deceive, no checkpoint at all, or one
            that would call functions.
    """
    regular_file(path)
    where = printable(path)
    stream = path.open("rb")
    size = os.fstat(stream.fileno()).st_size
    try:
        with refusing_damage(where):
            kind, unpacked = _unpack(stream, size, where)
        if unpacked.foreign and not trust:
            raise _foreign(unpacked.foreign, where)
        if not isinstance(unpacked.content, Mapping):
            raise HarnessError(
                f"the checkpoint holds no mapping of names to tensors but {_kind_of(unpacked.content)}",
                where,
                "save its state_dict: torch.save(model.state_dict(), PATH)",
            )
    except BaseException:
        stream.close()
        raise
    return CheckpointFile(
        unpacked.content, kind, unpacked.metadata, tuple(sorted(unpacked.foreign)), path.absolute(), stream
    )


@contextlib.contextmanager
def refusing_damage(where: str) -> Iterator[None]:
    """Turns whatever a damaged or hostile file raises into a refusal.

    Args:
        where: The file, for messages.

    Raises:
        HarnessError: In place of any other exception.
    """
    try:
        yield
    except HarnessError:
        raise
    # A damaged file raises anything: struct.error, KeyError, RecursionError, MemoryError...
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = printable(lines[0])[:200] if lines else type(error).__name__
        raise HarnessError(f"the checkpoint is cut short or damaged: {reason}", where, DAMAGED) from error


def _unpack(stream: BinaryIO, size: int, where: str) -> tuple[str, Unpacked]:
    stream.seek(0)
    kind = container(stream.read(HEAD_BYTES), size, where)
    if kind == "tar":
        stream, size = open_tar(stream, size)
        stream.seek(0)
        kind = container(stream.read(HEAD_BYTES), size, where)
    if kind == "zip":
        archive = Archive(stream, size)
        if zip_kind(archive.names, where) == "npz":
            return "npz", read_npz(archive)
        return kind, read_torch_zip(archive)
    if kind == "legacy":
        return kind, read_torch_legacy(stream, size)
    if kind == "safetensors":
        return kind, read_safetensors(stream, size)
    if kind == "pickle":
        return kind, read_pickle(stream, size)
    raise HarnessError(f"a {kind} inside a tar is not read", where, "unpack it and give the checkpoint in it")


def _foreign(foreign: frozenset[str], where: str) -> HarnessError:
    return HarnessError(
        f"the checkpoint wants to call what no checkpoint needs: {listed(foreign)}; nothing was run",
        where,
        "if you know who made it, add --trust: its tensors are read, and none of that is run",
    )


def _kind_of(content: object) -> str:
    if isinstance(content, Inert):
        return "a pickled object"
    if isinstance(content, Weight):
        return f"a single tensor of shape {list(content.shape)}"
    return f"a {type(content).__name__}"
