"""Tensors of torch that claim more than their storages hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from benchmarks.backbone import digest
from tests.harness.checkpoint.assembly import (
    NONE,
    PERSISTENT,
    Raw,
    call,
    mmpretrain,
    named,
    number,
    save_torch,
    several,
    text,
)
from tests.harness.checkpoint.exhaustion.conftest import Examine, Tensors, refused
from tests.harness.checkpoint.exhaustion.opcodes import SHAPE, STRIDES, array, tensor

FLOATS = several(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(9408)) + PERSISTENT


def claimed(length: int) -> bytes:
    return several(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(length)) + PERSISTENT


def sparse(index: int) -> bytes:
    indices = several(text("storage"), named("torch", "LongStorage"), text("1"), text("cpu"), number(1)) + PERSISTENT
    index_tensor = call(
        named("torch._utils", "_rebuild_tensor_v2"),
        indices,
        number(0),
        several(number(4), number(1)),
        several(number(0), number(0)),
        b"\x89",
        b"}",
    )
    shape = several(number(64), number(3), number(7), number(7 + index * 0))
    return call(
        named("torch._utils", "_rebuild_sparse_tensor"),
        named("torch", "sparse_coo"),
        several(index_tensor, tensor(FLOATS, 0, (1,), (1,)), shape),
    )


WEIGHTS: dict[str, bytes] = {
    "storage of a terabyte": tensor(claimed(2**40), 0, SHAPE, STRIDES),
    "storage of negative length": tensor(claimed(-1), 0, SHAPE, STRIDES),
    "storage longer than 64 bits": tensor(claimed(2**70), 0, SHAPE, STRIDES),
    "storage of a length of 10,000 digits": tensor(claimed(10**10_000), 0, SHAPE, STRIDES),
    "exabytes of one element": tensor(FLOATS, 0, (2**31, 2**31), (0, 0)),
    "more than 64 bits": tensor(FLOATS, 0, (2**62, 2**62, 2**62), (0, 0, 0)),
    "size of 10,000 digits": tensor(FLOATS, 0, (10**10_000,), (0,)),
    "negative stride": tensor(FLOATS, 9407, SHAPE, (-147, -49, -7, -1)),
    "negative offset": tensor(FLOATS, -1, SHAPE, STRIDES),
    "negative size": tensor(FLOATS, 0, (-64, 3, 7, -7), STRIDES),
    "outside by its offset": tensor(FLOATS, 1, SHAPE, STRIDES),
    "outside by its stride": tensor(FLOATS, 0, SHAPE, (148, 49, 7, 1)),
    "stride that wraps around": tensor(FLOATS, 0, SHAPE, (2**62, 2**62, 2**62, 2**62)),
    "offset that wraps around": tensor(FLOATS, 2**64 - 4, SHAPE, STRIDES),
    "a million dimensions": tensor(FLOATS, 0, (1,) * 1_000_000, (1,) * 1_000_000),
    "strides fewer than sizes": tensor(FLOATS, 0, SHAPE, (147,)),
    "sizes that are no numbers": call(
        named("torch._utils", "_rebuild_tensor_v2"), FLOATS, number(0), text("ab"), text("cd"), b"\x89", b"}"
    ),
    "sparse": sparse(0),
    "sparse, indices that are floats": sparse(1),
    "parameter of itself": call(named("torch._utils", "_rebuild_parameter"), NONE, b"\x88", b"}"),
    "tensor of a tensor": tensor(tensor(FLOATS, 0, SHAPE, STRIDES), 0, SHAPE, STRIDES),
    "tensor without a storage": tensor(NONE, 0, SHAPE, STRIDES),
    "numpy array of exabytes": array(several(number(2**31), number(2**31)), b"", b"C\x04abcd"),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_tensors_that_claim_too_much(
    examine: Examine, weights: Tensors, tmp_path: Path, name: str, zipped: bool
) -> None:
    # The classifier gives storages 0 and 1 to the file, which the weight that is no weight names.
    first = {"head.0": torch.rand(9408), "head.1": torch.zeros(9408, dtype=torch.int64)}
    content = mmpretrain({**weights, "conv1.weight": Raw(WEIGHTS[name])}, {})
    # A reader that keeps storages by their names must see the wrong claim before the right one.
    content = {"early": Raw(WEIGHTS[name]), "first": first, **content}
    path = save_torch(tmp_path / "a.pth", content, zipped)
    if not zipped:
        data = path.read_bytes()
        keys = re.findall(rb"X(.)\x00\x00\x00(\d+)", data)
        assert keys, "torch names storages by their addresses"
        length, key = keys[0]
        path.write_bytes(data.replace(b"X\x01\x00\x00\x000", b"X" + length + b"\x00\x00\x00" + key))
    refused(examine(path))


def test_sparse_tensors_out_of_range(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    found = torch.sparse_coo_tensor(torch.full((4, 1), 2**40), torch.ones(1), SHAPE, check_invariants=False)
    refused(examine(save_torch(tmp_path / "a.pth", mmpretrain({**weights, "conv1.weight": found}, {}))))
    refused(examine(save_torch(tmp_path / "b.pth", mmpretrain(weights, {}) | {"state_dict": {"a": found}})))


def test_expanded_weights(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    few = {**weights, "conv1.weight": torch.ones(1).expand(2**31, 2**31)}
    refused(examine(save_torch(tmp_path / "a.pth", mmpretrain(few, {}))))
    # Honest: all of a batch norm's weights are one number.
    few = {**weights, "bn1.weight": torch.ones(1).expand(64)}
    assert examine(save_torch(tmp_path / "b.pth", mmpretrain(few, {})))["digest"] == digest(few)
