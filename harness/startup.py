"""Checks before anything else is imported: that the modules are ours and the toolboxes are installed once."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

SIBLINGS = ("results", "benchmarks", "pretrain")

DOUBLED = {
    "onedl-mmengine": ("mmengine",),
    "onedl-mmcv": ("mmcv", "mmcv-lite", "mmcv-full"),
    "onedl-mmpretrain": ("mmpretrain", "mmcls"),
    "onedl-mmdetection": ("mmdet",),
    "onedl-mmsegmentation": ("mmsegmentation",),
}
"""Distributions that write the same files as the maintained ones (left); the last installed wins silently."""


def code_root() -> Path:
    """The folder that holds the package ``harness``."""
    return Path(__file__).resolve().parent.parent


def foreign_modules() -> list[tuple[str, str]]:
    """Packages that Python would import in place of ours, as (name, path); folders of users bear such names."""
    found = []
    for name in SIBLINGS:
        spec = importlib.util.find_spec(name)
        # A folder without __init__.py has no origin, only places.
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        origin = (spec.origin if spec is not None else None) or next(iter(places), "not found")
        if spec is None or spec.origin is None or Path(origin).resolve().parent != code_root() / name:
            found.append((name, origin))
    return found


def doubled_distributions() -> list[tuple[str, str]]:
    """Pairs of installed distributions that overwrite each other, as (maintained, other)."""
    installed = {
        re.sub("[-_.]+", "-", distribution.name or "").lower() for distribution in importlib.metadata.distributions()
    }
    return [
        (maintained, other)
        for maintained, others in DOUBLED.items()
        if maintained in installed
        for other in others
        if other in installed
    ]


def refuse_mixed_installation() -> None:
    """Exits with status 2 where modules are not ours or toolboxes are doubled.

    It prints by itself: the module with the error class is one of those that may be foreign.
    """
    problems = [
        f"the Python package '{name}' is not the harness's own\n"
        f"  where: {origin}\n"
        "  mend:  run from another folder, or start with `python -P -m harness`"
        for name, origin in foreign_modules()
    ]
    problems += [
        f"two distributions provide the same files: {maintained} and {other}\n"
        "  where: this Python environment\n"
        f"  mend:  python -m pip uninstall -y {other} {maintained} && python -m pip install --no-deps {maintained}"
        for maintained, other in doubled_distributions()
    ]
    if problems:
        print("\n".join(f"error: {problem}" for problem in problems), file=sys.stderr)
        raise SystemExit(2)
