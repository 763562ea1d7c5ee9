"""Checks on protocol fields that a user may have replaced with ``--set``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.protocol import Field, Protocol
from results.errors import HarnessError


def require_unchanged(protocol: Protocol, table: Mapping[str, Field], names: Iterable[str]) -> None:
    """Checks fields that say how the probe works and of which it knows only the one way.

    Raises:
        HarnessError: One of them has another value than in the table.
    """
    for name in names:
        if protocol[name] != table[name].value:
            raise HarnessError(
                f"{protocol.name} knows no {name} but {table[name].value!r}",
                f"{protocol.name}.{name}",
                f"leave {name} out of --set",
            )


def require_at_least(protocol: Protocol, least: Mapping[str, float]) -> None:
    """Checks numbers, or each number of a list that must not be empty.

    Args:
        protocol: The table.
        least: Smallest allowed value by field; 0 stands for "more than 0".

    Raises:
        HarnessError: A number is too small, a list is empty or has an entry twice.
    """
    for name, bound in least.items():
        value = protocol[name]
        entries = value if isinstance(value, tuple) else (value,)
        small = [entry for entry in entries if not (entry >= bound if bound else entry > 0)]
        if small or not entries or len(set(entries)) < len(entries):
            rule = f"at least {bound:g}" if bound else "more than 0"
            raise HarnessError(
                f"{name} of {protocol.name} cannot be {value!r}: each entry once and {rule}",
                f"{protocol.name}.{name}",
                "mend the value given with --set",
            )
