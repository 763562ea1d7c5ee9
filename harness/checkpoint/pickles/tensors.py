"""Tensors and arrays in pickles: what torch's and numpy's rebuilding functions are called with, as stored tensors.

Sources: ``torch/_utils.py`` and ``torch/_tensor.py`` (``_rebuild_*``), ``numpy/_core/src/multiarray/methods.c``
(``array_reduce``, the state of an array), ``numpy/_core/numeric.py`` (``_frombuffer``), ``jax/_src/array.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.checkpoint.pickles.values import Global, Inert, Stateful
from harness.checkpoint.stored import ITEM_BYTES, DamagedError, OddTensor, Storage, StoredTensor, Weight, dense

if TYPE_CHECKING:
    import torch


class StorageType(Global):
    """A class of torch's storages.

    Args:
        name: ``module.name``.
        dtype: Type of its elements.
    """

    def __init__(self, name: str, dtype: str) -> None:
        super().__init__(name)
        self.dtype = dtype


STORAGE_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
}
"""Type of the elements by the class that torch writes, one of ``torch``, ``torch.cuda`` or ``torch.storage``."""

_NUMPY_TYPES = {
    "f8": "float64",
    "f4": "float32",
    "f2": "float16",
    "i8": "int64",
    "i4": "int32",
    "i2": "int16",
    "i1": "int8",
    "u8": "uint64",
    "u4": "uint32",
    "u2": "uint16",
    "u1": "uint8",
    "b1": "bool",
    "c8": "complex64",
    "c16": "complex128",
}


class ElementType(Stateful):
    """A ``numpy.dtype`` under construction.

    Args:
        code: As ``f4``.
    """

    def __init__(self, code: str) -> None:
        self.name = _NUMPY_TYPES.get(code.lstrip("<>=|"), "bfloat16" if code == "bfloat16" else "object")
        self.big_endian = code.startswith(">")

    def set_state(self, state: Any) -> None:
        """Takes the byte order."""
        self.big_endian = state[1] == ">"


class Array(Weight, Stateful):
    """A ``numpy.ndarray``, empty until its state arrives."""

    def __init__(self) -> None:
        self._found: Weight = OddTensor("an array without a state")

    def set_state(self, state: Any) -> None:
        """Takes version, shape, type of the elements, whether the first index runs fastest, and the bytes."""
        shape, kind, column_major, data = state[-4:]
        self._found = array(data, kind, shape, bool(column_major))

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Weight`."""
        return self._found.shape

    @property
    def dtype(self) -> str:
        """See :class:`Weight`."""
        return self._found.dtype

    def permute(self, *order: int) -> Weight:
        """See :class:`Weight`."""
        return self._found.permute(*order)

    def squeeze(self) -> Weight:
        """See :class:`Weight`."""
        return self._found.squeeze()

    def read(self) -> torch.Tensor:
        """See :class:`Weight`."""
        return self._found.read()


def array(data: Any, kind: Any, shape: Any, column_major: bool) -> Weight:
    """An array out of the bytes of its elements.

    Args:
        data: The bytes; text where Python 2 wrote them.
        kind: Type of the elements.
        shape: Its shape.
        column_major: Whether the first index runs fastest.

    Raises:
        DamagedError: The bytes are not as many as the shape says.
    """
    if not isinstance(kind, ElementType) or not isinstance(shape, tuple):
        raise DamagedError("an array without a shape or without a type of its elements")
    if kind.name not in ITEM_BYTES or not isinstance(data, str | bytes):
        return OddTensor(kind.name if kind.name not in ITEM_BYTES else "an array without bytes")
    content = data.encode("latin1") if isinstance(data, str) else data
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DamagedError("the shape of an array is no tuple of whole numbers")
    length = math.prod(shape)
    if length * ITEM_BYTES[kind.name] != len(content):
        raise DamagedError(f"an array of shape {list(shape)} has {len(content)} bytes")
    return dense(Storage(kind.name, length, lambda: content, kind.big_endian), shape, column_major)


def _array_of_buffer(data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> Weight:
    found = array(data, kind, shape, order == "F")
    return found if axes is None else found.permute(*axes)


def _element_type(code: Any, *_: Any) -> Any:
    if isinstance(code, Global):
        code = code.name.rpartition(".")[2]
    return ElementType(code) if isinstance(code, str) else Inert()


def _jax_array(function: Any, arguments: Any, state: Any, *_: Any) -> Any:
    made = function.call(*arguments)
    made.set_state(state)
    return made


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Weight:
    if isinstance(storage, OddTensor):
        return storage
    if not isinstance(storage, Storage):
        raise DamagedError("a tensor without a storage")
    return StoredTensor(storage, tuple(shape), tuple(strides), offset)


def _tensor_of_view(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Weight:
    # torch has no storage class for these types, which are also none of a weight's.
    return OddTensor("of a type that has no storage class", tuple(shape))


def _first(value: Any, *_: Any) -> Any:
    return value


def _rebuilt(function: Any, _kind: Any, arguments: Any, *_: Any) -> Any:
    return function.call(*arguments) if isinstance(function, Global) and function.call else Inert()


def _odd(kind: str) -> Callable[..., OddTensor]:
    return lambda *_: OddTensor(kind)


def _shape(sizes: Any = ()) -> Any:
    return tuple(sizes)


_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

CALLS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_view,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_numpy": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_xla_tensor": _first,
    "torch._utils._rebuild_qtensor": _odd("quantised"),
    "torch._utils._rebuild_sparse_tensor": _odd("sparse"),
    "torch._utils._rebuild_sparse_csr_tensor": _odd("sparse"),
    "torch._utils._rebuild_nested_tensor": _odd("nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _odd("without values (device meta)"),
    "torch._utils._rebuild_wrapper_subclass": _odd("of a class of its own"),
    "torch._tensor._rebuild_from_type": _rebuilt,
    "torch._tensor._rebuild_from_type_v2": _rebuilt,
    "torch.tensor._rebuild_from_type": _rebuilt,
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.parameter.Buffer": _first,
    "torch.Size": _shape,
    "numpy.dtype": _element_type,
    **{f"{module}._reconstruct": lambda *_: Array() for module in _NUMPY_MODULES},
    **{f"{module}.scalar": lambda *_: Inert() for module in _NUMPY_MODULES},
    "numpy.core.numeric._frombuffer": _array_of_buffer,
    "numpy._core.numeric._frombuffer": _array_of_buffer,
    "jax._src.array._reconstruct_array": _jax_array,
    "jax._src.device_array.reconstruct_device_array": _jax_array,
}
"""Functions that make tensors, by the name under which a pickle calls them."""
