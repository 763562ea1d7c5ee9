"""``run`` on a real SLURM: submitted, forgotten, finished."""

from __future__ import annotations

import json
import os
import signal
import time

from tests.slurm.world import ClusterWorld, results_of

SECONDS = "counting.seconds={}"


def test_a_detached_run_is_finished_and_its_page_drawn_by_the_cluster(here: ClusterWorld) -> None:
    here.submit("--seeds", "3", "--label", "mine", suite="counting,another")
    assert len(here.status()) == 6
    here.wait_for_end()
    assert here.states() == ["done"] * 6
    assert len(here.results()) == 6
    assert len(here.entries("worked")) == 6
    assert "mine" in here.page()
    assert not any("is_open" in line for line in here.queue())


def test_values_are_those_of_a_local_run_to_the_last_bit(here: ClusterWorld) -> None:
    here.submit("--seeds", "4")
    here.wait_for_end()
    ours = results_of(here.workspace)
    other = here.folder / "local"
    other.mkdir()
    (other / "backbones").symlink_to(here.workspace / "backbones")
    words = here.command("run", "--suite", "counting", "--ckpt", "random:0", "--profile", "smoke", "--seeds", "4")
    done = here._wait([*words, "--data", str(here.data), "--workspace", str(other), "--executor", "local"])
    assert done.returncode == 0, done.stderr
    assert len(ours) == 4
    assert results_of(other) == ours


def test_a_run_that_looks_on_shows_every_job_and_ends_with_the_pages(here: ClusterWorld) -> None:
    done = here.run("--executor", "slurm", "--seeds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" done") == 2
    assert "wrote" in done.stdout


def test_auto_takes_the_cluster_that_answers(here: ClusterWorld) -> None:
    done = here.run("--detach")
    assert done.returncode == 0, done.stderr
    assert "1 jobs are submitted" in done.stdout
    here.wait_for_end()


def test_the_same_run_again_submits_nothing(here: ClusterWorld) -> None:
    here.submit()
    here.wait_for_end()
    before = list(here.workspace.glob("submissions/*"))
    done = here.run("--executor", "slurm", "--detach")
    assert done.returncode == 0
    assert "cached" in done.stdout
    assert list(here.workspace.glob("submissions/*")) == before


def test_ctrl_c_ends_only_the_looking(here: ClusterWorld) -> None:
    run = here.start("--executor", "slurm", "--set", SECONDS.format(4))
    here.wait_for("started")
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=30)[0]
    assert run.returncode == 130
    assert "the cluster goes on by itself" in said
    here.wait_for_end()
    assert here.states() == ["done"]
    assert len(here.entries("started")) == 1


def test_a_killed_run_that_looked_on_is_not_missed(here: ClusterWorld) -> None:
    run = here.start("--executor", "slurm", "--set", SECONDS.format(3))
    here.wait_for("started")
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    here.wait_for_end()
    assert here.states() == ["done"]
    assert "random" in here.page()


def test_what_the_cluster_does_not_have_is_refused_before_anything_is_submitted(here: ClusterWorld) -> None:
    here.settle(partition="maim")
    done = here.run("--executor", "slurm", "--detach")
    assert done.returncode == 2
    assert "did you mean 'main'?" in done.stderr
    here.settle(partition="short", minutes=30)
    done = here.run("--executor", "slurm", "--detach")
    assert done.returncode == 2
    assert "partition short allows 1" in done.stderr
    assert not here.workspace.joinpath("submissions").exists()
    assert here.queue() == []


def test_a_job_is_told_of_in_the_queue_and_on_its_node(here: ClusterWorld) -> None:
    here.settle(partition="closed")
    here.submit()
    (job,) = here.status().values()
    assert job["state"] == "queued"
    assert job["scheduler"]
    here.cluster.cancel_all()


def test_cancel_gives_the_run_up_and_the_same_run_goes_on(here: ClusterWorld) -> None:
    here.submit("--seeds", "2", "--set", SECONDS.format(60))
    here.wait_for("started", 2)
    done = here.call("cancel", "--workspace", str(here.workspace))
    assert done.stdout.count("cancelled counting-") == 2
    here.wait_until(lambda: not here.queue(), "the queue is empty")
    assert {each["state"] for each in here.ends().values()} == {"cancelled"}
    here.wait_until(lambda: here.states() == ["interrupted"] * 2, "both are interrupted")
    here.submit("--seeds", "2", "--set", SECONDS.format(60), "--cache", "retry")
    here.wait_for("started", 4)
    here.call("cancel", "--workspace", str(here.workspace))


def test_logs_follow_a_job_through_its_attempts(here: ClusterWorld) -> None:
    here.submit("--set", "counting.behaviour=fail", "--set", SECONDS.format(1))
    here.wait_for("started")
    time.sleep(0.5)
    (here.diary / "mended").touch()
    job = next(iter(here.status()))
    done = here.call("logs", job, "-f", "--workspace", str(here.workspace))
    assert done.returncode == 0
    assert "attempt 0001-" in done.stdout
    here.wait_for_end()


def test_submitting_from_inside_a_job_works(here: ClusterWorld) -> None:
    words = " ".join(f"'{word}'" for word in here.run_words("--executor", "slurm", "--detach"))
    exports = " ".join(f"{name}='{value}'" for name, value in here.environment().items() if name in WANTED)
    here.cluster.submit(f"#!/bin/bash\ncd '{here.folder}'\n{exports} {words} > said 2>&1\n", "--partition=many")
    here.wait_until((here.folder / "said").exists, "the job begins")
    here.wait_for_end()
    assert here.states() == ["done"]


WANTED = ("PYTHONPATH", "COUNTING_DIARY", "TMPDIR", "PATH", "SLURM_CONF")


def test_resources_are_what_the_settings_ask(here: ClusterWorld) -> None:
    here.settle(cpus_per_gpu=3, memory_per_gpu=5, extra={"licenses": "work:1"}, minutes=7, setup=["sleep 3"])
    here.submit("--profile", "full", "--allow-nonstandard-data")
    entry = here.cluster.run("squeue", "--noheader", "--format=%C|%m|%l|%b|%j").splitlines()
    job = next(line for line in entry if "|counting-" in line)
    assert job.split("|")[:4] == ["3", "5G", "7:00", "gres:gpu:1"]
    here.wait_for_end()
    (end,) = here.ends().values()
    assert end["state"] == "failed"
    assert "finds no CUDA" in end["reason"]


def test_status_is_json_for_scripts(here: ClusterWorld) -> None:
    here.submit()
    here.wait_for_end()
    done = here.call("status", "--workspace", str(here.workspace), "--json")
    (row,) = json.loads(done.stdout)
    assert (row["state"], row["attempts"], row["scheduler"]) == ("done", 1, "")
