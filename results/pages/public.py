"""What may stand under ``pages/``: texts without absolute paths, and file names for any label."""

from __future__ import annotations

import hashlib
import re

_QUOTED_PATH = re.compile(r"""(?P<quote>['"`])(?:~|[A-Za-z]:|file:/*)?[/\\](?P<inside>[^'"`]*)(?P=quote)""")
_HOME = re.compile(r"(?<![\w./:<])/(?:home|Users)/[^/\s'\"`:,;)]+")
_PATH = re.compile(r"(?<![\w./:<\\])(?:file:/*|~|[A-Za-z]:(?=[\\/]))?[/\\]+(?P<inside>[\w.][^\s'\"`:,;()]*)")

_PLAIN_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HASH_CHARACTERS = 10
_LOOKS_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH_CHARACTERS}}}")

MODEL_ZOO = "model_zoo"
"""File name, without its ending, of the page with all labels."""


def public_text(text: str) -> str:
    """A text for a page: one line, without absolute paths, of which the last part is left.

    Args:
        text: For example the reason of a failed job.

    Returns:
        ``"cannot read '/data/x/list.txt'"`` becomes ``"cannot read 'list.txt'"``.
    """
    line = " ".join(text.split())
    line = _QUOTED_PATH.sub(lambda match: f"{match['quote']}{_last_part(match['inside'])}{match['quote']}", line)
    line = _HOME.sub("~", line)
    return _PATH.sub(lambda match: _last_part(match["inside"]), line)


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def page_stem(label: str) -> str:
    """File name of a label's page, without its ending. Two labels never share one.

    A plain label is its own file name. Any other is cut down to safe characters and ends in a hash of the label,
    and so does a plain one that looks like such a name or like a page of ours.

    Args:
        label: Any text.

    Returns:
        ASCII letters, digits, ``.``, ``_`` and ``-``; at most 80 characters, the first a letter or digit.
    """
    taken = label.lower() == MODEL_ZOO or _LOOKS_HASHED.fullmatch(label)
    if _PLAIN_LABEL.fullmatch(label) and not taken:
        return label
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-._")[: 80 - _HASH_CHARACTERS - 1] or "label"
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe}-{digest[:_HASH_CHARACTERS]}"
