"""What the doctor says: findings, and checks that give one whatever happens."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from typing import Literal

from results.errors import HarnessError

State = Literal["ok", "warning", "error"]
"""``warning``: a run may suffer from it. ``error``: a run cannot do what is asked."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        name: Of the check.
        state: How bad it is.
        what: What was found, as one sentence without a full stop.
        mend: The command or the edit that mends it; empty where nothing has to be mended.
    """

    name: str
    state: State
    what: str
    mend: str = ""


def _line(text: str) -> str:
    """What commands say over several lines, as one."""
    return " ".join(text.split())


def ok(name: str, what: str) -> Finding:
    """Nothing to be done."""
    return Finding(name, "ok", _line(what))


def warning(name: str, what: str, mend: str) -> Finding:
    """Something that may hurt."""
    return Finding(name, "warning", _line(what), mend)


def error(name: str, what: str, mend: str) -> Finding:
    """Something that will hurt."""
    return Finding(name, "error", _line(what), mend)


ASK = "see what scontrol ping and sinfo say, and ask the administrators"
_ROUND_ABOUT = re.compile(r"(; )?python -m harness doctor[^;]*(; )?")
"""Errors of SLURM's commands send people to the doctor, who need not say so itself."""

Check = Callable[[], Finding | Sequence[Finding]]


def look(name: str, check: Check) -> tuple[Finding, ...]:
    """What a check finds; one that fails gives an error of its name.

    Args:
        name: What the finding of a check that fails is called.
        check: The check.
    """
    try:
        found = check()
    except HarnessError as failed:
        said = f"{failed.what} ({failed.where})" if failed.where else failed.what
        return (error(name, said, _ROUND_ABOUT.sub("", failed.mend) or ASK),)
    except OSError as failed:
        return (error(name, str(failed), "see whether what is named there exists, is yours, and has space"),)
    except Exception as failed:  # noqa: BLE001 - whatever is wrong here, the other checks are still worth their while
        said = (str(failed).strip().splitlines() or [""])[0]
        mend = "this is a fault of the harness: please report it with what python -m harness doctor --json prints"
        return (error(name, f"the check failed: {type(failed).__name__}: {said}", mend),)
    return (found,) if isinstance(found, Finding) else tuple(found)


def name_of(check: Check) -> str:
    """Name of a check: that of its function, in words."""
    function = check.func if isinstance(check, functools.partial) else check
    return getattr(function, "__name__", "check").replace("_", " ")
