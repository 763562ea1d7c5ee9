"""A tensor as it lies in a file: its shape and type are known, its values are read when they are asked for.

So a layout is recognised and a wrong shape refused before memory is taken, and a file of many gigabytes (optimiser,
momentum copies, queues) costs no more than the backbone in it.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ITEM_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint64": 8,
    "uint32": 4,
    "uint16": 2,
    "uint8": 1,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
}
"""Bytes of an element, by torch's name of its type."""

MOST_DIMENSIONS = 16
"""No weight has more; a hostile file may claim thousands."""


class DamagedError(Exception):
    """The file contradicts itself or its form; the text says how."""


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """A run of elements in a file.

    Args:
        dtype: Key of :data:`ITEM_BYTES`.
        length: In elements.
        load: Gives at least ``length`` elements' bytes; raises :class:`DamagedError` where the file does not hold them.
        big_endian: Whether the most significant byte comes first.
    """

    dtype: str
    length: int
    load: Callable[[], bytes | memoryview]
    big_endian: bool = False

    def claimed(self, dtype: str, length: int) -> Storage:
        """The storage itself, where a second mention of it agrees with the first.

        Raises:
            DamagedError: It does not.
        """
        if (dtype, length) != (self.dtype, self.length):
            raise DamagedError(f"a storage is mentioned as {self.length} {self.dtype} and as {length} {dtype}")
        return self


class Weight(ABC):
    """What stands under a name where a tensor belongs."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    @abstractmethod
    def dtype(self) -> str:
        """Key of :data:`ITEM_BYTES`, or what else it is: ``quantised``, ``sparse``, ``object``..."""

    @abstractmethod
    def permute(self, *order: int) -> Weight:
        """The same values with the dimensions in another order, as ``torch.Tensor.permute``."""

    @abstractmethod
    def squeeze(self) -> Weight:
        """The same values without the dimensions of size 1."""

    @abstractmethod
    def read(self) -> torch.Tensor:
        """Reads the values.

        Returns:
            A contiguous tensor of :attr:`shape` in memory of its own.

        Raises:
            DamagedError: The file does not hold them.
        """


class StoredTensor(Weight):
    """A view of a storage.

    Args:
        storage: Where its values lie.
        shape: Its shape.
        strides: Elements from one index to the next, for each dimension.
        offset: Elements before the first one.

    Raises:
        DamagedError: The view does not fit into its storage.
    """

    def __init__(self, storage: Storage, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> None:
        if not all(type(number) is int and number >= 0 for number in (*shape, *strides, offset)):
            raise DamagedError("a tensor's shape, strides or offset is no whole number")
        if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
            raise DamagedError(f"a tensor has {len(shape)} dimensions and {len(strides)} strides")
        if 0 not in shape:
            last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
            if last >= storage.length:
                raise DamagedError(f"a tensor of shape {list(shape)} reaches outside of its storage")
        self._storage, self._shape, self._strides, self._offset = storage, shape, strides, offset

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Weight`."""
        return self._shape

    @property
    def dtype(self) -> str:
        """Key of :data:`ITEM_BYTES`."""
        return self._storage.dtype

    def permute(self, *order: int) -> StoredTensor:
        """See :class:`Weight`."""
        shape = tuple(self._shape[index] for index in order)
        return StoredTensor(self._storage, shape, tuple(self._strides[index] for index in order), self._offset)

    def squeeze(self) -> StoredTensor:
        """See :class:`Weight`."""
        kept = [index for index, size in enumerate(self._shape) if size != 1]
        shape, strides = tuple(self._shape[index] for index in kept), tuple(self._strides[index] for index in kept)
        return StoredTensor(self._storage, shape, strides, self._offset)

    def read(self) -> torch.Tensor:
        """See :class:`Weight`."""
        import numpy as np
        import torch

        storage = self._storage
        data = storage.load()
        size = ITEM_BYTES[storage.dtype]
        if storage.length * size > len(data):
            raise DamagedError(f"a storage of {storage.length} elements has only {len(data)} bytes")
        # numpy has no bfloat16; its bits travel as those of an integer.
        kind = np.dtype("int16" if storage.dtype == "bfloat16" else storage.dtype)
        kind = kind.newbyteorder(">" if storage.big_endian else "<")
        begin = min(self._offset, storage.length)
        elements = np.frombuffer(data, kind, storage.length - begin, begin * size)
        strides = tuple(stride * size for stride in self._strides)
        view = np.lib.stride_tricks.as_strided(elements, self._shape, strides, writeable=False)
        tensor = torch.from_numpy(np.array(view, kind.newbyteorder("="), order="C"))
        return tensor.view(torch.bfloat16) if storage.dtype == "bfloat16" else tensor


