"""A loop with processes that only pretend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.job import PlannedJob
from harness.schedule import loop as loop_module
from harness.schedule.loop import Loop
from harness.settings import Settings
from results.workspace import Workspace
from tests.harness.schedule.pretence import FeatureFolders, Pretence, Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    monkeypatch.setattr(loop_module, "POLL_SECONDS", 0.0)

    def build(jobs: Sequence[PlannedJob], pretence: Pretence | None = None, **settings: Any) -> Stage:
        pretence = pretence or Pretence()
        notes: list[tuple[str, str, str]] = []
        made = Loop(
            Workspace(tmp_path),
            jobs,
            pretence,
            Settings(workspace=tmp_path, **settings),
            pretence,
            lambda *words: notes.append(words),
        )
        return Stage(made, pretence, notes)

    return build


@pytest.fixture
def features(tmp_path: Path) -> FeatureFolders:
    return FeatureFolders(Workspace(tmp_path))
