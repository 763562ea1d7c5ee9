"""How a data set becomes the layout: which files of the official archives go where, and what is made from them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Literal

from benchmarks.datasets.prepare.members import Forms
from benchmarks.datasets.prepare.place import Placer

Kept = Mapping[str, bytes]
"""Small files by the name that their rule gives them."""


@dataclasses.dataclass(frozen=True)
class Rule:
    r"""What happens to members of one form. The first rule that fits counts; members that fit none are left.

    Args:
        pattern: Fits the whole name of a member, whatever folders stand before.
        target: Where it goes below the data root, groups of the pattern as ``\1``; or a function of the match and of
            what was kept so far. With ``keep`` the name under which it is kept.
        how: ``place`` it as it is, ``convert`` it, or ``keep`` it in memory for the end.
        change: With ``convert``: content and its place for messages, to what is written.
    """

    pattern: str
    target: str | Callable[[re.Match[str], Kept], str]
    how: Literal["place", "convert", "keep"] = "place"
    change: Callable[[bytes, str], bytes] = lambda content, where: content

    def match(self, name: str, kept: Kept) -> str | None:
        """Where a member goes; None where the rule does not fit."""
        found = re.fullmatch(rf"(?:.*/)?{self.pattern}", name)
        if found is None:
            return None
        return found.expand(self.target) if isinstance(self.target, str) else self.target(found, kept)


def _nothing(placer: Placer, kept: Kept) -> None:
    """Where the archives hold everything that the layout needs."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One data set.

    Args:
        archives: The official archives, for messages, and to know them in a folder.
        rules: Tried in order.
        finish: Makes lists and the like from what lies there and what was kept.
        first: Part of the name of an archive that is read before the others.
        nested: See :class:`~benchmarks.datasets.prepare.members.Forms`.
    """

    archives: tuple[str, ...]
    rules: tuple[Rule, ...]
    finish: Callable[[Placer, Kept], None] = _nothing
    first: str = ""
    nested: str = ""

    @property
    def forms(self) -> Forms:
        return Forms(self.archives, self.nested)
