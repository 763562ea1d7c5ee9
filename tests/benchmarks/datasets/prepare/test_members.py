from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets.prepare import prepare
from benchmarks.datasets.prepare.members import Forms, members
from results.errors import HarnessError
from tests.benchmarks.datasets.prepare.official import add, tar_of, zip_of

NONE = Forms(())
IMAGE = "val2017/000000000001.jpg"


def read(source: Path, forms: Forms = NONE) -> dict[str, bytes]:
    found = {}
    for member in members(source, forms, lambda done, total: None):
        with member.open() as stream:
            found[member.name] = stream.read()
    return found


def tar_with(path: Path, change: Callable[[tarfile.TarInfo], object], name: str = IMAGE) -> Path:
    """An honest member, then one that was changed."""
    with tarfile.open(path, "w") as tar:
        add(tar, "val2017/000000000000.jpg", b"honest")
        info = tarfile.TarInfo(name)
        change(info)
        tar.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def becomes(kind: bytes, link: str = "") -> Callable[[tarfile.TarInfo], object]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, link

    return change


def sized(info: tarfile.TarInfo) -> None:
    info.size = 5


def sparse(info: tarfile.TarInfo) -> None:
    """A file that claims a terabyte of zeros."""
    info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 40)}


HOSTILE = [
    (lambda path: tar_with(path, sized, "../../outside.jpg"), "leads out"),
    (lambda path: tar_with(path, sized, "val2017/../../../outside.jpg"), "leads out"),
    (lambda path: tar_with(path, sized, "/tmp/outside.jpg"), "leads out"),
    (lambda path: tar_with(path, sized, "..\\outside.jpg"), "leads out"),
    (lambda path: tar_with(path, sized, "val2017/a\nb.jpg"), "leads out"),
    (lambda path: tar_with(path, becomes(tarfile.SYMTYPE, "/etc/passwd")), "a link"),
    (lambda path: tar_with(path, becomes(tarfile.SYMTYPE, "/tmp"), "val2017"), "a link"),
    (lambda path: tar_with(path, becomes(tarfile.LNKTYPE, "/etc/passwd")), "a link"),
    (lambda path: tar_with(path, becomes(tarfile.CHRTYPE)), "a device or pipe"),
    (lambda path: tar_with(path, becomes(tarfile.BLKTYPE)), "a device or pipe"),
    (lambda path: tar_with(path, becomes(tarfile.FIFOTYPE)), "a device or pipe"),
    (lambda path: tar_with(path, sparse), "a sparse file"),
]


@pytest.mark.parametrize(("make", "what"), HOSTILE)
def test_hostile_tars_are_refused(make: Callable[[Path], Path], what: str, tmp_path: Path) -> None:
    root = tmp_path / "deep/down/data"
    archive = make(tmp_path / "train2017.tar")
    with pytest.raises(HarnessError, match="refused") as caught:
        prepare("coco", [archive], root, lambda source: lambda done, total: None)
    assert what in caught.value.what
    assert str(archive) in caught.value.where
    written = [path.name for path in tmp_path.rglob("*") if path.is_file() and path != archive]
    assert sorted(written) == [".prepare-coco", "000000000000.jpg"]
    assert not Path("/tmp/outside.jpg").exists()


def test_hostile_tars_inside_a_tar_are_refused(tmp_path: Path) -> None:
    inner = tar_with(tmp_path / "inner.tar", sized, "../../../outside.JPEG").read_bytes()
    outer = tar_of(tmp_path / "ILSVRC2012_img_train.tar", {"n01440764.tar": inner})
    with pytest.raises(HarnessError, match="leads out") as caught:
        prepare("imagenet", [outer], tmp_path / "data", lambda source: lambda done, total: None)
    assert "n01440764.tar: '../../../outside.JPEG'" in caught.value.where
    assert not list(tmp_path.rglob("outside*"))


def zip_with(path: Path, name: str, mode: int = stat.S_IFREG | 0o644, flags: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        info.create_system = 3
        info.external_attr = mode << 16
        archive.writestr(info, b"content")
    content = path.read_bytes()
    # The flag stands six bytes behind a local header's beginning and eight behind that of the directory's entry.
    place = content.index(b"PK\x01\x02") + 8
    path.write_bytes(content[:place] + bytes([content[place] | flags]) + content[place + 1 :])
    return path


@pytest.mark.parametrize(
    ("name", "mode", "flags", "what"),
    [
        ("../outside.jpg", stat.S_IFREG, 0, "leads out"),
        ("/tmp/outside.jpg", stat.S_IFREG, 0, "leads out"),
        ("..\\outside.jpg", stat.S_IFREG, 0, "leads out"),
        (IMAGE, stat.S_IFLNK, 0, "a link"),
        (IMAGE, stat.S_IFIFO, 0, "a device or pipe"),
        (IMAGE, stat.S_IFREG, 1, "an encrypted file"),
    ],
)
def test_hostile_zips_are_refused(name: str, mode: int, flags: int, what: str, tmp_path: Path) -> None:
    archive = zip_with(tmp_path / "val2017.zip", name, mode, flags)
    with pytest.raises(HarnessError, match="refused") as caught:
        prepare("coco", [archive], tmp_path / "data", lambda source: lambda done, total: None)
    assert what in caught.value.what
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".prepare-coco", "data", "val2017.zip"]


