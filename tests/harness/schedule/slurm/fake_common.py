"""What the fake commands share: ending in an error, and lines made of a format. Standard library only."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from fake_state import Job, State, newest

UNKNOWN_TO_THE_FAKE = 70


def fail(message: str, status: int = 1) -> NoReturn:
    """Ends the command with a message on standard error."""
    print(message, file=sys.stderr)
    sys.exit(status)


def not_faked(what: str) -> NoReturn:
    fail(f"the fake does not know {what}", UNKNOWN_TO_THE_FAKE)


def is_at_least(state: State, version: str) -> bool:
    """Whether the SLURM that is played is that new."""
    return [int(part) for part in state["version"].split(".")[:2]] >= [int(part) for part in version.split(".")]


def in_queue(state: State) -> list[Job]:
    return newest([job for job in state["jobs"] if job["in_queue"]])


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def filled(form: str, fields: dict[str, Callable[[Any], str]], row: Any) -> str:
    """A line of squeue's or sinfo's: ``%i|%T`` with the values in it."""
    return re.sub(r"%(.)", lambda match: field(fields, match[1], row), form)


def field(fields: dict[str, Callable[[Any], str]], code: str, row: Any) -> str:
    return fields[code](row) if code in fields else not_faked(f"the format %{code}")
