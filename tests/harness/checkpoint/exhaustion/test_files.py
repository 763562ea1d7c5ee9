"""Good files pass the limits; paths that lead to no regular file, and files that are mostly holes, are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.backbone import digest
from tests.harness.checkpoint.assembly import CONTAINERS, write_npz
from tests.harness.checkpoint.exhaustion.conftest import Examine, Tensors, refused


def test_the_limits_let_good_files_pass(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    for name in ("zip", "legacy", "pickle-4", "tar"):
        CONTAINERS[name](tmp_path / name, weights, {"epoch": 1})
        assert examine(tmp_path / name).get("digest") == digest(weights), name
    write_npz(tmp_path / "npz", weights)
    assert examine(tmp_path / "npz").get("digest") == digest(weights)


def test_what_is_no_regular_file(examine: Examine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "holes").write_bytes(b"")
    os.truncate(tmp_path / "holes", 2**40)
    for name in ("fifo", "zero", "loop", "nowhere", ".", "holes", "fifo/a"):
        refused(examine(tmp_path / name))


@pytest.mark.parametrize(
    "head", [b"PK\x03\x04", b"\x80\x02", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x93NUMPY"]
)
def test_holes_behind_a_signature(examine: Examine, tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(head)
    os.truncate(tmp_path / "a.pth", 2**40)
    refused(examine(tmp_path / "a.pth"))
