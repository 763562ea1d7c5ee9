"""What stands for the parts of a pickle that are no plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness.checkpoint.signature import printable

KEY_BITS = 60
"""Numbers below this are their own hash."""

LISTED = 12
"""Foreign globals that a message names."""


class Global:
    """A name in a pickle that stands for a class or a function.

    Args:
        name: ``module.name`` as in the pickle.
        call: What a call of it gives; None where a call is as inert as the name.
    """

    def __init__(self, name: str, call: Callable[..., Any] | None = None) -> None:
        self.name = name
        self.call = call


class Inert:
    """Stands for an object of a class that is not known here: takes any state, item or member and keeps nothing."""


class Stateful:
    """A value under construction, which a later opcode of the pickle completes."""

    def set_state(self, state: Any) -> None:
        """Completes it."""
        raise NotImplementedError


def is_plain_key(key: Any) -> bool:
    """Whether a key of a dictionary, or a member of a set, can be hashed without risk."""
    if isinstance(key, int):
        return key.bit_length() <= KEY_BITS
    return key is None or isinstance(key, str | bytes)


def plain_key(key: Any) -> Any:
    """A key that can be hashed without risk; anything else becomes one that equals nothing."""
    return key if is_plain_key(key) else Inert()


def listed(foreign: Iterable[str]) -> str:
    """Globals in one line, safe on a terminal."""
    names = sorted(foreign)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(printable(name)[:80] for name in names[:LISTED]) + more
