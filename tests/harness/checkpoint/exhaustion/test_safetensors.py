"""Headers of safetensors that lie."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from safetensors.torch import save

from tests.harness.checkpoint.exhaustion.conftest import Examine, Tensors, refused


def headed(header: bytes, data: bytes = bytes(64), length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def one(shape: list[int], begin: int, end: int, kind: str = "F32") -> bytes:
    return json.dumps({"conv1.weight": {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}}).encode()


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
HEADERS: dict[str, bytes] = {
    "length of an exabyte": headed(b"{}", length=2**60),
    "length of 64 bits": headed(b"{}", length=2**64 - 1),
    "length zero": headed(b"", b"{" + bytes(64)),
    "outside of the file": headed(one([64, 3, 7, 7], 0, 37632)),
    "a huge tensor": headed(one([2**30, 2**30], 0, 2**62)),
    "a huge tensor in few bytes": headed(one([2**30, 2**30], 0, 4)),
    "sizes that wrap around": headed(one([2**32, 2**32], 0, 0)),
    "negative": headed(one([-1], 4, 0)),
    "no numbers": headed(one(["a"], 0, 4)),  # type: ignore[list-item]
    "floats": headed(one([1.5], 0, 4)),  # type: ignore[list-item]
    "unknown type": headed(one([1], 0, 4, "F3")),
    "names twice": headed(TWICE, bytes(8)),
    "overlapping": headed(TWICE.replace(b'"a"', b'"b"', 1).replace(b"[4,8]", b"[2,6]"), bytes(8)),
    "deep JSON": headed(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"),
    "deep JSON objects": headed(b'{"a":' * 500_000 + b"1" + b"}" * 500_000),
    "number of a million digits": headed(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 1_000_000 + b'],"data_offsets":[0,4]}}'
    ),
    "a list": headed(b'{"a":[]}'),
    "no JSON": headed(b"{abc}"),
    "not closed": headed(b"{"),
    "metadata that is a list": headed(b'{"__metadata__":[1]}'),
    "a million dimensions": headed(one([1] * 1_000_000, 0, 4)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_safetensors_that_lie(examine: Examine, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(HEADERS[name])
    refused(examine(tmp_path / "a.safetensors"))


def test_safetensors_whose_weights_are_twice_there(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    data = save(weights)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip()
    found = json.loads(header)
    twin = b'{"conv1.weight":' + json.dumps(found["conv1.weight"]).encode() + b","
    (tmp_path / "a.safetensors").write_bytes(headed(header.replace(b"{", twin, 1), data[8 + len(header) :]))
    refused(examine(tmp_path / "a.safetensors"))
    found["bn1.weight"] = found["bn1.bias"]
    (tmp_path / "b.safetensors").write_bytes(headed(json.dumps(found).encode(), data[8 + len(header) :]))
    refused(examine(tmp_path / "b.safetensors"))
