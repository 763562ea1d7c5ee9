"""No pickle runs anything, whatever it names and whatever file it lies in."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.backbone import digest
from tests.harness.checkpoint.assembly import (
    CONTAINERS,
    FOURTH_PROTOCOL,
    NONE,
    Raw,
    call,
    listed,
    mmpretrain,
    number,
    save_torch,
    several,
    text,
)
from tests.harness.checkpoint.malicious.traps import TRAPS, UNPROVEN, shell
from tests.harness.checkpoint.malicious.watching import prove, refused_and_trusted, watched

Tensors = dict[str, torch.Tensor]

EXTENSION = 240
"""A private code of copyreg's registry."""

PAIRS = [
    (name, container)
    for name in sorted(TRAPS.keys() - UNPROVEN.keys())
    for container in CONTAINERS
    if container in ("zip", "legacy", "pickle-4") or name in ("os.system", "eval", "torch.hub.load")
]
"""Every trap in the three kinds of file that differ most, some traps in every kind."""


@pytest.mark.parametrize(("name", "container"), PAIRS)
def test_every_trap_in_every_container(small: Tensors, marker: Path, name: str, container: str) -> None:
    trap = TRAPS[name]
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, Raw(trap.opcodes(marker)))
    prove(path, container, marker)
    refused_and_trusted(path, marker, trap.names, digest(small))


@pytest.mark.parametrize("name", sorted(UNPROVEN))
def test_names_that_may_run_code_under_another_torch(small: Tensors, marker: Path, name: str) -> None:
    path = save_torch(marker.with_name("a.pth"), mmpretrain(small, Raw(TRAPS[name].opcodes(marker))))
    refused_and_trusted(path, marker, TRAPS[name].names, digest(small))


@pytest.fixture
def extension() -> Iterator[None]:
    copyreg.add_extension("posix", "system", EXTENSION)
    yield
    copyreg.remove_extension("posix", "system", EXTENSION)


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("opcode", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"], ids=["1", "2", "4"])
@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4"])
def test_codes_of_the_extension_registry(small: Tensors, marker: Path, container: str, opcode: bytes) -> None:
    # Python keeps what a code stood for: after the first use no loader is asked for the name.
    path = marker.with_name("a.pth")
    CONTAINERS[container](path, small, Raw(call(opcode, shell(marker))))
    prove(path, container, marker)
    facts, refusal = watched(path, False, marker)
    assert refusal is not None, facts
    facts, refusal = watched(path, True, marker)
    assert refusal is not None or facts.digest == digest(small)


def test_the_opcodes_are_what_python_reads() -> None:
    assert pickle.loads(FOURTH_PROTOCOL + listed(number(-5), number(2**40), text("a"), several(NONE)) + b".") == [
        -5,
        2**40,
        "a",
        (None,),
    ]
