"""What goes wrong on clusters, on real daemons. After each: one result a job, none lost, and status tells the truth."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.world import ClusterWorld

LONG = ("--set", "counting.behaviour=remember", "--set", "counting.seconds=600")
"""A job that writes a checkpoint and works for ten minutes; one that finds a checkpoint is done at once."""


def check_one_result(here: ClusterWorld, jobs: int = 1) -> None:
    """Every job has one result, status says so, and the page is there."""
    here.wait_until(lambda: len(here.results()) == jobs, "every job has a result", 120)
    assert here.states() == ["done"] * jobs, here.account()
    here.wait_until(lambda: "random" in here.page(), "the page is drawn", 60)


def causes(here: ClusterWorld) -> list[str]:
    return [each["cause"] for each in here.outcomes()]


def test_a_payload_that_is_killed_is_run_again(here: ClusterWorld) -> None:
    here.submit(*LONG)
    here.wait_for("started")
    here.cluster.kill_payload(here.running("counting-"))
    check_one_result(here)
    assert causes(here) == ["killed", ""]
    assert [each["status"] for each in here.outcomes()] == ["failed", "done"]


def test_a_job_told_to_make_room_goes_on_from_its_checkpoint(here: ClusterWorld) -> None:
    here.submit(*LONG)
    here.wait_for("started")
    here.cluster.run("scancel", "--signal=USR2", here.ids("counting-")[0])
    check_one_result(here)
    assert causes(here) == ["preempted", ""]
    assert [each["status"] for each in here.outcomes()] == ["interrupted", "done"]


def test_a_requeued_job_takes_over_from_itself(here: ClusterWorld) -> None:
    here.submit(*LONG)
    here.wait_for("started")
    here.cluster.run("scontrol", "requeue", here.ids("counting-")[0])
    check_one_result(here)
    assert len(here.entries("started")) == 2
    assert len(here.entries("worked")) == 1


def test_accounting_that_is_off_hides_no_failure(here: ClusterWorld) -> None:
    # The cluster of these tests has none: squeue alone must tell that the job is no more.
    here.submit("--set", "counting.behaviour=fail")
    here.wait_for_end(180)
    (end,) = here.ends().values()
    assert end["state"] == "failed"
    assert end["reason"].startswith("failed 3 times, last: RuntimeError: broken on purpose")
    assert len(here.entries("started")) == 3
    assert here.states() == ["failed"]


def test_the_same_run_twice_at_once_works_once(here: ClusterWorld) -> None:
    words = ("--executor", "slurm", "--detach", "--seeds", "3")
    runs = [here.start(*words) for _ in range(2)]
    for run in runs:
        run.communicate(timeout=60)
        assert run.returncode == 0
    here.wait_for_end(120)
    assert here.states() == ["done"] * 3
    assert len(here.entries("worked")) == 3


KILLED = """
import os, signal, sys
from harness.schedule.slurm import {module}
original = {module}.{name}
def killed(*words, **named):
    if {after}:
        original(*words, **named)
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{name} = killed
sys.argv = ["harness", *sys.argv[1:]]
from harness.cli.main import main
main()
"""


def run_killed(here: ClusterWorld, module: str, name: str, after: bool) -> None:
    """``run --detach`` that is killed at one call."""
    script = KILLED.format(module=module, name=name, after=after)
    words = here.run_words("--executor", "slurm", "--detach")
    done = subprocess.run(
        [words[0], "-c", script, *words[4:]],
        env={**here.environment(), "PYTHONPATH": here.environment()["PYTHONPATH"]},
        cwd=here.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        pytest.param("rounds", "submit_all", False, id="before-the-jobs", marks=pytest.mark.slow),
        pytest.param("arrays", "hand_over", False, id="between-intent-and-sbatch", marks=pytest.mark.slow),
        pytest.param("arrays", "hand_over", True, id="between-sbatch-and-its-record"),
        pytest.param("rounds", "_wait_for", False, id="before-the-controller-knows", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_while_it_submits_is_gone_on_with(here: ClusterWorld, module: str, name: str, after: bool) -> None:
    run_killed(here, module, name, after)
    # The controller would begin a minute after; the same command need not wait.
    here.submit()
    check_one_result(here)
    assert len(here.entries("worked")) == 1


@pytest.mark.slow
def test_a_controller_that_was_submitted_first_needs_no_second_run(here: ClusterWorld) -> None:
    run_killed(here, "arrays", "hand_over", False)
    here.wait_until(here.has_ended, "the controller submits what the run did not", 300)
    check_one_result(here)


def test_a_controller_that_dies_has_a_successor(here: ClusterWorld) -> None:
    here.submit("--set", "counting.behaviour=fail", "--set", "counting.seconds=1")
    here.wait_until(here.outcomes, "the first attempt has failed")
    (here.diary / "mended").touch()
    here.wait_until(lambda: here.running("controller-"), "the controller runs")
    here.cluster.kill_payload(here.running("controller-"))
    check_one_result(here)
    assert "FAILED" in here.cluster.run("squeue", "--states=all", "--noheader", "--format=%T %j")


def test_slurmctld_killed_right_after_a_submit_forgets_no_job(here: ClusterWorld) -> None:
    # It may hold what it started twice, and controllers with it: the patrol lets it go.
    here.settle(patrol_minutes=0.2)
    here.submit("--seeds", "2", "--set", "counting.seconds=2")
    here.cluster.kill_controller()
    time.sleep(1)
    here.cluster.start_controller()
    # What slurmctld had not yet written down is lost, controllers too; the same command finds that out.
    here.submit("--seeds", "2", "--set", "counting.seconds=2")
    check_one_result(here, 2)


def test_slurmctld_that_is_away_while_run_submits_is_waited_for(here: ClusterWorld) -> None:
    here.cluster.kill_controller()
    run = here.start("--executor", "slurm", "--detach")
    time.sleep(3)
    here.cluster.start_controller()
    said = run.communicate(timeout=120)[0]
    assert run.returncode in (0, 2), said
    if run.returncode == 2:
        # It could not even be asked what it offers: nothing was started.
        assert "SLURM" in said
        here.submit()
    check_one_result(here)


def test_ids_that_come_round_again_confuse_nothing(here: ClusterWorld) -> None:
    here.submit(*LONG)
    here.wait_for("started")
    first = here.ids("counting-")[0]
    here.cluster.wipe()
    # The new cluster gives the same numbers to other jobs, one of which still runs under the old number.
    here.cluster.submit("#!/bin/bash\n#SBATCH --array=0-0\nsleep 300\n", "--partition=many", "--job-name=other")
    here.wait_until(lambda: all(each["state"] != "running" for each in here.status().values()), "the job is missed", 30)
    number = ""
    while number != first.partition("_")[0]:
        number = here.cluster.submit(
            "#!/bin/bash\n#SBATCH --array=0-0\nsleep 300\n", "--partition=many", "--job-name=other"
        )
    here.submit(*LONG)
    here.wait_until(here.results, "the job is done", 120)
    here.cluster.cancel_all()
    assert here.states() == ["done"]


def test_extraction_that_fails_once_is_repeated_with_what_needs_it(here: ClusterWorld) -> None:
    flag = here.folder / "flag"
    once = f"[ -e '{flag}' ] || {{ touch '{flag}'; echo no such module >&2; exit 3; }}"
    here.settle(benchmarks={"features": {"setup": [once]}})
    here.submit(suite="imagenet_knn")
    here.wait_for_end(240)
    assert here.states() == ["done"] * 2, here.account()
    assert "did not start" in causes(here)
    reasons = [each["reason"] for each in here.outcomes() if each["cause"] == "did not start"]
    assert "no such module" in reasons[0]
    assert "k=10" in here.page()


def mount(*words: str) -> None:
    """mount(8), or a skip where nobody may."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextlib.contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    mount(*words, str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_workspace_that_is_read_only_for_a_while_loses_nothing(here: ClusterWorld) -> None:
    here.submit("--set", "counting.seconds=3")
    here.wait_for("started")
    jobs = here.workspace / "jobs"
    with mounted(jobs, "--bind", str(jobs)):
        mount("-o", "remount,bind,ro", str(jobs))
        here.wait_until(lambda: not here.ids("counting-"), "the job ends")
        time.sleep(5)
        assert here.results() == []
    check_one_result(here)


