"""The whole smoke suite on a real SLURM, forgotten by its ``run``; the same here; equal to the last bit."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.slurm.world import ClusterWorld, results_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

MINUTES = 40
SLOTS = 2


def run(here: ClusterWorld, workspace: Path, data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = here.command("run", "--ckpt", "random:0", "--suite", "all", "--profile", "smoke", "--label", "untrained")
    return subprocess.run(
        [*command, "--data", str(data), "--workspace", str(workspace), *words],
        env={**here.environment(), "HARNESS_SLOTS": str(SLOTS), "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=here.folder,
        text=True,
        capture_output=True,
        timeout=MINUTES * 60,
        check=False,
    )


def seconds_of_work(workspace: Path) -> float:
    return sum(json.loads(path.read_text())["seconds"] for path in workspace.glob("jobs/*/result.json"))


def overhead(wall: float, workspace: Path) -> str:
    """Wall time beyond the work, as a share of it, where two jobs are at work at a time."""
    work = seconds_of_work(workspace)
    return f"wall {wall:.0f} s, work {work:.0f} s in {SLOTS} slots: {100 * (wall * SLOTS - work) / work:+.1f} %"


def test_the_smoke_suite_on_slurm_is_the_local_one_to_the_last_bit(here: ClusterWorld) -> None:
    here.settle(partition="main")
    data = here.folder / "sample"
    assert here.call("data", "sample", "--data", str(data)).returncode == 0
    begun = time.monotonic()
    done = run(here, here.workspace, data, "--executor", "slurm", "--detach")
    assert done.returncode == 0, done.stderr
    here.wait_until(here.has_ended, "the suite ends", MINUTES * 60)
    here.wait_until(lambda: "untrained" in here.page(), "the page is drawn")
    print(f"\non SLURM: {overhead(time.monotonic() - begun, here.workspace)}")
    elsewhere = here.folder / "local"
    begun = time.monotonic()
    done = run(here, elsewhere, data, "--executor", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"here:     {overhead(time.monotonic() - begun, elsewhere)}")
    ours = results_of(here.workspace)
    assert len(ours) == 12
    assert ours == results_of(elsewhere)
