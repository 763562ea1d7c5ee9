"""kill -9 during each trained benchmark: the next run goes on from the last whole checkpoint to one result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRAINED = (
    "imagenet_mhead",
    "imagenet_linear",
    "places205_mhead",
    "inaturalist2018_mhead",
    "voc0712_faster_rcnn",
    "coco_mask_rcnn",
    "voc12aug_fcn",
    "cityscapes_fcn",
)


def harness(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "harness", *words]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("killed") / "sample"
    subprocess.run(harness("data", "sample", "--data", str(root)), check=True, capture_output=True)
    return root


def wait_for_checkpoint(workspace: Path, seconds: float = 600) -> Path:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = [path for path in workspace.glob("jobs/*/attempts/*/toolbox/*.pth") if not path.name.startswith(".")]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("no checkpoint was written")


@pytest.mark.parametrize("name", TRAINED)
def test_goes_on_from_the_last_checkpoint(sample: Path, tmp_path: Path, name: str) -> None:
    workspace = tmp_path / "work"
    run = harness(
        "run", "--ckpt", "random:0", "--suite", name, "--profile", "smoke", "--data", str(sample), "--workspace",
        str(workspace),
    )  # fmt: skip
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for_checkpoint(workspace)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (claim,) = workspace.glob("jobs/*/claims/0001.json")
    os.kill(json.loads(claim.read_text())["process"]["pid"], signal.SIGKILL)
    assert not list(workspace.glob("jobs/*/result.json"))

    done = subprocess.run(run, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = workspace.glob("jobs/*/result.json")
    details = json.loads(result.read_text())["details"]
    resumed = [value for field, value in details.items() if field.startswith("resumed_from")]
    print(f"\n{name}: resumed from {resumed}")
    assert resumed[0] > 0
    log = next(workspace.glob("jobs/*/attempts/0002-*/log.txt")).read_text()
    assert "resumed epoch" in log
