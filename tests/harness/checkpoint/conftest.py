"""Weights for the tests of intake: one full ResNet-50 a session, and a small network where size does not matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import benchmarks.backbone
from benchmarks.backbone import random_backbone, tensor_shapes
from harness.checkpoint.formats import write_mmpretrain
from harness.checkpoint.read import CheckpointFile


@pytest.fixture(scope="session")
def tensors() -> dict[str, torch.Tensor]:
    """A full backbone; never change a tensor of it in place."""
    found = random_backbone(0)
    assert len(found) == 265, "the fixture 'small' must not be in force while this one is made"
    return found


@pytest.fixture(scope="session")
def mm_file(tensors: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same backbone as a full checkpoint in mmpretrain's form."""
    path = tmp_path_factory.mktemp("checkpoints") / "simclr.pth"
    write_mmpretrain(path, tensors)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Shrinks the canonical backbone to a stem and two blocks: 9 convolutions and 9 batch norms, 2 MB instead of 94."""
    monkeypatch.setattr(benchmarks.backbone, "STAGE_BLOCKS", (1, 1, 0, 0))
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for name, shape in tensor_shapes().items()}


def mm_content(tensors: dict[str, torch.Tensor], **changes: object) -> CheckpointFile:
    """A full mmpretrain checkpoint in memory, with some tensors replaced (None: left out)."""
    named = {f"backbone.{name}": value for name, value in {**tensors, **changes}.items() if value is not None}
    return CheckpointFile({"meta": {}, "state_dict": named}, "zip")
