"""What a file is, told from its first bytes, before anything in it is interpreted."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

from results.errors import HarnessError

TORCH_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""The number that opens every file of torch's older form (``MAGIC_NUMBER`` in ``torch/serialization.py``)."""

HEAD_BYTES = 512
"""Enough for every signature below; a tar's stands at 257."""

_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
_OTHER_AGAIN = "give the checkpoint file itself with --ckpt"
DOWNLOAD_AGAIN = "download the file again and compare its size with the publisher's"
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\((d|lp|dp)|[}\]]q|c[A-Za-z_][\w.]*\n")
"""How pickles begin: with their protocol, or as those of protocol 0 and 1 do."""


def printable(name: str | os.PathLike[str]) -> str:
    """A file name that is safe on a terminal and in JSON: control characters and stray bytes are escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in os.fspath(name)
    )


def regular_file(path: Path) -> os.stat_result:
    """Makes sure that a path is a file that can be read.

    Raises:
        HarnessError: Missing, a folder, a device, empty, or not readable.
    """
    where = printable(path)
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            with path.open("rb"):
                pass
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HarnessError("the checkpoint does not exist", where, "check the path given with --ckpt") from error
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise HarnessError(
            f"the checkpoint cannot be read: {reason}", where, "check the path and its permissions"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise HarnessError("the checkpoint is a folder", where, "give the file in it, for example its newest .pth")
    if not stat.S_ISREG(status.st_mode):
        raise HarnessError("the checkpoint is no regular file", where, _OTHER_AGAIN)
    if status.st_size == 0:
        raise HarnessError("the checkpoint is empty (0 bytes)", where, DOWNLOAD_AGAIN)
    return status


def container(head: bytes, size: int, where: str) -> str:
    """Which container a checkpoint file is.

    Args:
        head: Its first :data:`HEAD_BYTES` bytes.
        size: Its length in bytes.
        where: The file, for messages.

    Returns:
        ``zip`` (torch since 1.6, or npz), ``legacy`` (torch before 1.6), ``safetensors``, ``pickle`` or ``tar``.

    Raises:
        HarnessError: It is none of them, or is cut short; says what it is where that can be told.
    """
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    if TORCH_MAGIC in head[:64]:
        return "legacy"
    if head[8:9] == b"{":
        header = int.from_bytes(head[:8], "little")
        if 8 + header <= size:
            return "safetensors"
        if header < 2**27:
            raise HarnessError("the safetensors file is cut short inside its header", where, DOWNLOAD_AGAIN)
    if _PICKLE.match(head):
        return "pickle"
    what, mend = _stranger(head)
    raise HarnessError(f"not a checkpoint: {what}", where, mend)


def zip_kind(names: Collection[str], where: str) -> str:
    """What a zip holds, told from the names of its entries.

    Returns:
        ``torch`` or ``npz``.

    Raises:
        HarnessError: It is a TorchScript program or something else.
    """
    tails = {name.partition("/")[2] for name in names}
    if "constants.pkl" in tails:
        raise HarnessError(
            "the checkpoint is a TorchScript program, which carries code",
            where,
            "export its state_dict with torch.save and give that file",
        )
    if "data.pkl" in tails:
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    listing = ", ".join(printable(name) for name in sorted(names)[:5])
    raise HarnessError(
        f"not a checkpoint: a .zip archive ({len(names)} entries: {listing})",
        where,
        "unpack it and give the checkpoint in it",
    )


def _stranger(head: bytes) -> tuple[str, str]:
    """Describes a file that is no checkpoint, and what to do about it."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, the weights were not downloaded", "run `git lfs pull` in its repository"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return "a web page, most likely the error page of a failed download", "download it again with a direct link"
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            return f"a file compressed with {name}", "unpack it and give the checkpoint in it"
    if head.startswith(b"\x89HDF\r\n"):
        return "an HDF5 file", _OTHER_AGAIN
    try:
        text = head.decode("utf-8") if len(head) < HEAD_BYTES else head[:-3].decode("utf-8", errors="ignore")
    except UnicodeDecodeError:
        text = "\0"
    if all(character.isprintable() or character in "\t\r\n" for character in text) and _mostly_ascii(head):
        return f"a text file that begins with {text[:40]!r}", _OTHER_AGAIN
    return f"an unknown file that begins with {head[:8].hex(' ')}", _OTHER_AGAIN


def _mostly_ascii(head: bytes) -> bool:
    return sum(byte < 128 for byte in head) * 2 > len(head)
