"""What lies in an archive or a folder, one file after the other, without trusting names and kinds.

Archives are read from front to back; nothing of them is kept in memory but the header at hand. Tar archives inside an
archive, as ImageNet's has, are read in place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from results.errors import HarnessError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
READ_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""What a damaged archive, or a disk that fails, may raise while it is read."""

_BLOCK = 512
_CHUNK = 1 << 20
_MEND = "take the official archive again; prepared files stay"

Progress = Callable[[int, int], object]
"""Told how many bytes of an archive were read, and how many it has; of a folder how many files, and 0."""


class Readable(Protocol):
    """What a member is read from; an end before its time is a HarnessError."""

    def read(self, count: int = -1, /) -> bytes: ...


@dataclasses.dataclass(frozen=True)
class Member:
    """One regular file of an archive or a folder.

    Args:
        name: Its path inside, relative, without ``..``; in a folder it begins with the name of that folder.
        size: Bytes.
        where: Archive and name, for messages.
        open: Opens it; only until the next member is asked for.
        path: The file on disk, where it is one.
    """

    name: str
    size: int
    where: str
    open: Callable[[], contextlib.AbstractContextManager[Readable]]
    path: Path | None = None


@dataclasses.dataclass(frozen=True)
class Forms:
    """Which files of a data set are archives themselves.

    Args:
        archives: Names of the official archives; in a folder they are opened.
        nested: Suffix of tar archives inside an archive or folder; their members get their stem as folder. Empty for
            none.
    """

    archives: tuple[str, ...]
    nested: str = ""


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of an archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def members(source: Path, forms: Forms, progress: Progress) -> Iterator[Member]:
    """Every regular file of an archive or folder; a lone file that is no archive is its only member.

    Raises:
        HarnessError: Unreadable or damaged; a name that climbs out, a link, a device, an encrypted member.
    """
    if source.is_dir():
        yield from _folder_members(source, forms, progress)
    elif is_archive(source):
        yield from _archive_members(source, forms, progress)
    else:
        yield _file_member(source, source.name)


def _archive_members(path: Path, forms: Forms, progress: Progress) -> Iterator[Member]:
    with _opened(path) as stream:
        with _damage(str(path)):
            total = path.stat().st_size
            is_zip = stream.read(2) == b"PK"
            stream.seek(0)
        found = _zip_members(stream, str(path)) if is_zip else _tar_members(stream, str(path), forms.nested)
        for member in found:
            yield member
            progress(stream.tell(), total)
        progress(total, total)


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """Turns what a damaged archive raises into an error with its name."""
    try:
        yield
    except READ_ERRORS as error:
        raise HarnessError(f"cannot be read to its end: {error}", where, _MEND) from error


@dataclasses.dataclass(frozen=True)
class _Guarded:
    """A stream whose failures name the member."""

    stream: IO[bytes]
    where: str

    def read(self, count: int = -1, /) -> bytes:
        with _damage(self.where):
            return self.stream.read(count)


def _refused(kind: str, where: str) -> HarnessError:
    return HarnessError(
        f"{kind} in the archive: refused",
        where,
        "official archives have none: take the official one, or unpack this one yourself and name the folder",
    )


def _safe(name: str, where: str) -> str:
    """The name without empty parts and points.

    Raises:
        HarnessError: It is absolute, climbs with ``..``, or holds a backslash or a control character.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable() or not parts:
        raise _refused("a name that leads out of the folder, or that no file should have,", where)
    return "/".join(parts)


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "a link"
    return "a sparse file" if info.issparse() else "a device or pipe"


def _tar_members(stream: IO[bytes], label: str, nested: str, prefix: str = "") -> Iterator[Member]:
    """Members of a tar archive, compressed or not, whose names get a prefix."""
    with contextlib.ExitStack() as stack:
        with _damage(label):
            tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r:*"))
        while True:
            with _damage(label):
                info = tar.next()
            if info is None:
                break
            # tarfile remembers every header: a gigabyte for a million images.
            tar.members = []  # type: ignore[attr-defined]
            if info.isdir():
                continue
            where = f"{label}: {info.name!r}"
            name = prefix + _safe(info.name, where)
            if not info.isreg() or info.issparse():
                raise _refused(_kind(info), where)
            with _damage(where):
                content = tar.extractfile(info)
            if content is None:
                continue
            if nested and name.endswith(nested):
                folder = name.removesuffix(nested).rpartition("/")[2]
                yield from _tar_members(content, f"{label}: {name}", "", f"{folder}/")
            else:
                yield Member(name, info.size, where, _opener(content, where))
        _check_end(tar, stream, label)


def _opener(content: IO[bytes], where: str) -> Callable[[], contextlib.AbstractContextManager[Readable]]:
    return lambda: contextlib.nullcontext(_Guarded(content, where))


def _check_end(tar: tarfile.TarFile, stream: IO[bytes], label: str) -> None:
    """Zeros end an archive; Python takes a broken header, or a cut between two members, for the end just as well."""
    with _damage(label):
        if tar.fileobj is not stream:
            # Reading on checks the checksum behind the compressed data.
            while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
                pass
            return
        stream.seek(tar.offset)
        if stream.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("it has no end mark")


def _zip_members(stream: IO[bytes], label: str) -> Iterator[Member]:
    with contextlib.ExitStack() as stack:
        with _damage(label):
            archive = stack.enter_context(zipfile.ZipFile(stream))
        for info in archive.infolist():
            where = f"{label}: {info.filename!r}"
            name = _safe(info.filename, where)
            if info.is_dir():
                continue
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG):
                raise _refused("a link" if mode == stat.S_IFLNK else "a device or pipe", where)
            if info.flag_bits & 1:
                raise _refused("an encrypted file", where)
            yield Member(name, info.file_size, where, _zip_opener(archive, info, where))


def _zip_opener(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str
) -> Callable[[], contextlib.AbstractContextManager[Readable]]:
    @contextlib.contextmanager
    def opened() -> Iterator[Readable]:
        with contextlib.ExitStack() as stack:
            with _damage(where):
                content = stack.enter_context(archive.open(info))
            yield _Guarded(content, where)

    return opened


def _folder_members(source: Path, forms: Forms, progress: Progress) -> Iterator[Member]:
    """Files below a folder; links to files and folders are the user's own and followed, each folder once."""
    base = source.resolve().name
    seen: set[tuple[int, int]] = set()
    count = 0
    for place, folders, files in os.walk(source, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        relative = os.path.relpath(place, source)
        before = base if relative == "." else f"{base}/{relative}"
        for name in sorted(files):
            path = Path(place, name)
            if not path.is_file():
                continue
            count += 1
            progress(count, 0)
            if name in forms.archives:
                yield from _archive_members(path, forms, lambda done, total: None)
            elif forms.nested and name.endswith(forms.nested):
                with _opened(path) as stream:
                    yield from _tar_members(stream, str(path), "", f"{name.removesuffix(forms.nested)}/")
            else:
                yield _file_member(path, f"{before}/{name}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        with _damage(str(path)):
            stream = stack.enter_context(path.open("rb"))
        yield stream


def _file_member(path: Path, name: str) -> Member:
    @contextlib.contextmanager
    def opened() -> Iterator[Readable]:
        with _opened(path) as stream:
            yield _Guarded(stream, str(path))

    return Member(name, path.stat().st_size, str(path), opened, path)