FILES = {f"val2017/{number:012d}.jpg": os.urandom(3000) for number in range(5)}
ARCHIVES = [("a.tar", tar_of), ("a.tar.gz", tar_of), ("a.tgz", tar_of), ("a.zip", zip_of)]


@pytest.mark.parametrize(("name", "pack"), ARCHIVES)
def test_members_with_their_content(name: str, pack: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    assert read(pack(tmp_path / name, FILES)) == FILES


@pytest.mark.parametrize(("name", "pack"), ARCHIVES)
def test_a_truncated_archive_is_named(
    name: str, pack: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path
) -> None:
    """Cut anywhere: within a member, within a header, between two members, before the end mark."""
    whole = pack(tmp_path / name, FILES).read_bytes()
    archive = tmp_path / f"cut-{name}"
    last = len(whole.rstrip(b"\0"))
    boundary = last // 512 * 512 - 3072 // 512 * 512 - 512
    for length in {0, 1, 300, 512, 1000, len(whole) // 2, len(whole) // 2 + 100, boundary, last - 9}:
        archive.write_bytes(whole[:length])
        with pytest.raises(HarnessError, match="cannot be read to its end") as caught:
            read(archive)
        assert str(archive) in caught.value.where, length


@pytest.mark.parametrize(("name", "pack"), ARCHIVES[1:])
def test_a_changed_byte_is_noticed(name: str, pack: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    """Compressed archives carry checksums."""
    archive = pack(tmp_path / name, FILES)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0x55
    archive.write_bytes(content)
    with pytest.raises(HarnessError):
        read(archive)


def test_a_broken_map_of_a_sparse_file(tmp_path: Path) -> None:
    """Python's reader raises a plain ValueError here."""

    def broken(info: tarfile.TarInfo) -> None:
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
        info.size = 512

    with pytest.raises(HarnessError, match="cannot be read to its end"):
        read(tar_with(tmp_path / "a.tar", broken))


def test_broken_headers(tmp_path: Path) -> None:
    """Whatever bytes of a header are changed: read, refused or damaged, and nothing else."""
    whole = tar_of(tmp_path / "whole.tar", {"a.jpg": b"a", f"{'b' * 150}.jpg": b"b"}).read_bytes()
    random = np.random.default_rng(0)
    archive = tmp_path / "a.tar"
    for _ in range(600):
        content = bytearray(whole)
        for place in random.integers(0, 3072, size=4).tolist():
            content[place] = int(random.integers(256))
        # A right checksum, so that what it protects is reached.
        for start in range(0, 3072, 512):
            if content[start + 257 : start + 262] == b"ustar":
                content[start + 148 : start + 156] = b" " * 8
                content[start + 148 : start + 156] = f"{sum(content[start : start + 512]):06o}\0 ".encode()
        archive.write_bytes(content)
        with contextlib.suppress(HarnessError):
            read(archive)


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>" * 100, b"", b"PK", b"\x1f\x8b"])
@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.tar.gz"])
def test_what_is_no_archive(name: str, content: bytes, tmp_path: Path) -> None:
    archive = tmp_path / name
    archive.write_bytes(content)
    with pytest.raises(HarnessError, match="cannot be read to its end"):
        read(archive)


def test_a_tar_inside_gives_its_members_its_name(tmp_path: Path) -> None:
    inner = tar_of(tmp_path / "inner.tar", {"n01440764_1.JPEG": b"1"}).read_bytes()
    outer = tar_of(tmp_path / "outer.tar", {"n01440764.tar": inner, "n01443537.tar": inner})
    expected = {"n01440764/n01440764_1.JPEG": b"1", "n01443537/n01440764_1.JPEG": b"1"}
    assert read(outer, Forms((), ".tar")) == expected
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for name in ("n01440764.tar", "n01443537.tar"):
        (folder / name).write_bytes(inner)
    assert read(folder, Forms((), ".tar")) == expected


def test_a_cut_tar_inside_is_named(tmp_path: Path) -> None:
    inner = tar_of(tmp_path / "inner.tar", FILES).read_bytes()
    outer = tar_of(tmp_path / "outer.tar", {"n01440764.tar": inner[: len(inner) // 2], "n01443537.tar": inner})
    with pytest.raises(HarnessError, match="cannot be read to its end") as caught:
        read(outer, Forms((), ".tar"))
    assert "n01440764.tar" in caught.value.where


def test_a_folder_with_links(tmp_path: Path) -> None:
    """Links are the user's own; a circle ends."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/1.jpg").write_bytes(b"1")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "val2017").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/circle").symlink_to(folder)
    (folder / "2.jpg").symlink_to(tmp_path / "elsewhere/1.jpg")
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.jpg")
    assert read(folder) == {"folder/2.jpg": b"1", "folder/val2017/1.jpg": b"1"}


def peak(source: Path) -> int:
    """Bytes of Python's memory that walking through an archive takes at most."""
    tracemalloc.start()
    try:
        for member in members(source, NONE, lambda done, total: None):
            with member.open() as stream:
                while stream.read(1 << 16):
                    pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_memory_does_not_grow_with_the_archive(name: str, tmp_path: Path) -> None:
    few = peak(tar_of(tmp_path / f"few-{name}", {f"{number}.jpg": b"" for number in range(100)}))
    many = peak(tar_of(tmp_path / f"many-{name}", {f"{number}.jpg": b"" for number in range(3000)}))
    large = peak(tar_of(tmp_path / f"large-{name}", {"1.jpg": bytes(32 << 20)}))
    assert many < few + 500_000
    assert large < few + 4_000_000
