"""Miniature official archives of every data set, packed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.datasets.prepare.official import archives_of


@pytest.fixture(scope="session")
def small(_small: Path) -> Path:
    """The tree from which the archives were packed; not to be changed."""
    return _small


@pytest.fixture(scope="session")
def packed(_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Path]]:
    """Gives the archives of a data set; not to be changed."""
    home = tmp_path_factory.mktemp("archives")
    made: dict[str, list[Path]] = {}

    def give(name: str) -> list[Path]:
        if name not in made:
            made[name] = archives_of(name, _small, home / name)
        return made[name]

    return give
