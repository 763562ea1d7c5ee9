"""Files that are no checkpoint are refused in words that say what they are."""

from __future__ import annotations

import gzip
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.checkpoint.read import read_checkpoint
from harness.checkpoint.signature import printable
from results.errors import HarnessError


def refusal(path: Path) -> str:
    with pytest.raises(HarnessError) as caught:
        read_checkpoint(path)
    assert caught.value.where == printable(path)
    assert caught.value.mend
    return caught.value.what


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 94000000\n", "git-lfs pointer"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\n  <HTML><head><title>Sign in</title>", "web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
        (b"learning_rate: 0.1\nname: r\xc3\xa9sum\xc3\xa9\n", "text file that begins with 'learning_rate"),
        (b"x" * 2000, "text file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"\x00\x01\x02\x03" * 20, "unknown file"),
        (b"P", "text file"),
        (b"\x80", "unknown file"),
        (b"\x80\x04", "the pickle is damaged (it has no end)"),
        (gzip.compress(b"weights", mtime=0), "gzip"),
        (b"PK\x03\x04" + b"\x00" * 300, "cut short or damaged"),
        ((5000).to_bytes(8, "little") + b'{"conv1.weight"', "cut short inside its header"),
    ],
)
def test_says_what_the_file_is(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(content)
    assert said in refusal(path)


def test_archives(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w" * 5000)
    (tmp_path / "more.bin").write_bytes(b"w")
    with tarfile.open(tmp_path / "checkpoint.tar", "w") as archive:
        archive.add(tmp_path / "weights.bin", "weights.bin")
        archive.add(tmp_path / "more.bin", "more.bin")
    with zipfile.ZipFile(tmp_path / "checkpoint.zip", "w") as zipped:
        zipped.write(tmp_path / "weights.bin", "weights.bin")
    assert "the tar holds 2 files (more.bin, weights.bin)" in refusal(tmp_path / "checkpoint.tar")
    assert ".zip archive (1 entries: weights.bin)" in refusal(tmp_path / "checkpoint.zip")


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as zipped:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            zipped.writestr(f"script/{name}", b"")
    assert "TorchScript" in refusal(tmp_path / "script.pt")


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "missing.pth")
    assert "does not exist" in refusal(tmp_path / "missing" / "missing.pth")
    assert "folder" in refusal(tmp_path)
    loop = tmp_path / "loop.pth"
    loop.symlink_to(loop)
    assert "cannot be read" in refusal(loop)
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    os.mkfifo(tmp_path / "pipe.pth")
    assert "no regular file" in refusal(tmp_path / "pipe.pth")
    with pytest.raises(HarnessError, match="cannot be read"):
        read_checkpoint(Path("null\0byte.pth"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.pth"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "cannot be read" in refusal(path)


def test_hostile_names_cannot_forge_lines(tmp_path: Path) -> None:
    path = tmp_path / "a\n  mend: rm -rf \x1b[31m.pth"
    with pytest.raises(HarnessError) as caught:
        read_checkpoint(path)
    assert len(str(caught.value).splitlines()) == 3
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.pth", "plain.pth"),
        ("räksmörgås 模型.pth", "räksmörgås 模型.pth"),
        ("a\nb", "a\\nb"),
        ("a\udcffb", "a\\udcffb"),
    ],
)
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown
    printable(name).encode()
