"""Zips that lie of their entries, unpack to much, or name what lies elsewhere."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.harness.checkpoint.assembly import (
    PERSISTENT,
    Raw,
    mmpretrain,
    named,
    number,
    rezipped,
    save_torch,
    several,
    text,
)
from tests.harness.checkpoint.exhaustion.conftest import Examine, Tensors, good_zip, refused, refused_or_right
from tests.harness.checkpoint.exhaustion.opcodes import SHAPE, STRIDES, tensor


def patched(path: Path, entry_name: str, form: str, local: int, central: int, value: int) -> None:
    """Overwrites a field of one entry, in its local header (unless negative) and in the zip's table of contents."""
    with zipfile.ZipFile(path) as archive:
        found = next(entry for entry in archive.infolist() if entry.filename.endswith(entry_name))
        start = archive.start_dir
    data = bytearray(path.read_bytes())
    if local >= 0:
        struct.pack_into(form, data, found.header_offset + local, value)
    place = data.index(found.filename.encode(), start) - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    struct.pack_into(form, data, place + central, value)
    path.write_bytes(data)


@pytest.mark.parametrize("entry_name", ["/data.pkl", "/data/0"])
@pytest.mark.parametrize("field", ["size", "packed size", "both", "offset", "encrypted", "method", "checksum"])
def test_zip_entries_that_lie(examine: Examine, weights: Tensors, tmp_path: Path, entry_name: str, field: str) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    rezipped(path, {})  # Python writes sizes into the local headers, torch behind the data.
    if field in ("size", "both"):
        patched(path, entry_name, "<I", 22, 24, 2**32 - 2)
    if field in ("packed size", "both"):
        patched(path, entry_name, "<I", 18, 20, 2**32 - 2)
    if field == "offset":
        patched(path, entry_name, "<I", -1, 42, 2**31)
    if field == "encrypted":
        patched(path, entry_name, "<H", 6, 8, 1)
    if field == "method":
        patched(path, entry_name, "<H", 8, 10, 99)
    if field == "checksum":
        patched(path, entry_name, "<I", 14, 16, 12345)
    refused(examine(path))


@pytest.mark.parametrize("entry_name", ["data.pkl", "data/0"])
def test_deflate_bombs(examine: Examine, weights: Tensors, tmp_path: Path, entry_name: str) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    rezipped(path, {entry_name: packed})
    patched(path, f"/{entry_name}", "<H", 8, 10, zipfile.ZIP_DEFLATED)
    patched(path, f"/{entry_name}", "<I", 22, 24, 2**30)
    patched(path, f"/{entry_name}", "<I", 14, 16, 0)
    refused(examine(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_by_other_methods(examine: Examine, weights: Tensors, tmp_path: Path, method: int) -> None:
    path = rezipped(good_zip(tmp_path / "a.pth", weights), {"data.pkl": bytes(2**27)}, method)
    refused(examine(path))


@pytest.mark.parametrize("entry_name", ["data.pkl", "data/0", "byteorder"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(examine: Examine, weights: Tensors, tmp_path: Path, entry_name: str) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    with zipfile.ZipFile(path, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/{entry_name}"))
        archive.writestr(name, archive.read(name)[::-1])
    refused(examine(path))


def test_two_pickles(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps({}, protocol=2))
    refused(examine(path))


def test_overlapping_entries(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = rezipped(good_zip(tmp_path / "a.pth", weights), {})
    with zipfile.ZipFile(path) as archive:
        first = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
    patched(path, "/data/1", "<I", -1, 42, first.header_offset)
    refused(examine(path))


def test_a_kernel_under_a_million_names(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    # D. Fifield, "A better zip bomb": every entry names the same packed data.
    path = rezipped(good_zip(tmp_path / "a.pth", weights), {"byteorder": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as archive:
        kernel = next(entry for entry in archive.infolist() if entry.filename.endswith("/byteorder"))
        for index in range(3_000):
            other = zipfile.ZipInfo(kernel.filename.replace("byteorder", f"data/{1000 + index}"))
            other.header_offset, other.CRC = kernel.header_offset, kernel.CRC
            other.compress_size, other.file_size = kernel.compress_size, kernel.file_size
            other.compress_type = kernel.compress_type
            archive.filelist.append(other)
        archive._didModify = True  # type: ignore[attr-defined]
    refused(examine(path))


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a\\..\\evil", "archive/../../evil", "C:evil", "a\0b", "x" * 60000]
)
def test_names_in_a_zip_lead_nowhere(examine: Examine, weights: Tensors, tmp_path: Path, name: str) -> None:
    (tmp_path / "deep").mkdir()
    path = good_zip(tmp_path / "deep" / "a.pth", weights)
    before = set(tmp_path.rglob("*"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    # Nothing is unpacked, so such a name beside the weights does no harm.
    refused_or_right(examine(path), weights)
    rezipped(path, {}, names=lambda found: f"{name}/{found}" if "evil" in name else found)
    refused_or_right(examine(path), weights)
    assert set(tmp_path.rglob("*")) == before


def test_a_storage_key_leads_nowhere(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(9408 * 4))
    for key in (str(tmp_path / "secret"), "../../secret", "../data.pkl", "0/../0", ""):
        pid = (
            several(text("storage"), named("torch", "FloatStorage"), text(key), text("cpu"), number(9408)) + PERSISTENT
        )
        content = mmpretrain({**weights, "conv1.weight": Raw(tensor(pid, 0, SHAPE, STRIDES))}, {})
        refused(examine(save_torch(tmp_path / "a.pth", content)))


def test_two_hundred_thousand_entries(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    with zipfile.ZipFile(path, "a") as archive:
        for index in range(60_000):
            archive.writestr(f"archive/more/{index}", b"")
    refused_or_right(examine(path), weights)
