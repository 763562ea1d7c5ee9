"""The cluster itself: what the tests of the slurm executor stand on."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.slurm.cluster.cluster import Cluster, Refused
from tests.slurm.cluster.processes import wait_until


def wait_for_text(path: Path, seconds: float = 20) -> str:
    """What a job wrote, once it wrote anything."""
    wait_until(f"{path.name} is written", lambda: path.exists() and path.stat().st_size > 0, seconds)
    return path.read_text()


def test_four_nodes_of_eight_gpus_are_idle(cluster: Cluster) -> None:
    assert cluster.node_states() == dict.fromkeys(("n1", "n2", "n3", "n4"), "idle")
    assert cluster.run("sinfo", "--noheader", "--partition=main", "--format=%D %c %G") == "4 16 gpu:8"


def test_up_again_changes_nothing(cluster: Cluster) -> None:
    job = cluster.submit("sleep 60")
    cluster.wait_for(job, {"RUNNING"})
    cluster.up()
    assert cluster.state(job) == "RUNNING"


def test_a_second_cluster_on_the_same_ports_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"a cluster is up in {cluster.folder}"):
        Cluster(tmp_path, cluster.shape).up()


def test_node_names_resolve(cluster: Cluster) -> None:
    assert {socket.gethostbyname(name) for name in cluster.shape.names} == {"127.0.0.1"}


def test_a_job_gets_its_gpus_and_one_thread(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    job = cluster.submit("echo $CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS", "--gpus-per-node=2", output=str(said))
    assert cluster.wait_for(job) == "COMPLETED"
    assert said.read_text() == "0,1 1\n"


def test_a_job_on_two_nodes_runs_on_both(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    job = cluster.submit("srun sh -c 'echo $SLURMD_NODENAME'", "--nodes=2", "--ntasks=2", output=str(said))
    assert cluster.wait_for(job) == "COMPLETED"
    assert sorted(said.read_text().split()) == ["n1", "n2"]


def test_an_array_runs_two_at_a_time_and_without_limit_in_many(cluster: Cluster) -> None:
    limited = cluster.submit("sleep 30", "--array=0-5")
    free = cluster.submit("sleep 30", "--array=0-5", "--partition=many")

    def running(job: str) -> int:
        return sum(key.startswith(f"{job}_") and state == "RUNNING" for key, state in cluster.states().items())

    wait_until("six tasks run", lambda: running(free) == 6, 20)
    wait_until("two tasks run", lambda: running(limited) == 2, 20)
    time.sleep(3)
    assert running(limited) == 2


def test_a_dependency_that_cannot_be_met_ends_the_job(cluster: Cluster) -> None:
    parent = cluster.submit("exit 3", "--partition=many")
    child = cluster.submit("true", f"--dependency=afterok:{parent}", "--kill-on-invalid-dep=yes", "--partition=many")
    assert cluster.wait_for(parent) == "FAILED"
    assert cluster.wait_for(child) == "CANCELLED"


def test_a_requeued_job_runs_again_and_counts_it(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    job = cluster.submit(f"echo again=$SLURM_RESTART_COUNT >> {said}; sleep 60", "--requeue")
    assert wait_for_text(said) == "again=\n"
    cluster.run("scontrol", "requeue", job)
    wait_until("it runs again", lambda: "again=1" in said.read_text(), 60)
    assert cluster.job(job)["Restarts"] == "1"


def test_a_job_is_ended_when_its_time_runs_out(cluster: Cluster) -> None:
    job = cluster.submit("sleep 600")
    cluster.wait_for(job, {"RUNNING"})
    cluster.let_time_run_out(job)
    assert cluster.wait_for(job, seconds=90) == "TIMEOUT"


@pytest.mark.parametrize("options", [(), ("--export=NONE",), ("--array=3",)])
def test_a_killed_payload_fails(cluster: Cluster, tmp_path: Path, options: tuple[str, ...]) -> None:
    said = tmp_path / "said"
    job = cluster.submit(f"echo started > {said}; sleep 600", *options)
    wait_for_text(said)
    cluster.kill_payload(f"{job}_3" if "--array=3" in options else job)
    assert cluster.wait_for(job) == "FAILED"


@pytest.mark.slow
def test_a_higher_partition_preempts_and_the_job_is_requeued(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"trap 'echo asked >> {said}' USR1; echo started >> {said}; sleep 1000 & wait; wait"
    whole = ("--nodes=4", "--exclusive")
    low = cluster.submit(script, "--partition=low", "--signal=B:USR1@60", "--requeue", *whole)
    wait_for_text(said)
    high = cluster.submit("sleep 5", "--partition=high", *whole)
    assert cluster.wait_for(high, {"RUNNING", "COMPLETED"})
    assert "asked" in said.read_text()
    assert cluster.wait_for(low, {"PENDING", "RUNNING"})


@pytest.mark.slow
def test_slurmctld_restarts_with_its_jobs(cluster: Cluster) -> None:
    job = cluster.submit("sleep 60")
    waiting = cluster.submit("true", f"--dependency=afterany:{job}")
    cluster.wait_for(job, {"RUNNING"})
    cluster.restart_controller()
    assert (cluster.state(job), cluster.state(waiting)) == ("RUNNING", "PENDING")


@pytest.mark.slow
def test_a_job_goes_on_under_a_dead_slurmd_and_with_its_node_it_moves(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    job = cluster.submit(f"echo $SLURMD_NODENAME >> {said}; sleep 600", "--requeue")
    node = wait_for_text(said).strip()
    cluster.kill_slurmd(node)
    assert cluster.processes_of(job)
    cluster.kill_node(node)
    assert not cluster.processes_of(job)
    cluster.declare_down(node)
    wait_until("it runs elsewhere", lambda: len(said.read_text().split()) == 2, 90)
    assert said.read_text().split()[1] != node


@pytest.mark.slow
def test_a_drained_node_takes_no_job(cluster: Cluster) -> None:
    for name in ("n1", "n2", "n3"):
        cluster.drain(name)
    job = cluster.submit("sleep 60")
    cluster.wait_for(job, {"RUNNING"})
    assert cluster.job(job)["NodeList"] == "n4"


@pytest.mark.slow
def test_a_wiped_cluster_counts_from_one_again(cluster: Cluster) -> None:
    running = cluster.submit("sleep 600")
    cluster.wait_for(running, {"RUNNING"})
    cluster.wipe()
    assert cluster.states() == {}
    assert cluster.submit("true") == "1"
    assert cluster.wait_for("1") == "COMPLETED"


def test_without_accounting_sacct_fails(cluster: Cluster) -> None:
    with pytest.raises(RuntimeError, match="accounting storage is disabled"):
        cluster.run("sacct", "--jobs=1")
