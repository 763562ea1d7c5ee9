"""Small worlds for the doctor: settings in a fresh folder, a PATH of small scripts, packages that stand in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.catalogue import select
from harness.doctor.data import counts_of
from harness.doctor.subject import Subject
from harness.schedule.slurm.cluster import configuration
from harness.settings import load_settings
from tests.harness.programs import put_on_path

Programs = Callable[..., None]
MakeSubject = Callable[..., Subject]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder without settings, a machine without GPUs and SLURM, and nothing remembered."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HARNESS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    put_on_path(monkeypatch, tmp_path / "bin", {})
    configuration.cache_clear()
    counts_of.cache_clear()
    yield
    configuration.cache_clear()
    counts_of.cache_clear()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts scripts on the PATH, by their names."""
    return lambda **texts: put_on_path(monkeypatch, tmp_path / "bin", texts)


@pytest.fixture
def subject(tmp_path: Path) -> MakeSubject:
    """Makes what is looked at, with the smoke profile unless told."""

    def make(suite: str = "imagenet_knn", **settings: Any) -> Subject:
        made = load_settings(
            {"suite": suite, "profile": "smoke", "data": tmp_path / "data", "workspace": tmp_path / "work", **settings}
        )
        return Subject(made, select(suite))

    return make


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Writes modules that a child imports before those that are installed: a path and its text."""
    site = tmp_path / "stand-ins"
    site.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(site))

    def write(name: str, text: str) -> None:
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write
