"""The fake SLURM for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.schedule.slurm.fake import FakeSlurm


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A fake SLURM, its commands first on this process's PATH."""
    fake = FakeSlurm(tmp_path / "fake slurm")
    monkeypatch.setenv("PATH", fake.environment()["PATH"])
    return fake
