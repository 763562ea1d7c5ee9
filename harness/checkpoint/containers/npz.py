"""numpy's ``.npz``: a zip of ``.npy`` arrays (``numpy/lib/_format_impl.py``)."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

from harness.checkpoint.containers.archive import Archive
from harness.checkpoint.containers.base import Unpacked, remembering
from harness.checkpoint.pickles.machine import Machine
from harness.checkpoint.pickles.stand_ins import STAND_INS
from harness.checkpoint.signature import printable
from harness.checkpoint.stored import ITEM_BYTES, DamagedError, OddTensor, Storage, Weight, dense

SUFFIX = ".npy"
HEADER_BYTES = 65536
"""Longest header that is read: one describes a type and a shape."""


def read_npz(archive: Archive) -> Unpacked:
    """Reads the header of every array; the values stay in the archive.

    Args:
        archive: All its entries end with ``.npy``.

    Raises:
        DamagedError: A header is damaged, or an entry is not as long as its header says.
    """
    load = remembering(archive.read)
    foreign: set[str] = set()
    content = {name.removesuffix(SUFFIX): _array(archive, name, load, foreign) for name in archive.names}
    return Unpacked(content, frozenset(foreign))


def _array(archive: Archive, name: str, load: Callable[[str], bytes], foreign: set[str]) -> Weight:
    from numpy.lib import format as untyped

    numpy_format: Any = untyped
    stream = io.BytesIO(archive.head(name, HEADER_BYTES))
    version = numpy_format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DamagedError(f"array {printable(name)} has a header of version {version}")
    read = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
    shape, column_major, dtype = read(stream)
    begin = stream.tell()
    if dtype.hasobject:
        # Its values are a pickle. A weight is none of them, but numpy would run what it names.
        pickle = load(name)[begin:]
        machine = Machine(io.BytesIO(pickle), len(pickle), STAND_INS)
        machine.load()
        foreign.update(machine.foreign)
    if dtype.name not in ITEM_BYTES:
        return OddTensor(dtype.name, shape)
    length = math.prod(shape)
    if length < 0 or archive.size_of(name) - begin != length * dtype.itemsize:
        raise DamagedError(f"array {printable(name)} has {archive.size_of(name) - begin} bytes for shape {list(shape)}")
    storage = Storage(dtype.name, length, lambda: memoryview(load(name))[begin:], dtype.str.startswith(">"))
    return dense(storage, shape, column_major)
