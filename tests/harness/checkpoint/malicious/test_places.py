"""No pickle runs anything, wherever in it a name stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.backbone import digest
from tests.harness.checkpoint.assembly import (
    CONTAINERS,
    DISCARD,
    NONE,
    PERSISTENT,
    Raw,
    arrays,
    assemble,
    build,
    call,
    entry,
    mmpretrain,
    named,
    number,
    save_torch,
    several,
    tar_of,
    text,
)
from tests.harness.checkpoint.malicious.traps import SYSTEM, shell
from tests.harness.checkpoint.malicious.watching import prove, refused_and_trusted, watched

Tensors = dict[str, torch.Tensor]


def in_array(opcodes: bytes) -> object:
    found = np.empty(1, dtype=object)
    found[0] = Raw(opcodes)
    return found


TENSOR = named("torch._utils", "_rebuild_tensor_v2")

PLACES: dict[str, Callable[[bytes], object]] = {
    "list": lambda trap: [Raw(trap)],
    "tuple": lambda trap: (1, (Raw(trap),)),
    "dictionary value": lambda trap: {"a": {"b": Raw(trap)}},
    "dictionary key": lambda trap: {Raw(trap): 1},
    "tuple as a key": lambda trap: {(1, Raw(trap)): 1},
    "set": lambda trap: Raw(b"\x8f(" + trap + b"\x90"),
    "frozen set": lambda trap: Raw(b"(" + trap + b"\x91"),
    "discarded": lambda trap: Raw(trap + DISCARD + NONE),
    "discarded to a mark": lambda trap: Raw(b"(" + trap + b"1" + NONE),
    "remembered": lambda trap: Raw(trap + b"q\x00" + DISCARD + NONE),
    "argument": lambda trap: Raw(call(named("builtins", "complex"), trap)),
    "state": lambda trap: Raw(build(call(named("argparse", "Namespace")), entry(text("a"), trap))),
    "numpy object array": in_array,
}
"""Where a trap may stand without harm to the pickle around it."""

BREAKING: dict[str, Callable[[bytes], object]] = {
    "persistent id": lambda trap: Raw(trap + PERSISTENT),
    "storage type": lambda trap: Raw(several(text("storage"), trap, text("0"), text("cpu"), number(1)) + PERSISTENT),
    "storage key": lambda trap: Raw(
        several(text("storage"), named("torch", "FloatStorage"), trap, text("cpu"), number(1)) + PERSISTENT
    ),
    "storage of a tensor": lambda trap: Raw(call(TENSOR, trap, number(0), several(), several(), b"\x89", b"}")),
    "offset of a tensor": lambda trap: Raw(call(TENSOR, NONE, trap, several(), several(), b"\x89", b"}")),
    "hooks of a tensor": lambda trap: Raw(call(TENSOR, NONE, number(0), several(), several(), b"\x89", trap)),
}
"""Where the trap makes the pickle senseless, even for one who trusts the file."""


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4", "npz"])
@pytest.mark.parametrize("place", PLACES)
def test_a_trap_in_every_place(small: Tensors, marker: Path, place: str, container: str) -> None:
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, PLACES[place](call(SYSTEM, shell(marker))))
    prove(path, container, marker)
    refused_and_trusted(path, marker, ("posix.system",), digest(small))


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4", "npz"])
@pytest.mark.parametrize("place", BREAKING)
def test_a_trap_as_part_of_a_tensor(small: Tensors, marker: Path, place: str, container: str) -> None:
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, BREAKING[place](call(SYSTEM, shell(marker))))
    prove(path, container, marker)
    facts, refusal = watched(path, False, marker)
    assert refusal is not None, facts
    facts, refusal = watched(path, True, marker)
    assert refusal is not None or facts.digest == digest(small)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4", "tar"])
def test_a_trap_in_place_of_a_weight_or_of_everything(small: Tensors, marker: Path, container: str) -> None:
    path = marker.with_name("a.pth")
    trap = Raw(call(SYSTEM, shell(marker)))
    whole = marker.with_name("whole")
    for content in (mmpretrain({**small, "conv1.weight": trap}, {}), trap):
        if container == "pickle-4":
            plain = content if isinstance(content, Raw) else mmpretrain({**arrays(small), "conv1.weight": trap}, {})
            path.write_bytes(assemble(plain, 4))
        else:
            save_torch(path, content, zipped=container != "legacy")
        if container == "tar":
            path.rename(whole)
            tar_of(path, {"checkpoint.pth": whole.read_bytes()})
        prove(path, container, marker)
        facts, refusal = watched(path, False, marker)
        assert refusal is not None, facts
        assert "posix.system" in refusal.what
        facts, refusal = watched(path, True, marker)
        assert refusal is not None, facts
