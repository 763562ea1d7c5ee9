"""Reading the plain-text lists of data sets: one entry a line, checked before it is believed."""

from __future__ import annotations

from pathlib import Path

from results.errors import HarnessError

LABEL_LIMIT = 1_000_000
"""No data set of the suite comes near it; a larger label is a broken line and would ask for a head of that size."""

_MEND = "correct it, or take the official list again"
_FLAGS = {"1": 1, "-1": -1, "0": 0}


def read_bytes(path: Path) -> bytes:
    """Reads a file of a data set.

    Raises:
        HarnessError: Missing, a folder, or not readable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(
            f"cannot read {path.name}: {error.strerror or error}",
            str(path),
            "see what else is missing: python -m harness data check --data DIR",
        ) from error


def read_lines(path: Path) -> list[str]:
    """Reads a list of one entry a line.

    Raises:
        HarnessError: Missing, not readable, empty, or not UTF-8 (names the line).
    """
    data = read_bytes(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_line(path, data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise HarnessError(f"{path.name} is empty", str(path), "take the official list again")
    return lines


def bad_line(path: Path, number: int, what: str) -> HarnessError:
    """The error for line ``number`` (from 1) of ``path``."""
    return HarnessError(f"line {number} of {path.name} {what}", f"{path}:{number}", _MEND)


def safe_name(path: Path, number: int, name: str) -> str:
    """Accepts a relative file name that stays below its folder.

    Raises:
        HarnessError: It is empty, absolute, climbs with ``..``, or holds a character that no file name has.
    """
    if not name or name[0] == "/" or ".." in name or "\0" in name or "\\" in name:
        check_name(name, f"line {number} of {path.name}", f"{path}:{number}")
    return name


def check_name(name: str, what: str, where: str) -> None:
    """Refuses a file name that does not stay below its folder.

    Raises:
        HarnessError: It is empty, absolute, climbs with ``..``, or holds a character that no file name has.
    """
    if not name:
        raise HarnessError(f"{what} names no file", where, _MEND)
    if name[0] == "/" or "\0" in name or "\\" in name or ".." in name.split("/"):
        raise HarnessError(f"{what} names a file outside the data set: {name[:200]!r}", where, _MEND)


def labelled_entry(path: Path, number: int, line: str) -> tuple[str, int]:
    """Splits ``relative/name.jpg 3`` at its last space.

    Raises:
        HarnessError: No label, a label that is no number from 0 on, an unsafe name.
    """
    name, _, label = line.rstrip().rpartition(" ")
    name = name.rstrip()
    if not name:
        raise bad_line(path, number, "has no label" if label else "is empty")
    if not (label.isascii() and label.isdigit()):
        raise bad_line(path, number, f"has a label that is not a whole number from 0 on: {label!r}")
    if len(label) > 7 or int(label) >= LABEL_LIMIT:
        raise bad_line(path, number, f"has a label that is too large: {label[:20]}")
    return safe_name(path, number, name), int(label)


def image_name(path: Path, number: int, line: str) -> str:
    """An image's name without folder and suffix, as in VOC's ``trainval.txt``.

    Raises:
        HarnessError: Empty, unsafe, or more than a name.
    """
    name = safe_name(path, number, line.strip())
    if "/" in name or " " in name or "\t" in name:
        raise bad_line(path, number, f"is not the name of an image: {name!r}")
    return name


def flagged_entry(path: Path, number: int, line: str) -> tuple[str, int]:
    """An image's name and 1 (present), -1 (absent) or 0 (only difficult objects), as in VOC's class lists.

    Raises:
        HarnessError: Anything else.
    """
    fields = line.split()
    if len(fields) != 2 or fields[1] not in _FLAGS:
        raise bad_line(path, number, f"is not 'image 1', 'image -1' or 'image 0': {line[:80]!r}")
    return image_name(path, number, fields[0]), _FLAGS[fields[1]]
