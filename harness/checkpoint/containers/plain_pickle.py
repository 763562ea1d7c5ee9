"""Plain pickles of arrays, as detectron2's model zoo and DeepMind's JAX projects write them."""

from __future__ import annotations

from typing import BinaryIO

from harness.checkpoint.containers.base import Unpacked
from harness.checkpoint.pickles.machine import Machine
from harness.checkpoint.pickles.stand_ins import STAND_INS


def read_pickle(stream: BinaryIO, size: int) -> Unpacked:
    """Reads one pickle. Arguments as of a container's; raises DamagedError where it is damaged."""
    stream.seek(0)
    machine = Machine(stream, size, STAND_INS)
    content = machine.load()
    return Unpacked(content, frozenset(machine.foreign))
