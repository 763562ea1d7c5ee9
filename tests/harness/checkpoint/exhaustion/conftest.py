"""No file takes more time or memory than its weights are worth, crashes the interpreter, or reaches beyond itself.

The tests of this folder examine their files in a process with limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import benchmarks.backbone
from benchmarks.backbone import digest, tensor_shapes
from tests.harness.checkpoint.assembly import mmpretrain, save_torch

ROOT = Path(__file__).resolve().parents[4]
MEGABYTES = 400
"""More than any of these files is worth, less than any of them asks for."""

Tensors = dict[str, torch.Tensor]
Examine = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def examine() -> Iterator[Examine]:
    """Examines a file in a process with limits."""
    command = [sys.executable, "-m", "tests.harness.checkpoint.confined"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(path: Path) -> dict[str, Any]:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(f"{path}\n")
            server.stdin.flush()
            found: dict[str, Any] = json.loads(server.stdout.readline())
            assert found["outcome"] in ("refused", "read"), found
            assert found["seconds"] < 10, found
            assert found["megabytes"] < MEGABYTES, found
            assert found.get("length", 0) < 20_000, "a refusal longer than anybody reads"
            return found

        yield ask
        server.stdin.close()


@pytest.fixture(scope="module")
def weights() -> Tensors:
    """As the fixture ``small``, for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.backbone, "STAGE_BLOCKS", (1, 1, 0, 0))
        generator = torch.Generator().manual_seed(0)
        return {name: torch.rand(shape, generator=generator) for name, shape in tensor_shapes().items()}


def refused(found: dict[str, Any]) -> None:
    assert found["outcome"] == "refused", found


def refused_or_right(found: dict[str, Any], weights: Tensors) -> None:
    """For what does no harm to a reader that passes it over."""
    assert found["outcome"] == "refused" or found["digest"] == digest(weights), found


def good_zip(path: Path, weights: Tensors) -> Path:
    return save_torch(path, mmpretrain(weights, {}))
