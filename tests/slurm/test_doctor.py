"""The doctor on the real cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.slurm.world import ClusterWorld

SLURM = (
    "slurm commands",
    "slurm controller",
    "slurm partitions",
    "slurm accounting",
    "slurm arrays",
    "slurm srun",
    "slurm preemption",
)


def ask(here: ClusterWorld, *words: str, suite: str = "counting") -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status and findings by name."""
    place = ("--suite", suite, "--data", str(here.data), "--workspace", str(here.workspace))
    done = here.call("doctor", *place, *words, "--json")
    assert done.stdout, done.stderr
    content = json.loads(done.stdout)
    assert content["ok"] == (done.returncode == 0)
    return done.returncode, {each["name"]: each for each in content["findings"]}


def test_all_is_well_on_a_cluster_that_is_up(here: ClusterWorld) -> None:
    status, found = ask(here, "--profile", "smoke")
    assert {name: each["state"] for name, each in found.items()} == dict.fromkeys(found, "ok"), found
    assert status == 0
    assert set(SLURM) <= set(found)
    assert "all jobs fit: many:" in found["slurm partitions"]["what"]
    assert "4 nodes of up to 8 GPUs, 16 CPUs" in found["slurm partitions"]["what"]
    assert "accounting storage is disabled" in found["slurm accounting"]["what"]
    assert "up to 1,001 jobs" in found["slurm arrays"]["what"]
    assert "all nodes are this machine" in found["shared"]["what"]
    assert "told before" in found["slurm preemption"]["what"]


def test_a_partition_that_cannot_take_the_suite_is_named_with_what_it_has(here: ClusterWorld) -> None:
    here.settle(partition="short", minutes=60)
    status, found = ask(here, "--profile", "smoke")
    assert status == 1
    assert found["slurm partitions"]["state"] == "error"
    assert "partition short allows 1" in found["slurm partitions"]["what"]


def test_a_partition_that_is_down_is_a_warning(here: ClusterWorld) -> None:
    here.settle(partition="closed")
    status, found = ask(here, "--profile", "smoke")
    assert (status, found["slurm partitions"]["state"]) == (0, "warning")
    assert "partition closed is" in found["slurm partitions"]["what"]


def test_a_partition_without_a_node_at_work_is_a_warning(here: ClusterWorld) -> None:
    for name in here.cluster.shape.names:
        here.cluster.drain(name)
    _, found = ask(here, "--profile", "smoke")
    assert found["slurm partitions"]["state"] == "warning"
    assert "no node of partition many takes jobs: drained" in found["slurm partitions"]["what"]


def test_a_dead_controller_is_said_and_nothing_else_is_asked_of_it(here: ClusterWorld) -> None:
    here.cluster.kill_controller()
    status, found = ask(here, "--profile", "smoke")
    assert status == 1
    assert [name for name, each in found.items() if each["state"] != "ok"] == ["slurm controller"]
    assert "DOWN" in found["slurm controller"]["what"]
    assert "administrators" in found["slurm controller"]["mend"]
    assert "slurm partitions" not in found


def test_the_probe_says_what_a_node_sees_and_leaves_nothing(here: ClusterWorld) -> None:
    status, found = ask(here, "--profile", "smoke", "--probe")
    probed = {name: each for name, each in found.items() if name.startswith("probe")}
    assert set(probed) == {"probe", "probe folder", "probe code", "probe data", "probe cpus", "probe locks"}
    assert {each["state"] for each in probed.values()} == {"ok"}, probed
    assert status == 0
    assert "a job ran on n" in probed["probe"]["what"]
    assert "there and back in" in probed["probe folder"]["what"]
    assert here.queue() == []
    assert list(here.workspace.glob(".doctor*")) == []
    assert not (here.workspace / "submissions").exists()


def test_a_granted_gpu_without_cuda_is_an_error_of_the_probe(here: ClusterWorld) -> None:
    here.settle(cpus_per_gpu=2)
    status, found = ask(here, "--probe")
    assert status == 1
    assert found["probe gpus"]["state"] == "error"
    assert "does not work on 0" in found["probe gpus"]["what"]
    assert "device: cpu" in found["probe gpus"]["mend"]
    assert "the 2 CPUs" in found["probe cpus"]["what"]


def test_data_that_a_node_does_not_see_is_named(here: ClusterWorld, tmp_path_factory: pytest.TempPathFactory) -> None:
    status, found = ask(here, "--profile", "smoke", "--data", str(here.folder / "nowhere"), "--probe")
    assert status == 1
    assert (found["data root"]["state"], found["probe data"]["state"]) == ("error", "error")


def test_a_probe_that_cannot_start_python_says_what_the_node_said(here: ClusterWorld) -> None:
    here.settle(setup=["echo the module is not there >&2", "exit 3"])
    status, found = ask(here, "--profile", "smoke", "--probe")
    assert status == 1
    assert "ended without a report: failed" in found["probe"]["what"]
    assert "the module is not there" in found["probe"]["what"]
    assert list(here.workspace.glob(".doctor*")) == []
    assert here.queue() == []


def test_a_probe_that_slurm_refuses_says_why(here: ClusterWorld) -> None:
    here.settle(extra={"licenses": "nothing_like_it:1"})
    status, found = ask(here, "--profile", "smoke", "--probe")
    assert status == 1
    assert "SLURM does not accept" in found["probe"]["what"]
    assert list(here.workspace.glob(".doctor*")) == []
