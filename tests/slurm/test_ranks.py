"""Several ranks on several nodes."""

from __future__ import annotations

import json

import pytest

from tests.slurm.world import ClusterWorld

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL = (
    "--set=imagenet_linear.ranks=2",
    "--set=imagenet_linear.batch_size=32",
    "--set=imagenet_linear.batch_size_per_rank=16",
    "--set=imagenet_linear.epochs=1",
)


def submit(here: ClusterWorld, ranks: int) -> None:
    data = here.folder / "sample"
    if not data.exists():
        assert here.call("data", "sample", "--data", str(data)).returncode == 0
    slurm = {"partition": "many", "gpus_per_node": 1, "cpus_per_gpu": 1, "memory_per_gpu": 4, "minutes": 20}
    settings = {"slurm": slurm, "ranks": ranks, "device": "cpu"}
    (here.folder / "harness.yaml").write_text(json.dumps(settings))
    words = ("--executor", "slurm", "--detach", "--profile", "full", "--allow-nonstandard-data", "--data", str(data))
    done = here.run(*words, *SMALL, suite="imagenet_linear")
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_ranks_on_two_nodes_are_one_job(here: ClusterWorld) -> None:
    submit(here, 2)
    here.wait_until(here.has_ended, "the job ends", 900)
    assert here.states() == ["done"], here.account()
    (path,) = here.workspace.glob("jobs/imagenet_linear-*/result.json")
    record = json.loads(path.read_text())
    assert record["details"]["spread"] == {"ranks": 2, "parts": 1}
    (presence,) = here.workspace.glob("jobs/imagenet_linear-*/attempts/*/rank1.present.json")
    log = next(here.workspace.glob("jobs/imagenet_linear-*/attempts/*/log.txt")).read_text()
    (first,) = {line.rpartition(" on ")[2] for line in log.splitlines() if ", job " in line}
    nodes = first.split(", ")
    assert len(nodes) == 2
    assert json.loads(presence.read_text())["node"] == nodes[1]
