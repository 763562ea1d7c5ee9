"""A tiny ImageNet, and pretraining jobs on it that take seconds."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from benchmarks.base import Numerics, TrainingContext
from harness.job import Job
from harness.ledger import JobFolder
from harness.order import Order
from harness.payload import run_job
from harness.pretraining import plan_pretraining
from harness.settings import Settings
from pretrain.simclr import SimCLR
from results.record import DataStamp
from results.workspace import Workspace

IMAGES, BATCH = 12, 4

SMALL: dict[str, Any] = {
    "epochs": 2,
    "warmup_epochs": 1,
    "batch_size": BATCH,
    "batch_size_per_rank": BATCH,
    "crop": 32,
}
"""Fields with which the smoke profile takes seconds."""


def write_images(root: Path) -> None:
    """Noisy images of 40 x 30 pixels in three colours; as many in ``val``, which nothing reads."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        lines = []
        for number in range(IMAGES):
            label = number % 3
            name = f"n{label:08d}/{number}.JPEG"
            path = root / "imagenet" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.roll((200, 60, 60), label) + generator.normal(0, 20, (30, 40, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=95)
            lines.append(f"{name} {label}\n")
        meta = root / "imagenet" / "meta" / f"{split}.txt"
        meta.parent.mkdir(parents=True, exist_ok=True)
        meta.write_text("".join(lines))


@dataclasses.dataclass(frozen=True)
class Studio:
    """A workspace beside the tiny data, and jobs run in this process."""

    folder: Path
    data: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "work")

    def settings(self, **changes: Any) -> Settings:
        fields: dict[str, Any] = {"profile": "smoke", "data": self.data, "workspace": self.workspace.root}
        return Settings(**{**fields, **changes})

    def plan(self, seed: int = 0, settings: dict[str, Any] | None = None, **fields: Any) -> Job:
        sets = [f"{SimCLR.name}.{name}={value}" for name, value in {**SMALL, **fields}.items()]
        return plan_pretraining(SimCLR.name, self.settings(**(settings or {})), seed, sets).job

    def place(self, job: Job) -> JobFolder:
        folder = JobFolder(self.workspace.pretrain / job.name)
        folder.write_spec(job.to_dict())
        return folder

    def run(self, folder: JobFolder) -> str:
        order = Order(str(self.workspace.root), folder.name, None, (), own_process=False, room="pretrain")
        return run_job(order)

    def context(self, protocol: Any) -> TrainingContext:
        attempt = self.folder / "attempt"
        attempt.mkdir(exist_ok=True)
        return TrainingContext(
            protocol=protocol,
            data_root=self.data,
            data=DataStamp("imagenet", "0" * 64, {"classes": 3}),
            seed=0,
            numerics=Numerics(),
            attempt=attempt,
            previous=(),
            threads=1,
            device="cpu",
        )


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    write_images(root)
    return root


@pytest.fixture
def studio(tmp_path: Path, tiny_images: Path) -> Iterator[Studio]:
    """A studio whose slots are its own: whoever runs jobs on this host does not hold the tests up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    (tmp_path / "tmp").mkdir()
    with (
        mock.patch.dict(os.environ, {**kept, "TMPDIR": str(tmp_path / "tmp")}, clear=True),
        mock.patch.object(tempfile, "tempdir", str(tmp_path / "tmp")),
    ):
        yield Studio(tmp_path, tiny_images)
