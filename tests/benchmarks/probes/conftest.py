from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.backbone import digest, random_backbone, write_backbone


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    path: Path
    digest: str
    tensors: Mapping[str, torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are quicker so where other processes want the cores too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_initialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time goes into drawing weights that the checkpoint then replaces."""
    for name in ("kaiming_normal_", "kaiming_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A random backbone whose running statistics are not those of a fresh network."""
    tensors = random_backbone(0)
    generator = torch.Generator().manual_seed(1)
    for name, value in tensors.items():
        if name.endswith(("running_mean", "bias")):
            tensors[name] = value + 0.1 * torch.randn(value.shape, generator=generator)
    path = tmp_path_factory.mktemp("backbone") / "backbone.safetensors"
    write_backbone(path, tensors)
    return Checkpoint(path, digest(tensors), tensors)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's layout: 7 training and 2 validation images of odd sizes, PNG content so that decoders agree."""
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for split, sizes in {"train": ((67, 100), (100, 67), (64, 64), (71, 95), (90, 64), (33, 60), (80, 81))}.items():
        _write_split(root, split, sizes, generator)
    _write_split(root, "val", ((77, 121), (65, 65)), generator)
    return root


def _write_split(root: Path, split: str, sizes: tuple[tuple[int, int], ...], generator: np.random.Generator) -> None:
    lines = []
    for number, (height, width) in enumerate(sizes):
        name = f"n0000000{number % 2}/{split} {number}.JPEG"
        path = root / "imagenet" / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(path, format="PNG")
        lines.append(f"{name} {number % 2}\n")
    meta = root / "imagenet" / "meta"
    meta.mkdir(exist_ok=True)
    (meta / f"{split}.txt").write_text("".join(lines))
