"""What a run leaves can be read and written by nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.world import World


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """A umask that lets the group write, as many systems have it; processes inherit it."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if not path.is_symlink())
    return [str(path.relative_to(folder)) for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_everything_that_a_run_makes_is_private(world: World) -> None:
    # What was there before the run.
    known = set(open_to_others(world.workspace))
    world.workspace.chmod(0o700)
    done = world.run()
    assert done.returncode == 0, done.stderr
    assert len(world.results()) == 1
    assert list(world.workspace.glob("jobs/*/submissions/*.pkl"))
    assert set(open_to_others(world.workspace)) <= known


def test_data_sets_are_not_private(world: World) -> None:
    done = world.call("data", "sample", "--data", str(world.folder / "sample"))
    assert done.returncode == 0, done.stderr
    made = [path for path in (world.folder / "sample").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o664}
