"""Torch files since torch 1.6: a zip with ``data.pkl`` and one entry a storage (``torch/serialization.py``)."""

from __future__ import annotations

import io
from typing import Any

from harness.checkpoint.containers.archive import Archive
from harness.checkpoint.containers.base import Unpacked, remembering
from harness.checkpoint.pickles.machine import Machine
from harness.checkpoint.pickles.stand_ins import STAND_INS
from harness.checkpoint.pickles.tensors import StorageType
from harness.checkpoint.stored import ITEM_BYTES, DamagedError, Storage

PICKLE = "data.pkl"


def read_torch_zip(archive: Archive) -> Unpacked:
    """Reads the pickle; the storages stay in the archive.

    Args:
        archive: One of its entries is ``FOLDER/data.pkl``.

    Raises:
        DamagedError: Damaged, built to deceive, or of a big-endian machine.
    """
    pickled = [name for name in archive.names if name.partition("/")[2] == PICKLE]
    if len(pickled) != 1:
        raise DamagedError(f"it holds {len(pickled)} entries called {PICKLE}")
    folder = pickled[0].removesuffix(f"/{PICKLE}")
    order = f"{folder}/byteorder"
    if order in archive.names and archive.read(order) != b"little":
        raise DamagedError("the file was written on a big-endian machine")
    content = remembering(archive.read)
    storages: dict[str, Storage] = {}

    def persistent(saved: Any) -> Storage:
        kind, type_, key, _device, length = saved
        if kind != "storage" or not isinstance(type_, StorageType) or type(length) is not int or length < 0:
            raise DamagedError("an unknown kind of storage")
        name = f"{folder}/data/{key}"
        if name not in storages:
            if archive.size_of(name) < length * ITEM_BYTES[type_.dtype]:
                raise DamagedError(f"storage {name} has fewer than {length} elements")
            storages[name] = Storage(type_.dtype, length, lambda: content(name))
        return storages[name].claimed(type_.dtype, length)

    pickle = archive.read(pickled[0])
    machine = Machine(io.BytesIO(pickle), len(pickle), STAND_INS, persistent)
    found = machine.load()
    return Unpacked(found, frozenset(machine.foreign))
