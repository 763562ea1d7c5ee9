"""safetensors: a JSON header, then the bytes of the tensors (github.com/huggingface/safetensors, README, "Format")."""

from __future__ import annotations

import json
import math
from typing import Any, BinaryIO

from harness.checkpoint.containers.base import Unpacked, exactly, remembering
from harness.checkpoint.signature import printable
from harness.checkpoint.stored import ITEM_BYTES, DamagedError, OddTensor, Storage, Weight, dense

LONGEST_HEADER = 100_000_000
"""In bytes; the format's own limit."""

_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


def read_safetensors(stream: BinaryIO, size: int) -> Unpacked:
    """Reads the header; the values stay in the file.

    Args:
        stream: The file.
        size: Its length in bytes.

    Raises:
        DamagedError: The header is damaged or contradicts the file.
    """
    length = int.from_bytes(exactly(stream, 0, 8), "little")
    if length > min(LONGEST_HEADER, size - 8):
        raise DamagedError(f"a header of {length} bytes in a file of {size}")
    header = json.loads(exactly(stream, 8, length), object_pairs_hook=_without_repeats)
    if not isinstance(header, dict):
        raise DamagedError("the header is no mapping")
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise DamagedError("the metadata is no mapping")
    begin = 8 + length

    def read(place: tuple[int, int]) -> bytes:
        return exactly(stream, begin + place[0], place[1] - place[0])

    load = remembering(read)
    content: dict[str, Weight] = {}
    for name, facts in header.items():
        shape, place = _place(name, facts, size - begin)
        dtype = _TYPES.get(facts["dtype"])
        if dtype is None:
            content[name] = OddTensor(str(facts["dtype"])[:20], shape)
            continue
        count = math.prod(shape)
        if count * ITEM_BYTES[dtype] != place[1] - place[0]:
            raise DamagedError(f"tensor {printable(name)} has {place[1] - place[0]} bytes for shape {list(shape)}")
        content[name] = dense(Storage(dtype, count, lambda place=place: load(place)), shape)  # type: ignore[misc]
    return Unpacked(content, metadata={str(name): str(text) for name, text in metadata.items()})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DamagedError("a name stands twice in the header")
    return found


def _place(name: str, facts: Any, available: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Shape, and first and last byte behind the header."""
    try:
        shape, (begin, end) = tuple(facts["shape"]), facts["data_offsets"]
        numbers = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"the header says nothing useful of tensor {printable(name)}") from error
    if not numbers or not begin <= end <= available:
        raise DamagedError(f"tensor {printable(name)} lies outside of the file")
    return shape, (begin, end)