def test_a_disk_that_is_full_for_a_while_loses_nothing(here: ClusterWorld) -> None:
    aside = here.folder / "aside"
    shutil.copytree(here.workspace, aside, symlinks=True)
    with mounted(here.workspace, "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"):
        shutil.copytree(aside, here.workspace, symlinks=True, dirs_exist_ok=True)
        here.submit("--set", "counting.seconds=3")
        here.wait_for("started")
        ballast = here.workspace / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(4096))
        here.wait_until(lambda: not here.ids("counting-"), "the job ends")
        time.sleep(5)
        assert here.results() == []
        ballast.unlink()
        check_one_result(here)


def test_a_hang_is_ended_and_tried_again(here: ClusterWorld) -> None:
    (here.folder / "harness.yaml").write_text(
        json.dumps({"slurm": {"partition": "many"}, "hang_minutes": 0.05, "max_failures": 2})
    )
    here.submit(*LONG)
    check_one_result(here)
    assert causes(here) == ["hang", ""]


@pytest.mark.slow
def test_a_node_that_fails_is_left_for_another(here: ClusterWorld) -> None:
    here.submit(*LONG)
    here.wait_for("started")
    node = here.cluster.run("squeue", "--noheader", "--states=running", "--format=%N").split()[0]
    here.cluster.kill_node(node)
    here.cluster.declare_down(node)
    check_one_result(here)
    assert "requeued" in causes(here) or "node failure" in causes(here)


@pytest.mark.slow
def test_time_that_runs_out_after_a_checkpoint_uses_up_no_attempt(here: ClusterWorld) -> None:
    here.settle(minutes=1)
    (here.folder / "harness.yaml").write_text(
        json.dumps({"slurm": {"partition": "many", "minutes": 1}, "max_failures": 1})
    )
    here.submit(*LONG)
    here.wait_until(here.has_ended, "the job is done in its second time", 300)
    check_one_result(here)
    assert causes(here) == ["time limit", ""]
    assert [each["status"] for each in here.outcomes()] == ["interrupted", "done"]


@pytest.mark.slow
def test_preemption_without_a_user_signal_is_survived(here: ClusterWorld) -> None:
    here.settle(partition="low")
    here.submit(*LONG)
    here.wait_for("started")
    here.cluster.set_preempt_signal(False)
    options = ("--partition=high", "--job-name=rival", "--nodes=4", "--exclusive")
    rival = here.cluster.submit("#!/bin/bash\nsleep 5\n", *options)
    here.cluster.wait_for(rival, seconds=120)
    check_one_result(here)
    assert len(here.entries("worked")) == 1


def test_the_command_of_the_user_is_told(here: ClusterWorld) -> None:
    told = here.folder / "told"
    here.settle(notify=f"echo \"$TRANSFER_NOTICE\" > '{told}'")
    here.submit()
    here.wait_for_end()
    here.wait_until(told.exists, "the command has run")
    assert told.read_text() == "1 of 1 jobs are done\n"
