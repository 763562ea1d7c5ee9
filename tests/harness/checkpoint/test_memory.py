"""Intake takes at most twice the file's size of memory, and of a large file only what the backbone needs."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[3]
Tensors = dict[str, torch.Tensor]

PROBE = """
    import sys
    import torch, numpy, yaml
    from torchvision.models import resnet50
    from harness.checkpoint.formats import catalogue
    from harness.checkpoint.intake import examine

    def peak():
        return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024

    before = peak()
    facts, tensors = examine(sys.argv[1])
    print(peak() - before)
"""

SLACK = 24
"""Megabytes for what is not weights: lists, modules that are imported on the way."""


def growth(path: Path) -> float:
    """Megabytes that examining a file adds to a process."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROBE), str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(ran.stdout)


def write_npz(path: Path, weights: Tensors) -> None:
    with path.open("wb") as stream:
        np.savez(stream, **{name: value.numpy() for name, value in weights.items()})  # type: ignore[arg-type]


WRITERS: dict[str, Callable[[Path, Tensors], object]] = {
    "zip": lambda path, weights: torch.save(weights, path),
    "legacy": lambda path, weights: torch.save(weights, path, _use_new_zipfile_serialization=False),
    "safetensors": lambda path, weights: save_file(weights, path),
    "pickle": lambda path, weights: path.write_bytes(
        pickle.dumps({name: value.numpy() for name, value in weights.items()}, protocol=4)
    ),
    "npz": write_npz,
}


@pytest.mark.parametrize("form", WRITERS)
def test_at_most_twice_the_file(tensors: Tensors, tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.pth"
    WRITERS[form](path, tensors)
    size = path.stat().st_size / 2**20
    found = growth(path)
    print(f"{form}: file {size:.0f} MiB, memory {found:.0f} MiB")
    assert found < 2 * size + SLACK


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_what_is_not_the_backbone_is_not_read(tensors: Tensors, tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.pth"
    named = {f"module.encoder_q.{name}": value for name, value in tensors.items()}
    queue = {"module.queue": torch.zeros(100 * 2**20 // 4), "module.memory": torch.zeros(200 * 2**20 // 4)}
    torch.save({"state_dict": named | queue}, path, _use_new_zipfile_serialization=form == "zip")
    backbone = sum(value.nbytes for value in tensors.values()) / 2**20
    found = growth(path)
    print(f"{form}: file {path.stat().st_size / 2**20:.0f} MiB, memory {found:.0f} MiB")
    assert found < 2 * backbone + SLACK
