"""Pickles whose opcodes make no sense, or ask for more than a checkpoint needs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.checkpoint.assembly import (
    CONTAINERS,
    DISCARD,
    NONE,
    Raw,
    call,
    entry,
    listed,
    mmpretrain,
    named,
    number,
    save_torch,
    several,
    text,
)
from tests.harness.checkpoint.exhaustion.conftest import Examine, Tensors, refused, refused_or_right
from tests.harness.checkpoint.exhaustion.opcodes import array


def nested_tuples(depth: int) -> bytes:
    return b")" + b"\x85" * depth


def laughs(levels: int) -> bytes:
    return b"]" + b"".join(b"q\xf0" + DISCARD + b"](h\xf0h\xf0e" for _ in range(levels))


COLLIDING = 2**61 - 1
"""Python's hash of a whole number is its remainder by this."""

SENSELESS: dict[str, Callable[[], bytes]] = {
    "bytes of a terabyte": lambda: b"\x8e" + struct.pack("<Q", 2**40),
    "text of a terabyte": lambda: b"\x8d" + struct.pack("<Q", 2**40) + b"abc",
    "byte array of a terabyte": lambda: b"\x96" + struct.pack("<Q", 2**40),
    "bytes of 4 GB": lambda: b"B" + struct.pack("<I", 2**32 - 1),
    "number of 2 GB": lambda: b"\x8b" + struct.pack("<i", 2**31 - 1),
    "number of negative length": lambda: b"\x8b" + struct.pack("<i", -1),
    "stack below its bottom": lambda: b"0" * 50,
    "mark that is not there": lambda: b"t" * 50,
    "memo that is not there": lambda: b"j\xff\xff\xff\xff",
    "text memo that is no number": lambda: b"gabc\n",
    "unknown opcode": lambda: b"\xff",
    "buffer outside of the file": lambda: b"\x97",
    "tuple that holds itself as a key": lambda: b"}](h\xf0q\xf0t",
}
"""What no unpickler can make sense of."""

PASSED_OVER: dict[str, Callable[[], bytes]] = {
    "memo index 2**32-1": lambda: NONE + b"r\xff\xff\xff\xff",
    "memo index in text": lambda: NONE + b"p99999999999999999999\n",
    "frame of an exabyte": lambda: b"\x95" + struct.pack("<Q", 2**60) + NONE,
    "number of a megabyte": lambda: number(256**1_000_000),
    "number of a million digits": lambda: b"I" + b"9" * 1_000_000 + b"\n",
    "deep tuples as a key": lambda: entry(nested_tuples(200_000), NONE),
    "deep tuples in a set": lambda: b"\x8f(" + nested_tuples(200_000) + b"\x90",
    "deep tuples": lambda: nested_tuples(1_000_000),
    "deep lists": lambda: b"]" * 1_000_001 + b"a" * 1_000_000,
    "deep dictionaries": lambda: b"}" + b"K\x01}" * 1_000_000 + b"s" * 1_000_000,
    "deep calls": lambda: named("collections", "OrderedDict") * 300_000 + b")" + b"R\x85" * 299_999 + b"R",
    "billion laughs": lambda: laughs(100),
    "billion laughs of tuples as a key": lambda: b"}" + b")" + b"q\xf02\x86" * 100 + NONE + b"s",
    "list that holds itself": lambda: b"]q\xf0h\xf0a",
    "keys of one hash": lambda: b"}(" + b"".join(number(n * COLLIDING) + NONE for n in range(1, 60_000)) + b"u",
    "set of one hash": lambda: b"\x8f(" + b"".join(number(n * COLLIDING) for n in range(1, 60_000)) + b"\x90",
    "tuples of one hash": lambda: (
        b"}(" + b"".join(number(n * COLLIDING) + b"\x85" + NONE for n in range(1, 60_000)) + b"u"
    ),
    "bytes(2**40)": lambda: call(named("builtins", "bytes"), number(2**40)),
    "bytearray(2**40)": lambda: call(named("builtins", "bytearray"), number(2**40)),
    "list(range(2**40))": lambda: call(named("builtins", "list"), call(named("builtins", "range"), number(2**40))),
    "Counter(range(2**40))": lambda: call(
        named("collections", "Counter"), call(named("builtins", "range"), number(2**40))
    ),
    "deque(range(2**40))": lambda: call(named("collections", "deque"), call(named("builtins", "range"), number(2**40))),
    "Decimal": lambda: call(named("builtins", "int"), call(named("decimal", "Decimal"), text("1e999999999"))),
    "numpy array of exabytes": lambda: array(several(number(2**31), number(2**31)), b"", b"C\x04abcd"),
    "numpy array that is too long": lambda: array(several(number(2**40)), b"", b"C\x04abcd"),
    "numpy array of negative size": lambda: array(several(number(-1)), b"", b"C\x04abcd"),
    "numpy array of 100,000 dimensions": lambda: array(several(*[number(1)] * 100_000), b"", b"C\x04abcd"),
    "numpy type of numpy types": lambda: call(
        named("numpy", "dtype"), listed(*[several(text("a"), text("f4"))] * 9999)
    ),
}
"""What a reader may refuse, or pass over beside intact weights."""


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4"])
@pytest.mark.parametrize("name", SENSELESS)
def test_senseless_opcodes(examine: Examine, weights: Tensors, tmp_path: Path, name: str, container: str) -> None:
    CONTAINERS[container](tmp_path / "a.pth", weights, Raw(SENSELESS[name]()))
    found = examine(tmp_path / "a.pth")
    if container == "npz":
        refused_or_right(found, weights)
    else:
        refused(found)


@pytest.mark.parametrize("container", ["zip", "legacy-system", "pickle-4"])
@pytest.mark.parametrize("name", PASSED_OVER)
def test_opcodes_that_ask_for_much(
    examine: Examine, weights: Tensors, tmp_path: Path, name: str, container: str
) -> None:
    CONTAINERS[container](tmp_path / "a.pth", weights, Raw(PASSED_OVER[name]()))
    refused_or_right(examine(tmp_path / "a.pth"), weights)


def test_a_hundred_thousand_foreign_names(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    names = Raw(listed(*(named("evil", f"name{index}") for index in range(100_000))))
    refused(examine(save_torch(tmp_path / "a.pth", mmpretrain(weights, names))))
