"""The one exception that a user sees, and the near-miss suggestion that goes with unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """A mistake or a condition that the user can mend.

    The command line prints it without a traceback and exits with status 2.

    Args:
        what: What is wrong, as one sentence without a full stop.
        where: The file, flag or field in which it is wrong; empty where ``what`` already says it.
        mend: The command or the edit that mends it.
    """

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        super().__init__(what, where, mend)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.mend:
            lines.append(f"  mend:  {self.mend}")
        return "\n".join(lines)


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Says which valid names there are, the nearest first.

    Args:
        name: The name that is not known.
        valid: The names that are.

    Returns:
        ``"did you mean 'x'? valid: x, y"`` or, without a near miss, ``"valid: x, y"``.
    """
    names = sorted(valid)
    listing = f"valid: {', '.join(names)}" if names else "there are none"
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    return f"did you mean '{lowered[near[0]]}'? {listing}" if near else listing
