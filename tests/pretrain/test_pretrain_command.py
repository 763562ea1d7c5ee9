"""``pretrain`` on the command line, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import JobFolder
from pretrain.simclr import SimCLR
from results.files import file_sha256
from tests.pretrain.conftest import SMALL, Studio

ROOT = Path(__file__).resolve().parents[2]


def words(studio: Studio, *more: str) -> list[str]:
    sets = [word for name, value in SMALL.items() for word in ("--set", f"{SimCLR.name}.{name}={value}")]
    place = ["--data", str(studio.data), "--workspace", str(studio.workspace.root)]
    return [sys.executable, "-P", "-m", "harness", "pretrain", "--profile", "smoke", *place, *sets, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def call(studio: Studio, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(studio, *more), env=environment(), cwd=studio.folder, text=True, capture_output=True, timeout=200,
        check=False,
    )  # fmt: skip


def folders(studio: Studio) -> list[JobFolder]:
    return [JobFolder(path) for path in sorted(studio.workspace.pretrain.glob("*"))]


def test_a_killed_job_is_finished_by_the_next_call_and_found_by_the_one_after(studio: Studio) -> None:
    out = studio.folder / "copies" / "demo.pth"
    first = subprocess.Popen(words(studio, "--quiet"), env=environment(), cwd=studio.folder, start_new_session=True)
    deadline = time.monotonic() + 150
    while not list(studio.workspace.pretrain.glob("*/attempts/*/toolbox/epoch_1.pth")):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.02)
    (folder,) = folders(studio)
    claim = folder.live_claim()
    assert claim is not None
    os.kill(claim.process.pid, signal.SIGKILL)
    assert first.wait(60) == 1
    assert not folder.is_finished()

    second = call(studio, "--out", str(out), "--json")
    assert second.returncode == 0, second.stderr
    answer = json.loads(second.stdout)
    assert answer["state"] == "done"
    assert answer["sha256"] == file_sha256(Path(answer["checkpoint"])) == file_sha256(out)
    record = folder.read_result()
    assert record is not None
    assert record.details["resumed_from_epoch"] == 1

    before = out.stat()
    third = call(studio, "--out", str(out))
    assert third.returncode == 0, third.stderr
    assert "cached" in third.stdout
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == (before.st_mtime_ns, before.st_ino)

    foreign = studio.folder / "mine.pth"
    foreign.write_bytes(b"mine")
    fourth = call(studio, "--out", str(foreign))
    assert fourth.returncode == 2
    assert "move it away" in fourth.stderr
    assert foreign.read_bytes() == b"mine"
    assert len(folder.attempts()) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["simclr_resnet50_8xb32-coslr-100e_in1k"], "did you mean 'simclr_resnet50_8xb32-coslr-200e_in1k'"),
        (["--data", "nowhere"], "data is missing"),
        (["--set", f"{SimCLR.name}.temprature=0.2"], "did you mean 'temperature'"),
        (["--set", f"{SimCLR.name}.warmup_epochs=9"], "does not fit"),
        (["--set", f"{SimCLR.name}.batch_size=1", "--set", f"{SimCLR.name}.batch_size_per_rank=1"], "no negatives"),
        (["--set", f"{SimCLR.name}.flip=1.5"], "probability"),
        (["--set", "imagenet_knn.temperature=0.2"], "--set names 'imagenet_knn'"),
        (["--profile", "full", "--set", f"{SimCLR.name}.ranks=1"], "not the official one"),
        (["--out", "a_file/demo.pth"], "cannot write demo.pth"),
        (["--out", "."], "a folder stands"),
        (["--out", "a_file"], "a file is already there"),
        (["--cache", "sometimes"], "cache"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_bad_input_ends_with_status_2_and_starts_nothing(studio: Studio, more: list[str], said: str) -> None:
    (studio.folder / "a_file").write_text("mine")
    done = call(studio, *more)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not folders(studio)
    assert (studio.folder / "a_file").read_text() == "mine"


def test_read_only_runs_nothing(studio: Studio) -> None:
    done = call(studio, "--cache", "read-only")
    assert done.returncode == 1
    assert "read-only runs nothing" in done.stderr
    assert not folders(studio)


def test_a_job_that_is_known_is_found_without_torch(studio: Studio) -> None:
    """The program that answers has loaded no torch and no toolbox at its end."""
    program = (
        "import sys\n"
        "from harness.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print('status', end.code)\n"
        "print('heavy', sorted({'torch', 'mmengine', 'mmcv', 'mmpretrain', 'pandas'} & set(sys.modules)))\n"
    )
    job = studio.plan()
    folder = studio.place(job)
    product = folder.path / "x-01234567.pth"
    product.write_bytes(b"whole")
    fake_result(folder, job, {"file": product.name, "sha256": "01234567" + "0" * 56, "bytes": 5})
    call_words = words(studio)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *call_words[call_words.index("pretrain") :]],
        env=environment(), cwd=studio.folder, text=True, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert "cached" in done.stdout, done.stderr
    assert "status 0" in done.stdout
    assert "heavy []" in done.stdout


def fake_result(folder: JobFolder, job: Any, checkpoint: dict[str, Any]) -> None:
    """Publishes a record as a finished job would."""
    from results.record import BackboneStamp, MetricValue, Record

    stamp = BackboneStamp("d" * 64, "x.pth", "mmpretrain", "backbone", "rgb-mean-std")
    record = Record(
        key=job.key, benchmark=job.benchmark, protocol=job.stamp(), backbone=stamp, data=job.data, seed=job.seed,
        numerics=job.recorded_numerics(), metrics={"loss": MetricValue(1.0, "nats")},
        details={"checkpoint": checkpoint}, display=(), curves={"loss": [2.0, 1.0]}, started="", finished="",
        seconds=1.0, device="cpu", versions={}, config_digest="", git="", attempt="0001-made",
    )  # fmt: skip
    folder.publish_result(record)
