"""Tars with members that are no files, lead elsewhere, or are too many, too deep or too large."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.harness.checkpoint.assembly import tar_of
from tests.harness.checkpoint.exhaustion.conftest import Examine, Tensors, good_zip, refused, refused_or_right


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


SPECIAL = {
    "symbolic link": member("link.pth", tarfile.SYMTYPE, "/etc/passwd"),
    "symbolic link to the weights": member("link.pth", tarfile.SYMTYPE, "checkpoint.pth"),
    "hard link": member("link.pth", tarfile.LNKTYPE, "/etc/passwd"),
    "device": member("device.pth", tarfile.CHRTYPE),
    "FIFO": member("fifo.pth", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_members_of_a_tar_that_are_no_files(examine: Examine, weights: Tensors, tmp_path: Path, kind: str) -> None:
    inner = good_zip(tmp_path / "inner", weights).read_bytes()
    refused_or_right(examine(tar_of(tmp_path / "a.tar", {"checkpoint.pth": inner}, SPECIAL[kind])), weights)
    refused(examine(tar_of(tmp_path / "b.tar", {}, SPECIAL[kind])))


@pytest.mark.parametrize("name", ["../x.pth", "/x.pth", "a/../../x.pth"])
def test_names_in_a_tar_lead_nowhere(examine: Examine, weights: Tensors, tmp_path: Path, name: str) -> None:
    inner = good_zip(tmp_path / "inner", weights).read_bytes()
    path = tmp_path / "deep" / "a.tar"
    path.parent.mkdir()
    before = {*tmp_path.rglob("*"), path}
    refused_or_right(examine(tar_of(path, {name: inner})), weights)
    assert set(tmp_path.rglob("*")) == before
    assert not Path("/x.pth").exists()


def test_tars_with_too_much(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    inner = good_zip(tmp_path / "inner", weights).read_bytes()
    refused(examine(tar_of(tmp_path / "two.tar", {"a.pth": inner, "b.pth": inner})))
    refused_or_right(
        examine(tar_of(tmp_path / "many.tar", {"a.pth": inner, **{f"{n}": b"" for n in range(100_000)}})), weights
    )
    innermost = inner
    for _ in range(50):
        innermost = tar_of(tmp_path / "nested.tar", {"a.pth": innermost}).read_bytes()
    refused(examine(tmp_path / "nested.tar"))
    huge = member("a.pth", tarfile.REGTYPE)
    huge.size = 2**50
    refused(examine(tar_of(tmp_path / "huge.tar", {}, huge)))


def test_a_sparse_file_in_a_tar(examine: Examine, tmp_path: Path) -> None:
    information = tarfile.TarInfo("a.pth")
    block = bytearray(information.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = tarfile.GNUTYPE_SPARSE
    block[386:410] = b"00000000000\0" + b"00000000000\0"
    block[483:495] = b"\x80" + bytes(3) + (2**40).to_bytes(8, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "a.tar").write_bytes(bytes(block) + bytes(1024))
    refused(examine(tmp_path / "a.tar"))
    pax = tarfile.TarInfo("a.pth")
    pax.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(pax)
    refused(examine(tmp_path / "b.tar"))
