"""Pickles put together opcode by opcode, inside files that are otherwise what torch, Python and numpy write."""

from __future__ import annotations

import io
import itertools
import pickle
import pickletools
import struct
import tarfile
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

Tensors = Mapping[str, torch.Tensor]

NONE = b"N"
EMPTY_LIST = b"]"
EMPTY_DICT = b"}"
PERSISTENT = b"Q"
DISCARD = b"0"
FOURTH_PROTOCOL = b"\x80\x04"
"""In the middle of a pickle it switches dotted names on."""


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data if len(data) < 256 else b"\x8b" + struct.pack("<i", len(data)) + data


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def dotted(module: str, name: str) -> bytes:
    return FOURTH_PROTOCOL + text(module) + text(name) + b"\x93"


def several(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def listed(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def entry(key: bytes, value: bytes) -> bytes:
    return b"}" + key + value + b"s"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + several(*arguments) + b"R"


def build(target: bytes, state: bytes) -> bytes:
    return target + state + b"b"


class Raw:
    """Stands in a pickle for opcodes that leave one value on the stack."""

    def __init__(self, opcodes: bytes) -> None:
        self.opcodes = opcodes


_Pickler: Any = pickle._Pickler


class Assembler(_Pickler):  # type: ignore[misc]
    """Python's own pickler; writes the opcodes of every :class:`Raw` as they are."""

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Raw):
            self.write(value.opcodes)
        else:
            super().save(value, save_persistent_id)


def assemble(content: object, protocol: int) -> bytes:
    stream = io.BytesIO()
    Assembler(stream, protocol=protocol).dump(content)
    return stream.getvalue()


def _dump(content: object, stream: IO[bytes], protocol: int) -> None:
    stream.write(assemble(content, protocol))


_MODULE: Any = types.ModuleType("assembler")
_MODULE.Pickler, _MODULE.dump = Assembler, _dump


def mmpretrain(tensors: Mapping[str, Any], meta: object) -> dict[str, Any]:
    """A checkpoint in OpenMMLab's layout."""
    return {"meta": meta, "state_dict": {f"backbone.{name}": value for name, value in tensors.items()}}


def save_torch(path: Path, content: object, zipped: bool = True) -> Path:
    torch.save(content, path, pickle_module=_MODULE, _use_new_zipfile_serialization=zipped)
    return path


def rezipped(
    path: Path, changed: Mapping[str, bytes], method: int = zipfile.ZIP_STORED, names: Callable[[str], str] = str
) -> Path:
    """The zip with the entries replaced whose names end so, and with right checksums."""
    with zipfile.ZipFile(path) as source:
        entries = {entry.filename: source.read(entry) for entry in source.infolist()}
    with zipfile.ZipFile(path, "w", method) as target:
        for name, data in entries.items():
            target.writestr(names(name), changed.get(name.partition("/")[2], data))
    return path


def legacy_parts(path: Path) -> tuple[list[bytes], bytes]:
    """The five pickles of a file of torch's older form, and the storages behind them."""
    data = path.read_bytes()
    stream = io.BytesIO(data)
    ends = [0]
    for _ in range(5):
        assert list(pickletools.genops(stream))[-1][0].name == "STOP"
        ends.append(stream.tell())
    return [data[start:end] for start, end in itertools.pairwise(ends)], data[ends[-1] :]


def write_legacy_header(path: Path, part: int, tensors: Tensors, meta: object) -> None:
    """torch's older form; ``meta`` (:class:`Raw`) is read and dropped in one of its small pickles."""
    assert isinstance(meta, Raw)
    save_torch(path, mmpretrain(tensors, None), zipped=False)
    parts, storages = legacy_parts(path)
    parts[part] = parts[part][:-1] + meta.opcodes + DISCARD + b"."
    path.write_bytes(b"".join(parts) + storages)


def arrays(tensors: Tensors) -> dict[str, np.ndarray[Any, Any]]:
    return {name: value.numpy() for name, value in tensors.items()}


def npy(value: object, header: str | None = None) -> bytes:
    """A ``.npy``; of an object array where ``value`` is a :class:`Raw`."""
    stream = io.BytesIO()
    if isinstance(value, np.ndarray) and value.dtype != object:
        np.lib.format.write_array(stream, value)  # type: ignore[no-untyped-call]
        return stream.getvalue()
    header = header or "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n")
    if isinstance(value, bytes):
        stream.write(value)
    else:
        objects = np.empty(1, dtype=object)
        objects[0] = value
        stream.write(assemble(objects, 4))
    return stream.getvalue()


def write_npz(path: Path, tensors: Tensors, **more: bytes) -> Path:
    """An .npz of torchvision's names; ``more`` are entries beside them, in the classifier, which is dropped."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in arrays(tensors).items():
            archive.writestr(f"{name}.npy", npy(value))
        for name, data in more.items():
            archive.writestr(f"fc.{name}.npy", data)
    return path


def tar_of(path: Path, members: Mapping[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            information = tarfile.TarInfo(name)
            information.size = len(data)
            archive.addfile(information, io.BytesIO(data))
        for information in special:
            archive.addfile(information)
    return path


def _write_tar(path: Path, tensors: Tensors, meta: object) -> None:
    inner = save_torch(path.with_suffix(".inner"), mmpretrain(tensors, meta))
    tar_of(path, {"checkpoint.pth": inner.read_bytes()})
    inner.unlink()


def _write_pickle(protocol: int) -> Callable[[Path, Tensors, object], object]:
    def write(path: Path, tensors: Tensors, meta: object) -> None:
        path.write_bytes(assemble(mmpretrain(arrays(tensors), meta), protocol))

    return write


CONTAINERS: Mapping[str, Callable[[Path, Tensors, object], object]] = {
    "zip": lambda path, tensors, meta: save_torch(path, mmpretrain(tensors, meta)),
    "legacy": lambda path, tensors, meta: save_torch(path, mmpretrain(tensors, meta), zipped=False),
    "legacy-magic": lambda path, tensors, meta: write_legacy_header(path, 0, tensors, meta),
    "legacy-version": lambda path, tensors, meta: write_legacy_header(path, 1, tensors, meta),
    "legacy-system": lambda path, tensors, meta: write_legacy_header(path, 2, tensors, meta),
    "legacy-keys": lambda path, tensors, meta: write_legacy_header(path, 4, tensors, meta),
    "pickle-0": _write_pickle(0),
    "pickle-2": _write_pickle(2),
    "pickle-4": _write_pickle(4),
    "pickle-5": _write_pickle(5),
    "tar": _write_tar,
    "npz": lambda path, tensors, meta: write_npz(path, tensors, trap=npy(meta)),
}
"""Writes a whole backbone and, beside it, ``meta``."""


def load_unrestricted(path: Path, container: str) -> object:
    """Loads a file the way that runs whatever it names."""
    if container.startswith("pickle"):
        with path.open("rb") as stream:
            return pickle.load(stream, encoding="latin1")
    if container == "npz":
        with np.load(path, allow_pickle=True) as archive:
            return archive["fc.trap"]
    if container == "tar":
        with tarfile.open(path) as archive:
            member = archive.extractfile("checkpoint.pth")
            assert member is not None
            return torch.load(io.BytesIO(member.read()), weights_only=False)
    return torch.load(path, weights_only=False)