class InMemory(Weight):
    """A tensor that is in memory already.

    Args:
        tensor: Of any type and layout.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Weight`."""
        return tuple(self._tensor.shape)

    @property
    def dtype(self) -> str:
        """See :class:`Weight`."""
        kind = self._tensor.dtype if str(self._tensor.layout) == "torch.strided" else self._tensor.layout
        return str(kind).removeprefix("torch.")

    def permute(self, *order: int) -> InMemory:
        """See :class:`Weight`."""
        return InMemory(self._tensor.permute(*order))

    def squeeze(self) -> InMemory:
        """See :class:`Weight`."""
        return InMemory(self._tensor.squeeze())

    def read(self) -> torch.Tensor:
        """See :class:`Weight`."""
        return self._tensor.detach().clone().contiguous()


class Reversed(Weight):
    """A tensor with one dimension in reverse order, as ``torch.Tensor.flip``.

    Args:
        weight: The tensor.
        dimension: Which.
    """

    def __init__(self, weight: Weight, dimension: int) -> None:
        self._weight, self._dimension = weight, dimension

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Weight`."""
        return self._weight.shape

    @property
    def dtype(self) -> str:
        """See :class:`Weight`."""
        return self._weight.dtype

    def permute(self, *order: int) -> Reversed:
        """See :class:`Weight`."""
        return Reversed(self._weight.permute(*order), order.index(self._dimension))

    def squeeze(self) -> Reversed:
        """See :class:`Weight`."""
        before = sum(size != 1 for size in self.shape[: self._dimension])
        return Reversed(self._weight.squeeze(), before)

    def read(self) -> torch.Tensor:
        """See :class:`Weight`."""
        return self._weight.read().flip(self._dimension)


class OddTensor(Weight):
    """A tensor of a kind that no backbone is made of.

    Args:
        kind: ``quantised``, ``sparse``, ``object``, or the name of an element type.
        shape: Where it is known.
    """

    def __init__(self, kind: str, shape: tuple[int, ...] = ()) -> None:
        self._kind, self._shape = kind, shape

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Weight`."""
        return self._shape

    @property
    def dtype(self) -> str:
        """See :class:`Weight`."""
        return self._kind

    def permute(self, *_: int) -> OddTensor:
        """See :class:`Weight`."""
        return self

    def squeeze(self) -> OddTensor:
        """See :class:`Weight`."""
        return self

    def read(self) -> torch.Tensor:
        """See :class:`Weight`."""
        raise DamagedError(f"the values of a tensor that is {self._kind} cannot be read")


def dense(storage: Storage, shape: tuple[int, ...], column_major: bool = False) -> StoredTensor:
    """A tensor that fills its storage without gaps.

    Args:
        storage: Where its values lie.
        shape: Its shape.
        column_major: Whether the first index runs fastest.
    """
    strides = [1] * len(shape)
    order = range(1, len(shape)) if column_major else range(len(shape) - 2, -1, -1)
    for index in order:
        neighbour = index - 1 if column_major else index + 1
        strides[index] = strides[neighbour] * shape[neighbour]
    return StoredTensor(storage, shape, tuple(strides))
