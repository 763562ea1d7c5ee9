"""The benchmark ``folder`` from the command line to the page, on a tiny folder with hostile names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.harness.world import World


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes that a glance tells apart, and twelve images of each."""
    root = tmp_path / "my photos"
    generator = np.random.Generator(np.random.PCG64(0))
    for name, colour in (("red {0}", 0), ("blue\nish", 2)):
        for number in range(12):
            pixels = generator.integers(0, 80, (40, 40, 3), dtype=np.uint8)
            pixels[..., colour] += 150
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def run(world: World, photos: Path, *words: str) -> tuple[int, str, str]:
    done = world.call(
        "run", "--suite", "folder", "--data", str(photos), "--ckpt", "random:0", "--profile", "smoke",
        "--workspace", str(world.workspace), *words,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_folder_is_measured_by_a_linear_layer_and_by_neighbours(world: World, photos: Path) -> None:
    status, _, said = run(world, photos)
    assert status == 0, said
    (path,) = world.workspace.glob("jobs/folder-*/result.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    values = {name: metric["value"] for name, metric in record["metrics"].items()}
    assert set(values) == {"top1", "top5", "knn_k10", "knn_k20"}
    # Even an untrained backbone tells red from blue by the mean of its features.
    assert values["knn_k10"] == 100
    assert values["top5"] is None
    assert "2 classes" in record["metrics"]["top5"]["note"]
    assert record["data"]["counts"] == {"train": 20, "val": 4, "classes": 2}
    assert record["details"]["split"].startswith("one in 5 of each class held out")
    (split,) = world.workspace.glob("jobs/folder-*/attempts/*/split.json")
    lists = json.loads(split.read_text(encoding="utf-8"))
    assert (len(lists["train"]), len(lists["val"])) == (20, 4)
    page = next((world.workspace / "pages").glob("random*.md")).read_text(encoding="utf-8")
    assert "#### Folder of Images" in page
    assert "my photos" not in page


def test_an_unreadable_image_fails_the_job_with_its_name(world: World, photos: Path) -> None:
    (photos / "red {0}" / "3.png").write_bytes(b"no image")
    status, _, said = run(world, photos)
    assert status == 1
    assert "3.png" in said


def test_a_folder_of_one_class_is_refused_before_anything_starts(world: World, photos: Path) -> None:
    status, _, said = run(world, photos / "red {0}")
    assert status == 2
    assert "needs two classes or more" in said
    assert not (world.workspace / "runs").exists()
