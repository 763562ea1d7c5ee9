"""A small world for tests of scheduling: a tiny ImageNet, a warm backbone cache, and a third party's benchmark that
needs no torch, brought in through the entry-point group as any other would be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.world import World

THIRD_PARTY = """
import os, time, uuid
from pathlib import Path
from benchmarks.base import Benchmark, Outcome, Resources
from benchmarks.protocol import Field
from results.record import Column, MetricValue


class Counting(Benchmark):
    name = "counting"
    title = "Counting"
    group = "classification"
    data = "imagenet"
    version = 1
    random = True
    table = {"iterations": Field(3, "test"), "seconds": Field(0.0, "test"), "behaviour": Field("succeed", "test")}
    smoke = {"iterations": 1}

    def columns(self, protocol):
        return (Column("count", "Count", 1),)

    def resources(self, protocol):
        return Resources(gpus=1, hours=0.1)

    def remembers(self, context):
        if any((folder / "toolbox" / "epoch_1.pth").exists() for folder in context.previous):
            return True
        (context.attempt / "toolbox").mkdir()
        (context.attempt / "toolbox" / "epoch_1.pth").touch()
        return False

    def run(self, context):
        diary = Path(os.environ["COUNTING_DIARY"])
        diary.mkdir(exist_ok=True)
        (diary / f"started-{uuid.uuid4().hex}").write_text(context.attempt.parent.parent.name)
        if context.protocol["behaviour"] != "remember" or not self.remembers(context):
            time.sleep(context.protocol["seconds"])
        if context.protocol["behaviour"] == "fail" and not (diary / "mended").exists():
            raise RuntimeError("broken on purpose")
        (diary / f"worked-{uuid.uuid4().hex}").write_text(context.attempt.parent.parent.name)
        return Outcome({"count": MetricValue(context.protocol["iterations"] + (context.seed or 0) / 3)})


class Another(Counting):
    name = "another"
    title = "Another"
"""


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that has taken random:0 in, so that planning needs no torch."""
    from harness.checkpoint.intake import take_in
    from results.workspace import Workspace

    folder = tmp_path_factory.mktemp("warm")
    take_in("random:0", Workspace(folder))
    return folder


def make_tiny_imagenet(root: Path) -> None:
    """Two classes, two images a split, one grey pixel each: enough for lists and fingerprints."""
    from PIL import Image

    for split in ("train", "val"):
        lines = []
        for label, synset in enumerate(("n01440764", "n01443537")):
            name = f"{synset}/{split}_{label}.JPEG"
            path = root / "imagenet" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (1, 1), (90, 90, 90)).save(path)
            lines.append(f"{name} {label}\n")
        meta = root / "imagenet" / "meta" / f"{split}.txt"
        meta.parent.mkdir(parents=True, exist_ok=True)
        meta.write_text("".join(lines))


@pytest.fixture
def world(tmp_path: Path, warm: Path) -> Iterator[World]:
    """A fresh world; whatever still runs in it is killed at the end."""
    made = World(tmp_path)
    site = tmp_path / "site"
    information = site / "third_party-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "third_party_benchmarks.py").write_text(THIRD_PARTY)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[harness.benchmarks]\ncounting = third_party_benchmarks:Counting\nanother = third_party_benchmarks:Another\n"
    )
    make_tiny_imagenet(made.data)
    (tmp_path / "tmp").mkdir()
    made.workspace.mkdir()
    (made.workspace / "backbones").symlink_to(warm / "backbones")
    shutil.copytree(warm / "cache", made.workspace / "cache")
    yield made
    made.kill_jobs()
