"""Torch files before torch 1.6: four pickles, a list of keys, and the storages one after another.

``torch/serialization.py``, ``_legacy_save`` and ``_legacy_load``.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from harness.checkpoint.containers.base import Unpacked, exactly, remembering
from harness.checkpoint.pickles.machine import Machine
from harness.checkpoint.pickles.stand_ins import STAND_INS
from harness.checkpoint.pickles.tensors import StorageType
from harness.checkpoint.pickles.values import Inert
from harness.checkpoint.stored import ITEM_BYTES, DamagedError, Storage


def read_torch_legacy(stream: BinaryIO, size: int) -> Unpacked:
    """Reads the pickles and finds where each storage lies.

    Args:
        stream: The file.
        size: Its length in bytes.

    Raises:
        DamagedError: Damaged, cut short, or of a big-endian machine.
    """
    stream.seek(0)
    foreign: set[str] = set()
    storages = _Storages(stream, size)

    def load() -> Any:
        machine = Machine(stream, size, STAND_INS, storages.find)
        found = machine.load()
        foreign.update(machine.foreign)
        return found

    load(), load()  # Magic number and protocol version.
    system = load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise DamagedError("the file was written on a big-endian machine")
    content = load()
    storages.locate(load())
    return Unpacked(content, frozenset(foreign))


class _Storages:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size
        self._found: dict[str, Storage] = {}
        self._offsets: dict[str, int] = {}
        self._load = remembering(self._content)

    def find(self, saved: Any) -> Any:
        """What a persistent id stands for: a storage, or a part of one in files before torch 0.4."""
        if saved[0] == "module":
            return Inert()
        kind, type_, key, _device, length, view = saved
        if kind != "storage" or not isinstance(type_, StorageType) or not isinstance(key, str):
            raise DamagedError("an unknown kind of storage")
        if type(length) is not int or not 0 <= length * ITEM_BYTES[type_.dtype] <= self._size:
            raise DamagedError(f"storage {key} is longer than the file")
        storage = self._found.setdefault(key, Storage(type_.dtype, length, lambda: self._load(key)))
        storage.claimed(type_.dtype, length)
        if view is None:
            return storage
        _view_key, begin, count = view
        if type(begin) is not int or type(count) is not int or not 0 <= begin <= begin + count <= storage.length:
            raise DamagedError(f"a part of storage {key} reaches outside of it")
        item = ITEM_BYTES[storage.dtype]
        return Storage(storage.dtype, count, lambda: storage.load()[begin * item : (begin + count) * item])

    def locate(self, keys: Any) -> None:
        """Notes where each storage begins; they follow the list of their keys."""
        position = self._stream.tell()
        if not isinstance(keys, list):
            raise DamagedError("the list of storages is missing")
        for key in keys:
            storage = self._found[key]
            (length,) = struct.unpack("<q", exactly(self._stream, position, 8))
            if length != storage.length:
                raise DamagedError(f"storage {key} holds {length} elements, not {storage.length}")
            self._offsets[key] = position + 8
            position += 8 + length * ITEM_BYTES[storage.dtype]
        if position > self._size:
            raise DamagedError(f"{position - self._size} bytes are missing at the end of the file")

    def _content(self, key: str) -> bytes:
        storage = self._found[key]
        if key not in self._offsets:
            raise DamagedError(f"storage {key} is missing")
        return exactly(self._stream, self._offsets[key], storage.length * ITEM_BYTES[storage.dtype])
