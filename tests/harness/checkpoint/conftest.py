"""Weights for the tests of intake: one full ResNet-50 a session, and a small network where size does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import benchmarks.backbone
from benchmarks.backbone import random_backbone, tensor_shapes
from harness.checkpoint.exports import write_mmpretrain
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.stored import InMemory


def trained(seed: int) -> dict[str, torch.Tensor]:
    """A backbone of the present shape whose every tensor is random: statistics too, variances above zero."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(shape, generator=generator) + (0.1 if name.endswith("running_var") else -0.5)
        for name, shape in tensor_shapes().items()
    }


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
    return trained(0)


def in_memory(content: Mapping[Any, Any], metadata: Mapping[str, str] | None = None) -> CheckpointFile:
    """A file that was never written: tensors anywhere in the mapping count as read."""
    return CheckpointFile(_stored(content), "zip", metadata or {})


def _stored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _stored(item) for key, item in value.items()}
    return InMemory(value) if isinstance(value, torch.Tensor) else value


def prefixed(prefix: str, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights with something before every name."""
    return {prefix + name: value for name, value in weights.items()}
