"""Objects that installed packages bring through entry points."""

from __future__ import annotations

import importlib.metadata
from typing import TypeVar

from results.errors import HarnessError

Kind = TypeVar("Kind")


def plugins(group: str, kind: type[Kind]) -> dict[str, Kind]:
    """What the entry points of a group bring, in the order of their names.

    Args:
        group: Name of the group.
        kind: What each must be an instance of.

    Returns:
        Objects by the names of their entry points.

    Raises:
        HarnessError: One cannot be loaded or is something else, or two have one name.
    """
    found: dict[str, Kind] = {}
    for entry in sorted(importlib.metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        where = f"entry point {entry.name} = {entry.value} of group {group}"
        try:
            brought = entry.load()
        except Exception as error:
            raise HarnessError(
                f"an entry point cannot be loaded: {error}", where, "mend or uninstall the package that brings it"
            ) from error
        if not isinstance(brought, kind):
            raise HarnessError(
                f"an entry point brings no {kind.__name__}",
                where,
                f"let it name an instance of {kind.__module__}.{kind.__name__}, or uninstall the package",
            )
        if entry.name in found:
            raise HarnessError(
                f"two entry points are called '{entry.name}'", where, "rename one, or uninstall the package of one"
            )
        found[entry.name] = brought
    return found
