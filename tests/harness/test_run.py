"""``run`` as a user meets it: in processes of its own, interrupted, killed, concurrent, in bad places."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.world import World


def rows(world: World) -> str:
    return (world.workspace / "pages" / "results.csv").read_text()


def state_of(world: World) -> dict[str, str]:
    done = world.call("status", "--workspace", str(world.workspace), "--json")
    assert done.returncode == 0, done.stderr
    return {row["job"].partition("-")[0]: row["state"] for row in json.loads(done.stdout)}


def test_a_run_leaves_a_result_a_page_and_a_run_file(world: World) -> None:
    done = world.run()
    assert done.returncode == 0, done.stderr
    assert len(world.results()) == 1
    assert "random:0,counting,count,1.0,percent,counting" in rows(world)
    runs = [json.loads(path.read_text()) for path in world.workspace.glob("runs/*.json")]
    assert [run["checkpoints"][0]["label"] for run in runs] == ["random:0"]
    assert runs[0]["submissions"][0]["job"] == runs[0]["jobs"][0]["benchmark"] + "-" + runs[0]["jobs"][0]["key"][:12]
    assert "Traceback" not in done.stderr


def test_the_second_run_finds_everything(world: World) -> None:
    assert world.run().returncode == 0
    again = world.run()
    assert again.returncode == 0
    assert "cached" in again.stdout
    assert len(world.entries("started")) == 1


def test_seeds_are_jobs_of_their_own(world: World) -> None:
    assert world.run("--seeds", "3").returncode == 0
    values = sorted(json.loads(path.read_text())["metrics"]["count"]["value"] for path in world.results())
    assert values == pytest.approx([1.0, 4 / 3, 5 / 3])


def test_a_failing_job_leaves_the_others_and_its_log(world: World) -> None:
    words = ("--set", "counting.behaviour=fail")
    done = world.run(*words, suite="counting,another")
    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    assert "Traceback" not in done.stderr
    log = Path(done.stderr.partition("log: ")[2].splitlines()[0])
    assert "Traceback" in log.read_text()
    assert [path.parent.name.partition("-")[0] for path in world.results()] == ["another"]
    blank = [line for line in rows(world).splitlines() if ",counting,count,," in line]
    assert len(blank) == 1
    assert "broken on purpose" in blank[0]
    # The next run repeats only that job.
    (world.diary / "mended").touch()
    assert world.run(*words, suite="counting,another").returncode == 0
    assert [entry.partition("-")[0] for entry in world.entries("started")] == ["another", "counting", "counting"]


def test_a_job_that_always_fails_is_given_up_until_it_is_asked_for_again(world: World) -> None:
    words = ("--set", "counting.behaviour=fail")
    for _ in range(3):
        assert world.run(*words).returncode == 1
    given_up = world.run(*words)
    assert given_up.returncode == 1
    assert "failed 3 times" in given_up.stderr
    assert "--cache retry" in given_up.stderr
    assert len(world.entries("started")) == 3
    assert world.run(*words, "--cache", "retry").returncode == 1
    assert len(world.entries("started")) == 4


def test_force_makes_a_new_result_and_keeps_the_old_one(world: World) -> None:
    assert world.run().returncode == 0
    assert world.run("--cache", "force").returncode == 0
    assert len(world.entries("worked")) == 2
    assert len(world.results()) == 1
    assert len(list(world.workspace.glob("jobs/*/superseded/*.json"))) == 1


def test_read_only_runs_nothing_and_says_what_is_missing(world: World) -> None:
    missing = world.run("--cache", "read-only")
    assert missing.returncode == 1
    assert "read-only" in missing.stderr
    assert not world.entries("started")
    assert world.run().returncode == 0
    assert world.run("--cache", "read-only").returncode == 0


def test_a_dry_run_starts_nothing(world: World) -> None:
    done = world.run("--dry-run", "--json")
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    assert [(job["benchmark"], job["state"], job["needs"]) for job in plan["jobs"]] == [("counting", "to run", [])]
    assert not (world.workspace / "jobs").exists()


def test_the_debug_executor_runs_in_this_process(world: World) -> None:
    done = world.run("--executor", "debug")
    assert done.returncode == 0, done.stderr
    assert len(world.results()) == 1


def test_twenty_runs_at_once_give_one_result_a_job(world: World) -> None:
    children = [world.start("--set", "another.seconds=0.3", suite="counting,another") for _ in range(20)]
    said = [child.communicate(timeout=240)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 20, said
    assert len(world.results()) == 2
    assert len(world.entries("worked")) == 2
    assert not list(world.workspace.rglob("*.tmp"))
    assert not [text for text in said if "Traceback" in text or "error" in text]


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(world: World) -> None:
    words = ("--set", "counting.seconds=5")
    child = world.start(*words)
    world.wait_for("started")
    os.killpg(child.pid, signal.SIGINT)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 130, said
    assert "Traceback" not in said
    assert state_of(world) == {"counting": "interrupted"}
    assert not world.results()
    assert world.run("--set", "counting.seconds=0.1").returncode == 0
    done = world.run(*words)
    assert done.returncode == 0, done.stderr
    assert len(world.results()) == 2


def test_a_killed_run_leaves_its_job_to_the_next_one(world: World) -> None:
    words = ("--set", "counting.seconds=8")
    child = world.start(*words)
    world.wait_for("started")
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = world.run(*words)
    assert done.returncode == 0, done.stderr
    assert "another run" in done.stdout
    assert len(world.entries("started")) == 1


def test_a_killed_job_fails_alone_and_is_repeated(world: World) -> None:
    words = ("--set", "counting.seconds=3")
    child = world.start(*words)
    world.wait_for("started")
    world.kill_jobs()
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 1, said
    assert "killed" in said
    assert state_of(world) == {"counting": "killed"}
    assert world.run(*words).returncode == 0
    assert len(world.entries("started")) == 2
    assert len(world.results()) == 1


def test_when_both_are_killed_the_next_run_starts_again(world: World) -> None:
    words = ("--set", "counting.seconds=2")
    child = world.start(*words)
    world.wait_for("started")
    child.send_signal(signal.SIGKILL)
    world.kill_jobs()
    child.wait()
    assert world.run(*words).returncode == 0
    assert len(world.results()) == 1


def test_two_labels_of_one_backbone_give_two_rows_from_one_job(world: World) -> None:
    done = world.run("--ckpt", "random:0", "--label", "first", "--label", "second")
    assert done.returncode == 0, done.stderr
    assert len(world.entries("started")) == 1
    lines = rows(world).splitlines()[1:]
    assert [line.partition(",")[0] for line in lines] == ["first", "second"]
    assert lines[0].partition(",")[2] == lines[1].partition(",")[2]


def test_another_input_convention_or_precision_is_another_job(world: World) -> None:
    assert world.run().returncode == 0
    assert world.run("--input", "rgb-unit").returncode == 0
    assert world.run("--numerics", "precision=bf16").returncode == 0
    assert world.run("--numerics", "channels_last=true").returncode == 0
    assert len(world.results()) == 4


def bad(world: World, *words: str, suite: str = "counting") -> str:
    """A run that must be refused before anything starts; returns what it said."""
    done = world.run(*words, suite=suite)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (world.workspace / "jobs").exists()
    return done.stderr


def test_unknown_names_are_refused_with_the_nearest_one(world: World) -> None:
    assert "did you mean 'counting'" in bad(world, suite="countin")
    assert "did you mean 'classification'" in bad(world, suite="clasification")
    assert "no variant 'vissl'" in bad(world, suite="counting@vissl")
    assert "did you mean 'iterations'" in bad(world, "--set", "counting.iteration=1")
    assert "did you mean 'counting'" in bad(world, "--set", "countng.iterations=1")
    assert "suite 'counting' does not hold" in bad(world, "--set", "another.iterations=1")
    assert "give a value like the present one: 1" in bad(world, "--set", "counting.iterations=many")
    assert "rgb-mean-std" in bad(world, "--input", "rgb")
    assert "labels for 1 checkpoints" in bad(world, "--label", "a", "--label", "b")


def test_missing_data_is_named_with_what_mends_it(world: World) -> None:
    (world.data / "imagenet" / "meta" / "val.txt").unlink()
    said = bad(world)
    assert "imagenet/meta/val.txt" in said
    assert "data check" in said
    assert "data sample" in said
    assert "ImageNet" in bad(world, "--data", str(world.folder / "nowhere"))


def test_the_full_profile_asks_for_the_official_data(world: World) -> None:
    said = bad(world, "--profile", "full")
    assert "1281167" in said.replace(",", "")
    assert "--allow-nonstandard-data" in said
    assert world.run("--profile", "full", "--allow-nonstandard-data").returncode == 0


def test_a_bad_checkpoint_is_refused_before_anything_starts(world: World) -> None:
    assert "nowhere.pth" in bad(world, "--ckpt", str(world.folder / "nowhere.pth"))
    text = world.folder / "text.pth"
    text.write_text("not a checkpoint")
    assert "text.pth" in bad(world, "--ckpt", str(text))


def test_a_workspace_that_is_a_file_is_refused(world: World) -> None:
    place = world.folder / "occupied"
    place.write_text("mine")
    done = world.run("--workspace", str(place))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--workspace" in done.stderr
    assert place.read_text() == "mine"


def test_no_checkpoint_is_refused(world: World) -> None:
    words = ("run", "--suite", "counting", "--profile", "smoke", "--data", str(world.data))
    done = world.call(*words)
    assert done.returncode == 2
    assert "--ckpt" in done.stderr


def test_a_full_disk_is_said_and_leaves_no_half_file(world: World) -> None:
    """A file system of 64 KiB takes the place of the folder of jobs."""
    jobs = world.workspace / "jobs"
    jobs.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(jobs)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        (jobs / "filler").write_bytes(b"x" * 60_000)
        done = world.run()
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert "no space left" in done.stderr
        assert not world.results()
        assert not list(jobs.rglob("*.tmp"))
        (jobs / "filler").unlink()
        assert world.run().returncode == 0
    finally:
        world.kill_jobs()
        subprocess.run(["umount", "--lazy", str(jobs)], check=False)
