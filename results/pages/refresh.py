"""Sections of a hand-written README, between markers, made anew from the records; the rest is not touched."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from results.errors import HarnessError
from results.files import explain_os_error, write_whole

BEGIN = re.compile(r"[ \t]*<!--\s*harness:begin\s+(?P<part>[\w-]+)(?:\s+(?P<page>.+?))?\s*-->[ \t]*")
END = re.compile(r"[ \t]*<!--\s*harness:end\s*-->[ \t]*")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
MEND = "write `<!-- harness:begin PART -->` and `<!-- harness:end -->`, each on a line of its own"


@dataclasses.dataclass(frozen=True)
class _Between:
    """What stands between two markers."""

    part: str
    page: str
    lines: int


def refresh(text: str, where: str, part_of: Callable[[str, str], str], optional: bool = False) -> str:
    """Replaces what stands between markers; line endings stay as they are.

    Args:
        text: The README.
        where: Its name, for errors.
        part_of: Gives the text of a part (a benchmark, ``results`` or ``provenance``) of a page (an algorithm or a
            label; empty for the only one).
        optional: Whether there may be no marker at all.

    Raises:
        HarnessError: A marker without its partner, one inside another, or no marker where it is not optional.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    pieces = _pieces(text, where)
    if not optional and all(isinstance(piece, str) for piece in pieces):
        raise HarnessError("there is no marker to refresh", where, MEND)
    made = []
    for piece in pieces:
        if isinstance(piece, _Between):
            body = part_of(piece.part, piece.page).strip("\n")
            piece = f"\n{body}\n\n".replace("\n", newline)
        made.append(piece)
    return "".join(made)


def outside(text: str) -> str:
    """What a README says outside of markers, on the same lines: those between markers are empty."""
    return "".join(piece if isinstance(piece, str) else "\n" * piece.lines for piece in _pieces(text, ""))


def _pieces(text: str, where: str) -> list[str | _Between]:
    """Lines outside of markers, the markers among them, and what stands between."""
    pieces: list[str | _Between] = []
    opened: tuple[int, str, str] | None = None
    fence = ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        bare = line.rstrip("\r\n")
        fence = _fence_after(fence, bare) if opened is None else ""
        begin, end = (None, None) if fence else (BEGIN.fullmatch(bare), END.fullmatch(bare))
        if begin and opened:
            raise HarnessError(f"a marker begins inside that of line {opened[0]}", f"{where}, line {number}", MEND)
        if end and not opened:
            raise HarnessError("a marker ends what did not begin", f"{where}, line {number}", MEND)
        if end and opened:
            pieces.append(_Between(opened[1], opened[2], number - opened[0] - 1))
            opened = None
        if opened is None:
            pieces.append(line)
        if begin:
            opened = number, begin["part"], begin["page"] or ""
    if opened:
        raise HarnessError("a marker does not end", f"{where}, line {opened[0]}", MEND)
    return pieces


def _fence_after(fence: str, line: str) -> str:
    """The fence of the code block that a line is in, empty outside; what a block shows is no marker."""
    found = FENCE.match(line)
    if not fence:
        return found[1] if found else ""
    closes = found and found[1].startswith(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


def read_readme(path: Path) -> str:
    """A README with its line endings as they are.

    Raises:
        HarnessError: It is missing or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise HarnessError(f"cannot read {path.name}: {reason}", str(path), "name a README in UTF-8") from error


def refresh_file(path: Path, part_of: Callable[[str, str], str]) -> bool:
    """Refreshes a file in place; whether it changed. Its permissions stay.

    Raises:
        HarnessError: As :func:`refresh`; the file cannot be read or written.
    """
    before = read_readme(path)
    after = refresh(before, str(path), part_of)
    if after == before:
        return False
    try:
        mode = path.stat().st_mode & 0o7777
        # A link leads to the file that is meant; renaming over it would replace the link.
        target = path.resolve(strict=True)
        write_whole(target, after)
        target.chmod(mode)
    except OSError as error:
        raise explain_os_error(error, path) from error
    return True
