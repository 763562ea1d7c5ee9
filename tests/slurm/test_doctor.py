"""The doctor on the real cluster: the verb where the whole matters, else its checks in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.catalogue import select
from harness.doctor.examine import slurm_checks
from harness.doctor.findings import Finding, look, name_of
from harness.doctor.probe import probe
from harness.doctor.subject import Subject
from harness.schedule.slurm.cluster import configuration
from harness.settings import load_settings
from tests.slurm.world import ClusterWorld


def ask(here: ClusterWorld, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status and findings by name."""
    place = ("--suite", "counting", "--data", str(here.data), "--workspace", str(here.workspace))
    done = here.call("doctor", *place, "--profile", "smoke", *words, "--json")
    assert done.stdout, done.stderr
    content = json.loads(done.stdout)
    assert content["ok"] == (done.returncode == 0)
    return done.returncode, {each["name"]: each for each in content["findings"]}


@pytest.fixture
def own(here: ClusterWorld, monkeypatch: pytest.MonkeyPatch) -> ClusterWorld:
    """The world, with its settings in the current folder of this process."""
    monkeypatch.chdir(here.folder)
    configuration.cache_clear()
    return here


def subject_of(own: ClusterWorld, **flags: Any) -> Subject:
    place = {"suite": "imagenet_knn", "data": own.data, "workspace": own.workspace}
    settings = load_settings({**place, "profile": "smoke", **flags})
    return Subject(settings, select(settings.suite))


def partitions_of(own: ClusterWorld) -> Finding:
    found = [each for check in slurm_checks(subject_of(own)) for each in look(name_of(check), check)]
    return next(each for each in found if each.name == "slurm partitions")


def probed(own: ClusterWorld, **flags: Any) -> dict[str, Finding]:
    """What the probe finds; nothing of it is left."""
    found = look("probe", lambda: probe(subject_of(own, **flags), lambda text: None))
    assert list(own.workspace.glob(".doctor*")) == []
    assert own.queue() == []
    return {each.name: each for each in found}


def test_all_is_well_on_a_cluster_that_is_up_and_the_probe_leaves_nothing(here: ClusterWorld) -> None:
    status, found = ask(here, "--probe")
    assert {name: each["state"] for name, each in found.items()} == dict.fromkeys(found, "ok"), found
    assert status == 0
    said = {name: each["what"] for name, each in found.items()}
    assert "all jobs fit: many: no time limit, 4 nodes of up to 8 GPUs, 16 CPUs" in said["slurm partitions"]
    assert "accounting storage is disabled" in said["slurm accounting"]
    assert "remembers ended jobs for 900 s" in said["slurm accounting"]
    assert "up to 1,001 jobs" in said["slurm arrays"]
    assert "all nodes are this machine" in said["shared"]
    assert "told before" in said["slurm preemption"]
    assert "hands it on itself" in said["slurm srun"]
    assert {name for name in found if name.startswith("probe")} == {
        "probe", "probe folder", "probe code", "probe data", "probe cpus", "probe locks"
    }  # fmt: skip
    assert "a job ran on n" in said["probe"]
    assert "there and back in" in said["probe folder"]
    assert here.queue() == []
    assert list(here.workspace.glob(".doctor*")) == []
    assert not (here.workspace / "submissions").exists()


def test_a_dead_controller_is_said_and_nothing_else_is_asked_of_it(here: ClusterWorld) -> None:
    here.cluster.kill_controller()
    status, found = ask(here)
    assert status == 1
    assert [name for name, each in found.items() if each["state"] != "ok"] == ["slurm controller"]
    assert "DOWN" in found["slurm controller"]["what"]
    assert "administrators" in found["slurm controller"]["mend"]
    assert "slurm partitions" not in found


def test_a_partition_that_cannot_take_the_suite_is_named_with_what_it_has(own: ClusterWorld) -> None:
    own.settle(partition="short", minutes=60)
    found = partitions_of(own)
    assert (found.state, "partition short allows 1" in found.what) == ("error", True)


def test_a_partition_that_is_down_is_a_warning(own: ClusterWorld) -> None:
    own.settle(partition="closed")
    found = partitions_of(own)
    assert (found.state, "partition closed is" in found.what) == ("warning", True)


def test_a_partition_without_a_node_at_work_is_a_warning(own: ClusterWorld) -> None:
    for name in own.cluster.shape.names:
        own.cluster.drain(name)
    found = partitions_of(own)
    assert (found.state, "no node of partition many takes jobs: drained" in found.what) == ("warning", True)


def test_a_granted_gpu_without_cuda_is_an_error_of_the_probe(own: ClusterWorld) -> None:
    own.settle(cpus_per_gpu=2)
    found = probed(own, profile="full")
    assert (found["probe gpus"].state, "does not work on 0" in found["probe gpus"].what) == ("error", True), found
    assert "device: cpu" in found["probe gpus"].mend
    assert "the 2 CPUs" in found["probe cpus"].what


def test_data_that_a_node_does_not_see_is_named(own: ClusterWorld) -> None:
    found = probed(own, data=own.folder / "nowhere")
    assert [name for name, each in found.items() if each.state != "ok"] == ["probe data"]


def test_a_probe_that_cannot_start_python_says_what_the_node_said(own: ClusterWorld) -> None:
    own.settle(setup=["echo the module is not there >&2", "exit 3"])
    found = probed(own)["probe"]
    assert found.state == "error"
    assert "ended without a report: failed" in found.what
    assert "the module is not there" in found.what


def test_a_probe_that_slurm_refuses_says_why(own: ClusterWorld) -> None:
    own.settle(extra={"licenses": "nothing_like_it:1"})
    found = probed(own)["probe"]
    assert (found.state, "SLURM does not accept" in found.what) == ("error", True)
