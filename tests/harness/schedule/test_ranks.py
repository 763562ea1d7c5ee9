"""A job on two real ranks through submitit: one result, the same number, and a failure of any rank is a reason."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.base import Batch, World
from benchmarks.catalogue import find_benchmark
from benchmarks.datasets.sample.make import make_sample
from harness.cli.carry_out import make_executor
from harness.schedule.slots import hold_slot
from harness.settings import load_settings
from harness.spread import batch_seen, spread, usable_ranks

ROOT = Path(__file__).resolve().parents[3]
NAME = "imagenet_linear"
FIELDS = {"ranks": 2, "batch_size": 32, "batch_size_per_rank": 16, "epochs": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ranks") / "data"
    make_sample(root)
    return root


def run(folder: Path, data: Path, status: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
    changes = [word for field, value in FIELDS.items() for word in ("--set", f"{NAME}.{field}={value}")]
    words = ["--ckpt", "random:0", "--suite", NAME, "--profile", "smoke", "--data", str(data), *changes]
    environment = {**os.environ, **{f"HARNESS_{name.upper()}": value for name, value in settings.items()}}
    command = [sys.executable, "-P", "-m", "harness", "run", *words, "--workspace", str(folder)]
    ran = subprocess.run(
        command, text=True, capture_output=True, check=False, env={**environment, "PYTHONPATH": str(ROOT)}
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran


def values(folder: Path) -> dict[str, float]:
    with (folder / "pages/results.csv").open(newline="") as stream:
        return {row["metric"]: float(row["value"]) for row in csv.DictReader(stream)}


def test_two_ranks_through_submitit(data: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", data)
    run(tmp_path / "two", data, ranks="2")
    assert values(tmp_path / "two") == pytest.approx(values(tmp_path / "one"), abs=0.5), "one image of 250 may tip over"
    (job,) = (tmp_path / "two/jobs").iterdir()
    (alone,) = (tmp_path / "one/jobs").iterdir()
    assert job.name == alone.name, "ranks are no part of the key"
    record = json.loads((job / "result.json").read_text())
    assert record["details"]["spread"] == {"ranks": 2, "parts": 1}
    assert "spread" not in json.loads((alone / "result.json").read_text())["details"]
    (attempt,) = (job / "attempts").iterdir()
    assert (attempt / "log-rank1.txt").exists()
    assert run(tmp_path / "two", data, ranks="2").stdout.count("cached") >= 1, "nothing is measured twice"
    assert len(list((job / "attempts").iterdir())) == 1


def test_an_image_that_one_rank_cannot_read(data: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "data"
    shutil.copytree(data, root, symlinks=True)
    broken = sorted((root / "imagenet/train").rglob("*.JPEG"))
    for path in broken[::2]:
        path.unlink()
        path.write_bytes(b"no image")
    ran = run(tmp_path / "work", root, status=1, ranks="2")
    assert "cannot be read" in ran.stdout + ran.stderr or "image" in ran.stderr
    assert not list((tmp_path / "work/jobs").glob("*/result.json"))


@pytest.mark.parametrize(
    ("ranks", "largest", "expected"),
    [
        (1, None, World()),
        (8, None, World(ranks=8)),
        (64, None, World(ranks=8)),
        (3, None, World(ranks=2)),
        (1, 256, World()),
        (1, 255, World(parts=2)),
        (1, 100, World(parts=4)),
        (2, 32, World(ranks=2, parts=4)),
        (8, 1, World(ranks=8, parts=32)),
    ],
)
def test_a_batch_of_256_on_8_ranks_is_spread(ranks: int, largest: int | None, expected: World) -> None:
    protocol = find_benchmark("imagenet_mhead").protocol()
    found = spread(protocol, ranks, largest)
    assert found == expected
    assert protocol["batch_size"] % (found.ranks * found.parts) == 0
    seen = batch_seen(Batch(256, 256), found)
    assert seen == Batch(256, 256 // found.parts)
    assert batch_seen(Batch(256, None), found) == Batch(256, None)


@pytest.mark.parametrize(
    ("executor", "gpus", "slots", "expected"),
    [("local", "", None, 8), ("local", "0,1,2,3", None, 4), ("local", "0,1,2,3", 2, 2), ("debug", "0,1", None, 1)],
)
def test_plan_and_executor_count_the_same_ranks(
    monkeypatch: pytest.MonkeyPatch, executor: str, gpus: str, slots: int | None, expected: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    settings = load_settings({"executor": executor, "ranks": 8, "slots": slots})
    assert usable_ranks(settings) == expected


def test_the_key_tells_what_the_executor_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Four GPUs for eight ranks of 32: shares of 64, in two parts each.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    settings = load_settings({"ranks": 8, "largest_batch": 32})
    protocol = find_benchmark("imagenet_mhead").protocol()
    planned = spread(protocol, usable_ranks(settings), settings.largest_batch)
    assert planned == World(ranks=4, parts=2)
    executor = make_executor(settings)
    assert spread(protocol, executor._ranks, executor._settings.largest_batch) == planned  # type: ignore[attr-defined]


def test_gpus_are_taken_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with hold_slot(3, ["a", "b", "c"], 2) as slot:
        assert slot.gpu == "a,b"
        with hold_slot(3, ["a", "b", "c"]) as other:
            assert other.gpu == "c"
    with hold_slot(3, ["a", "b", "c"], 3) as slot:
        assert slot.gpu == "a,b,c"


def test_what_is_not_trained_by_steps_is_not_spread() -> None:
    assert spread(None, 8, 1) == World()
    assert spread(find_benchmark("voc07_svm").protocol(), 8, 1) == World()


def test_the_plan_says_that_a_batch_norm_sees_less(data: Path, tmp_path: Path) -> None:
    def plan(**settings: str) -> tuple[str, list[str]]:
        words = ["--ckpt", "random:0", "--suite", "imagenet_mhead,imagenet_linear", "--profile", "smoke"]
        command = [sys.executable, "-P", "-m", "harness", "run", "--dry-run", *words, "--data", str(data)]
        environment = {**os.environ, **{f"HARNESS_{name.upper()}": value for name, value in settings.items()}}
        ran = subprocess.run(
            [*command, "--workspace", str(tmp_path)],
            text=True,
            capture_output=True,
            check=True,
            env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        )
        names = [word for word in ran.stdout.split() if word.startswith("imagenet_") and "-" in word]
        return ran.stdout + ran.stderr, sorted(names)

    whole, names = plan()
    parted, others = plan(largest_batch="8")
    assert "BatchNorm" not in whole
    assert "imagenet_mhead: a batch of 32 is computed in 4 parts" in " ".join(parted.split())
    assert "imagenet_linear: a batch" not in parted
    assert names != others, "another key for the one with a batch norm"
    assert [name for name in names if name.startswith("imagenet_linear")] == [
        name for name in others if name.startswith("imagenet_linear")
    ]
