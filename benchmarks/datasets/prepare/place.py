"""Putting files below the data root: each is there whole or not at all, and one that is there is not written again."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.datasets.prepare.members import Member
from results.errors import HarnessError
from results.files import TEMPORARY_SUFFIX, write_whole

KEEP_LIMIT = 64 << 20
"""Bytes of a file that is read into memory (lists, label maps); the largest official one has three million."""

_CHUNK = 1 << 20


class Placer:
    """Writes below one data root and counts.

    Args:
        root: The data root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written = 0
        self.kept = 0
        self.made: list[str] = []
        """Lists that were made, each with what it holds."""
        self._folders: set[Path] = set()

    def place(self, member: Member, target: str) -> None:
        """Copies a member; one that is a file on the same disk is linked (a second name, no second copy).

        Raises:
            HarnessError: The target is there with another size; no space, not writable; the archive is damaged.
        """
        path = self.root / target
        there = _size(path)
        if there == member.size:
            self.kept += 1
            return
        # Power failures leave empty files.
        if there:
            raise HarnessError(
                f"{target} is there with {there:,} bytes, but has {member.size:,} in {member.where}",
                str(path),
                "move it away, or prepare into another folder",
            )
        with self._written(path) as temporary:
            if not (member.path is not None and _linked(member.path, temporary)):
                _copy(member, temporary)

    def convert(self, member: Member, target: str, change: Callable[[bytes, str], bytes]) -> None:
        """Writes what becomes of a member's content; a target that is there is left as it is.

        Args:
            member: Read into memory.
            target: Path below the root.
            change: Given the content and its place for messages.

        Raises:
            HarnessError: As :meth:`place`, and what ``change`` raises.
        """
        path = self.root / target
        if _size(path):
            self.kept += 1
            return
        content = change(read_small(member), member.where)
        with self._written(path) as temporary, _writing(path):
            temporary.write_bytes(content)

    def move(self, source: str, target: str) -> None:
        """Gives a file below the root another name."""
        path = self.root / target
        with _writing(path):
            self._make_folder(path.parent)
            # Renaming does nothing where both are names of one file.
            if path.exists() and path.samefile(self.root / source):
                (self.root / source).unlink()
            else:
                os.replace(self.root / source, path)

    def write_list(self, target: str, lines: Iterable[str], unit: str) -> None:
        """Writes a list of one entry a line; another one that was there gets the suffix ``.old``.

        Args:
            target: Path below the root.
            lines: Without their ends.
            unit: What a line stands for, for the note in :attr:`made`.
        """
        path = self.root / target
        texts = list(lines)
        content = "".join(f"{line}\n" for line in texts).encode()
        note = f"{target}: {len(texts):,} {unit}"
        with _writing(path):
            if path.is_file() and path.read_bytes() != content:
                os.replace(path, path.with_name(f"{path.name}.old"))
                note += f" (the one before is now {path.name}.old)"
        write_whole(path, content)
        self.made.append(note)

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)

    @contextlib.contextmanager
    def _written(self, path: Path) -> Iterator[Path]:
        """A temporary file beside the target, renamed at the end and removed where that is not reached.

        Its name is always the same, so that the next run takes the place of one that a killed run left.
        """
        temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
        with _writing(path):
            self._make_folder(path.parent)
            temporary.unlink(missing_ok=True)
        try:
            yield temporary
            with _writing(path):
                temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self.written += 1


def read_small(member: Member) -> bytes:
    """The whole content of a list or a label map.

    Raises:
        HarnessError: It is larger than any official one; the archive is damaged.
    """
    with member.open() as stream:
        content = stream.read(KEEP_LIMIT + 1)
    if len(content) > KEEP_LIMIT:
        raise HarnessError(
            f"{member.name} is larger than {KEEP_LIMIT >> 20} MB", member.where, "take the official archive"
        )
    return content


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _linked(source: Path, target: Path) -> bool:
    """Whether a second name could be made for a file: not across disks, and not for another user's file."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        return False
    return True


def _copy(member: Member, target: Path) -> None:
    with member.open() as stream, _writing(target), target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)
        if out.tell() != member.size:
            raise HarnessError(
                f"has {out.tell():,} bytes, not {member.size:,}", member.where, "take the official archive again"
            )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns a failed write into an error that says how to mend it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HarnessError(
                f"no space left for {path.name.removeprefix('.').removesuffix(TEMPORARY_SUFFIX)}",
                str(path.parent),
                "free some space (or raise the quota) and run the same command again: it goes on where it stopped",
            ) from error
        raise HarnessError(
            f"cannot write {path.name}: {error.strerror or error}",
            str(path.parent),
            "make the folder writable, or choose another one with --data",
        ) from error
