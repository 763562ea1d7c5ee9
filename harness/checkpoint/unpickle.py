"""Reads torch files whose pickle names more than torch's own safe list, without running any of it.

mmengine's files carry ``HistoryBuffer`` objects, numpy scalars and ``argparse.Namespace``; torch's ``weights_only``
refuses them. Here every global becomes one of three things: a plain dictionary, a function of this file that makes a
tensor out of bytes, or :class:`Inert`, which takes any call and keeps nothing. Nothing is ever imported by name, so a
hostile pickle has nothing to call.

The two file forms are those of ``torch/serialization.py``: a zip with ``data.pkl`` and one entry a storage, and the
older sequence of pickles followed by the storages.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
"""Element types by the class that torch writes; ``FloatStorage`` is one of ``torch`` or of ``torch.cuda``."""

HARMLESS_MODULES = frozenset(
    {"_codecs", "argparse", "collections", "copy_reg", "copyreg", "datetime", "numpy", "pathlib", "torch"}
    | {"mmcls", "mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg", "mmselfsup"}
)
"""Packages whose names are expected in a checkpoint; any other one is worth a warning."""

HARMLESS_BUILTINS = frozenset(
    {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list", "object"}
    | {"range", "set", "slice", "str", "tuple"}
)


class Entries(dict[Any, Any]):
    """Stands for dictionaries of every kind; a state of its own (``state_dict._metadata``) is dropped."""

    def __setstate__(*_: Any) -> None:
        """Takes any state."""


class Inert:
    """Stands for everything else: any call, state, item or member is taken and forgotten."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Takes any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes any arguments."""

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Takes any arguments; what comes back is as inert."""
        return Inert()

    def _take(*_: Any, **__: Any) -> None:
        """Takes a state, an item or a member. No ``self``: a pickle may give a state to the class itself."""

    __setstate__ = __setitem__ = append = extend = add = _take


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles dictionaries, lists, numbers, text and tensors; nothing else comes to life.

    Args:
        stream: Where the pickle begins.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        """Begins to read."""
        super().__init__(stream, encoding="latin1")
        self.foreign: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        """Gives the stand-in of a global. Bound methods, so that a pickle cannot set attributes on them."""
        if (module, name) == ("collections", "OrderedDict"):
            return Entries
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
            return STORAGES[name]
        if module in ("torch._utils", "torch.tensor", "torch._tensor"):
            builder = {
                "_rebuild_tensor": self.tensor,
                "_rebuild_tensor_v2": self.tensor,
                "_rebuild_parameter": self.parameter,
                "_rebuild_parameter_with_state": self.parameter,
            }.get(name)
            if builder is not None:
                return builder
        if not _harmless(module, name):
            self.foreign.add(f"{module}.{name}")
        return Inert

    def tensor(self, storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
        """A view of a storage; torch refuses one that reaches outside of it."""
        if not isinstance(storage, torch.Tensor):
            raise pickle.UnpicklingError("a tensor without a storage")
        # as_strided counts from the start of the memory, a file from the start of the view.
        return storage.as_strided(tuple(size), tuple(stride), storage.storage_offset() + offset)

    def parameter(self, data: Any, *_: Any) -> Any:
        """A parameter is its tensor."""
        return data


class _ZipUnpickler(RestrictedUnpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self._archive = archive
        self._folder = folder
        self._storages: dict[str, torch.Tensor] = {}

    def persistent_load(self, saved: Any) -> torch.Tensor:
        kind, dtype, key, _location, length = saved
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise pickle.UnpicklingError(f"unknown storage {kind!r}")
        if key not in self._storages:
            data = self._archive.read(f"{self._folder}/data/{key}")
            self._storages[key] = _elements(data, dtype, length)
        return self._storages[key]


class _LegacyUnpickler(RestrictedUnpickler):
    def __init__(self, stream: IO[bytes], size: int) -> None:
        super().__init__(stream)
        self._size = size
        self.storages: dict[str, torch.Tensor] = {}

    def persistent_load(self, saved: Any) -> torch.Tensor | Inert:
        if saved[0] == "module":
            return Inert()
        kind, dtype, key, _location, length, view = saved
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"unknown storage {kind!r}")
        if key not in self.storages:
            if not 0 <= length * dtype.itemsize <= self._size:
                raise EOFError(f"storage {key} is longer than the file")
            self.storages[key] = torch.zeros(length, dtype=dtype)
        if view is None:
            return self.storages[key]
        _view_key, offset, view_length = view
        return self.storages[key].narrow(0, offset, view_length)


def load_zip(path: Path) -> tuple[Any, frozenset[str]]:
    """Reads a torch file of the present form.

    Args:
        path: The file; its zip directory is known to be whole and to hold ``data.pkl``.

    Returns:
        The pickled object, and the globals in it that do not belong in a checkpoint.

    Raises:
        Exception: Of any type, as the file is hostile or damaged; never after running code of the file.
    """
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.partition("/")[2] == "data.pkl")
        folder = pickled.removesuffix("/data.pkl")
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise pickle.UnpicklingError("the file was written on a big-endian machine")
        unpickler = _ZipUnpickler(archive, folder)
        return unpickler.load(), frozenset(unpickler.foreign)


def load_legacy(path: Path) -> tuple[Any, frozenset[str]]:
    """Reads a torch file of the form before torch 1.6. Arguments, results and errors as :func:`load_zip`."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        for _ in ("magic number", "protocol version"):
            RestrictedUnpickler(stream).load()
        system = RestrictedUnpickler(stream).load()
        if not system["little_endian"]:
            raise pickle.UnpicklingError("the file was written on a big-endian machine")
        unpickler = _LegacyUnpickler(stream, size)
        content = unpickler.load()
        for key in RestrictedUnpickler(stream).load():
            storage = unpickler.storages[key]
            (length,) = struct.unpack("<q", _exactly(stream, 8))
            if length != storage.numel():
                raise pickle.UnpicklingError(f"storage {key} holds {length} elements, not {storage.numel()}")
            storage.copy_(_elements(_exactly(stream, length * storage.dtype.itemsize), storage.dtype, length))
        return content, frozenset(unpickler.foreign)


def _harmless(module: str, name: str) -> bool:
    if module in ("builtins", "__builtin__"):
        return name in HARMLESS_BUILTINS
    return module.partition(".")[0] in HARMLESS_MODULES


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError(f"{count - len(data)} bytes are missing at the end of the file")
    return data


def _elements(data: bytes, dtype: torch.dtype, length: int) -> torch.Tensor:
    if not 0 <= length * dtype.itemsize <= len(data):
        raise EOFError(f"a storage of {length} elements has only {len(data)} bytes")
    if length == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype, count=length)
