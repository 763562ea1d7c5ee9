"""A tiny learnable data set in ImageNet's layout, an untrained backbone, and jobs of linear evaluations on them."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.base import Benchmark, JobContext, Numerics
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.input_convention import input_convention
from results.record import DataStamp

if TYPE_CHECKING:
    import torch

COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))
"""Mean colour of each class."""


@functools.cache
def untrained() -> tuple[dict[str, torch.Tensor], str]:
    """An untrained backbone whose running statistics are not the trivial ones, and its digest."""
    import torch

    from benchmarks.backbone import digest, random_backbone

    tensors = random_backbone(1)
    generator = torch.Generator().manual_seed(0)
    for name, value in tensors.items():
        if name.endswith(("running_mean", "bias")):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return tensors, digest(tensors)


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A folder with a data root, a backbone and attempts."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "data"

    @property
    def classes(self) -> int:
        return len(COLOURS)

    def write_images(self, train: int, val: int) -> None:
        """Noisy images of 40 x 30 pixels whose colour is their class; so many images a class."""
        from PIL import Image

        generator = np.random.default_rng(0)
        for split, count in (("train", train), ("val", val)):
            lines = []
            for label, colour in enumerate(COLOURS):
                folder = self.root / "imagenet" / split / f"n{label:08d}"
                folder.mkdir(parents=True)
                for number in range(count):
                    pixels = np.array(colour) + generator.normal(0, 20, (30, 40, 3))
                    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                    image.save(folder / f"{number}.JPEG", "JPEG", quality=95)
                    lines.append(f"{folder.name}/{number}.JPEG {label}")
            lists = self.root / "imagenet" / "meta"
            lists.mkdir(exist_ok=True)
            (lists / f"{split}.txt").write_text("\n".join(lines) + "\n")

    def job(self, previous: tuple[Path, ...] = (), benchmark: Benchmark | None = None, **fields: Any) -> JobContext:
        """A job of ``imagenet_mhead``, or another, in a new attempt; ``fields`` replace those of the protocol."""
        from benchmarks.backbone import write_backbone

        tensors, found = untrained()
        path = self.folder / "backbone.safetensors"
        if not path.exists():
            write_backbone(path, tensors)
        attempt = self.folder / f"attempt-{len(list(self.folder.glob('attempt-*')))}"
        attempt.mkdir()
        small = {"epochs": 1, "milestones": (), "crop": 32, "short_edge": 36, "batch_size": 9, "batch_size_per_rank": 9}
        measured = benchmark or ImagenetMhead()
        overrides = {name: value for name, value in small.items() if name in measured.table} | fields
        return JobContext(
            protocol=measured.protocol(profile="smoke", overrides=overrides),
            backbone=path,
            digest=found,
            input=input_convention("rgb-mean-std"),
            data_root=self.root,
            data=DataStamp("imagenet", "0" * 64, {"classes": self.classes}),
            seed=0,
            numerics=Numerics(),
            attempt=attempt,
            features=None,
            previous=previous,
            threads=1,
            device="cpu",
        )


@pytest.fixture(scope="session")
def tiny_at() -> type[Tiny]:
    """Makes a :class:`Tiny` of a folder."""
    return Tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A :class:`Tiny` in a folder of its own."""
    return Tiny(tmp_path)


@pytest.fixture(scope="session")
def untrained_tensors() -> dict[str, torch.Tensor]:
    """The backbone of every :class:`Tiny`."""
    return untrained()[0]
