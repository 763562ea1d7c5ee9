"""What every container gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar

from harness.checkpoint.stored import DamagedError

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Unpacked:
    """What a container holds.

    Args:
        content: The outermost object; tensors in it are :class:`harness.checkpoint.stored.Weight`.
        foreign: Globals of its pickles that are not on the allow-list.
        metadata: Text beside the tensors.
    """

    content: Any
    foreign: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


def exactly(stream: BinaryIO, offset: int, count: int) -> bytes:
    """Reads bytes at a place.

    Raises:
        DamagedError: The file ends before.
    """
    stream.seek(offset)
    data = stream.read(count)
    if len(data) != count:
        raise DamagedError(f"{count - len(data)} bytes are missing at the end of the file")
    return data


def remembering(load: Callable[[Key], Value]) -> Callable[[Key], Value]:
    """Keeps the last thing that was loaded: many tensors may be views of one storage, and memory must stay small."""
    last: list[tuple[Key, Value]] = []

    def remembered(key: Key) -> Value:
        if not last or last[0][0] != key:
            last.clear()
            last.append((key, load(key)))
        return last[0][1]

    return remembered
