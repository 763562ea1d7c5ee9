"""Files that are there whole or not at all, and what nobody else may have written.

Everything is written under a unique temporary name in the target's folder, flushed to disk, then renamed (last
writer wins) or linked (first writer wins). Both work on NFS and need no lock.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shlex
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

from results.errors import HarnessError

TEMPORARY_SUFFIX = ".tmp"
"""Ends the name of every file that is still being written; such a file is never read."""


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that no other process uses."""
    return path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")


def explain_os_error(error: OSError, path: Path) -> HarnessError:
    """Turns a failed write into an error that says how to mend it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HarnessError(
            f"no space left for {path.name}",
            str(path.parent),
            "free some space (or raise the quota) and run the same command again: finished jobs are kept",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HarnessError(
            f"cannot write {path.name}: {os.strerror(error.errno)}",
            str(path.parent),
            "make the folder writable or choose another one with --workspace",
        )
    if isinstance(error, (NotADirectoryError, FileExistsError)):
        return HarnessError(
            f"cannot write {path.name}: a file stands where a folder is needed",
            str(path.parent),
            "move that file away or choose another folder with --workspace",
        )
    return HarnessError(f"cannot write {path.name}: {error}", str(path.parent), "check the disk and run again")


def make_folder(path: Path) -> Path:
    """Makes a folder with its parents; an existing one is fine.

    Raises:
        HarnessError: The folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, path) from error
    return path


def _write_temporary(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise explain_os_error(error, path) from error
        raise
    return temporary


def write_whole(path: Path, content: bytes | str | Callable[[IO[bytes]], object]) -> None:
    """Writes a file by rename: a reader sees the old content or the new one, never a part.

    Args:
        path: The target; its folder is made.
        content: Bytes, text (UTF-8), or a function that writes to a binary stream.

    Raises:
        HarnessError: Disk full, not writable.
    """
    temporary = _write_temporary(path, _as_writer(content))
    try:
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise explain_os_error(error, path) from error


def publish(path: Path, content: bytes | str) -> bool:
    """Writes a file by ``link(2)``: the first complete one wins.

    Args:
        path: The target; its folder is made.
        content: Bytes or text (UTF-8).

    Returns:
        True where this call made the file, False where one was already there.

    Raises:
        HarnessError: Disk full, not writable.
    """
    temporary = _write_temporary(path, _as_writer(content))
    try:
        return publish_file(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def publish_file(source: Path, path: Path) -> bool:
    """Gives a whole file a second name by ``link(2)``: the first one wins.

    Args:
        source: The file, which has one name, on the same file system.
        path: The target; its folder exists.

    Returns:
        True where this call made the name, False where a file was already there.

    Raises:
        HarnessError: Disk full, not writable, no hard links.
    """
    try:
        os.link(source, path)
    except OSError as error:
        # Over NFS the reply to a link that succeeded can be lost; a second try of the client is then told that the file
        # exists. The count of links tells the truth (open(2)).
        with contextlib.suppress(OSError):
            if os.stat(source).st_nlink == 2:
                return True
        if isinstance(error, FileExistsError):
            return False
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise HarnessError(
                f"cannot publish {path.name}: the file system makes no hard links",
                str(path.parent),
                "choose a --workspace on another file system (local disks, NFS and Lustre do)",
            ) from error
        raise explain_os_error(error, path) from error
    return True


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes.

    Raises:
        HarnessError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise HarnessError(
            f"cannot read {path.name}: {error.strerror or error}", str(path), "make the file readable or move it away"
        ) from error


def _as_writer(content: bytes | str | Callable[[IO[bytes]], object]) -> Callable[[IO[bytes]], object]:
    if callable(content):
        return content
    data = content.encode() if isinstance(content, str) else content
    return lambda stream: stream.write(data)


def to_json(value: Any) -> str:
    """JSON for people: two spaces, UTF-8, a newline at the end. NaN and infinity are refused."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path, own: bool = False) -> Any:
    """Reads a JSON file of the workspace.

    Args:
        path: The file.
        own: Whether only what this user wrote is read (:func:`open_own`): for files that say what is run.

    Raises:
        HarnessError: The file is missing, unreadable, not JSON, or not the user's own.
    """
    try:
        if not own:
            return json.loads(path.read_text(encoding="utf-8"))
        with open_own(path) as stream:
            return json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"cannot read {path.name}: {error}", str(path), "move the file away and run the same command again"
        ) from error


# What nobody else may have written -----------------------------------------------------------------------------------

UMASKS = {"private": 0o077, "readable": 0o022}
"""Permissions that files do not get, by who may read a workspace: its owner, or everybody. Nobody else ever writes."""


def use_umask(readers: Literal["private", "readable"]) -> None:
    """Sets with which permissions this process, and those that it starts, make files from now on (umask(2))."""
    os.umask(UMASKS[readers])


def open_own(path: Path) -> io.BufferedReader:
    """Opens a file that nobody but this user (or root) can have written.

    The open file is looked at, so that it cannot be exchanged between the look and the reading.

    Returns:
        A stream of its bytes.

    Raises:
        OSError: It cannot be opened.
        HarnessError: It belongs to somebody else, others may write it, or it is no file.
    """
    # Not to wait for ever where somebody put a pipe in its place.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise HarnessError(f"{path.name} is not a file", str(path), "move it away and run the same command again")
        _refuse_others(path, status)
        return open(number, "rb")
    except BaseException:
        os.close(number)
        raise


def make_own_folder(path: Path, root: Path) -> Path:
    """Makes a folder into which nobody but this user (or root) can put anything.

    Args:
        path: The folder; its parents are made, too.
        root: The workspace, above it: the folders from it down to ``path`` are looked at.

    Raises:
        HarnessError: It cannot be made, or one of them belongs to somebody else or may be written by others.
    """
    make_folder(path)
    above = path.absolute().parents
    inside = above[: above.index(root.absolute()) + 1] if root.absolute() in above else ()
    for folder in (path, *inside):
        _refuse_others(folder, folder.stat())
    return path


def _refuse_others(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise HarnessError(
            f"{path.name} belongs to another user (uid {status.st_uid}), and what others write is not read",
            str(path),
            "run as the user who made it, or choose another --workspace",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise HarnessError(
            f"others may write {path.name}, and what others may have written is not read",
            str(path),
            f"make sure that nobody changed it, then: chmod go-w {shlex.quote(str(path))}",
        )
