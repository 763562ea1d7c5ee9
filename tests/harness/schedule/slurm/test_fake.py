"""The fake SLURM does what the tests of the executor believe of it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.schedule.slurm.fake import COMMANDS, FakeSlurm

QUEUE = ("squeue", "--noheader", "--states=all", "--array", "--format=%i|%T|%r|%N|%j")
ACCOUNTS = (
    "sacct",
    "--noheader",
    "--parsable2",
    "--allocations",
    "--duplicates",
    "--jobs=1",
    "--format=JobID,JobName,State,ExitCode,NodeList,Submit",
)


def call(*command: str, timeout: float = 10) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def output(*command: str) -> str:
    done = call(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write_script(folder: Path, *directives: str) -> str:
    path = folder / "a script.sh"
    lines = ["#!/bin/sh", *(f"#SBATCH {each}" for each in directives), "true", "#SBATCH --job-name=too-late"]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_sbatch_reads_directives_and_prints_the_id(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    script = write_script(tmp_path, '--job-name="a b"', "-p short", "--comment='x \"y\"'")
    assert output("sbatch", script) == "Submitted batch job 1"
    assert output("sbatch", "--parsable", "--job-name=other", script) == "2"
    first, second = fake_slurm.jobs()
    assert (first["name"], first["partition"], first["comment"]) == ("a b", "short", 'x "y"')
    assert (second["name"], second["script"]) == ("other", script)


def test_an_array_has_a_task_for_each_index_and_ids_go_on_behind_it(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    output("sbatch", write_script(tmp_path, "--array=1,3,5-9:2%1"))
    assert [job["id"] for job in fake_slurm.jobs()] == ["1_1", "1_3", "1_5", "1_7", "1_9"]
    assert output("sbatch", write_script(tmp_path)) == "Submitted batch job 6"


def test_waiting_tasks_stand_together_unless_array_is_asked_for(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add("0-4%2", name="many|bars")
    fake_slurm.set("1_1", state="RUNNING", node="n1")
    assert output("squeue", "--noheader", "--format=%i|%T").splitlines() == ["1_[0,2-4%2]|PENDING", "1_1|RUNNING"]
    assert "1_3|PENDING|None||many|bars" in output(*QUEUE).splitlines()


def test_squeue_leaves_out_what_ended_unless_all_states_are_asked_for(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add(state="TIMEOUT")
    assert output("squeue", "--noheader", "--array", "--format=%i") == ""
    assert output(*QUEUE, "--jobs=1") == "1|TIMEOUT|None||wrap"


def test_one_unknown_id_is_an_error_and_one_of_several_is_not(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add()
    alone = call(*QUEUE, "--jobs=99")
    assert (alone.returncode, alone.stderr) == (1, "slurm_load_jobs error: Invalid job id specified\n")
    assert output(*QUEUE, "--jobs=1,99") == "1|PENDING|None||wrap"


def test_sacct_fails_without_accounting_and_remembers_with_it(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add(state="FAILED", exit_code="3:0", node="n2", in_queue=False)
    without = call(*ACCOUNTS)
    assert (without.returncode, without.stderr) == (1, "Slurm accounting storage is disabled\n")
    fake_slurm.set_accounting(True)
    assert output(*ACCOUNTS) == "1|wrap|FAILED|3:0|n2|2026-01-01T00:00:00"
    assert output(*QUEUE) == ""


def test_sacct_has_arrays_and_restarts_from_23_02_on(fake_slurm: FakeSlurm) -> None:
    fake_slurm.set_accounting(True)
    fake_slurm.add("0-1", restarts=2)
    new = (*ACCOUNTS[:6], "--format=JobID,Restarts")
    assert "unrecognized option '--array'" in call(*new, "--array").stderr
    assert 'Invalid field requested: "Restarts"' in call(*new).stderr
    fake_slurm.set_version("23.02.1")
    assert output(*new, "--array").splitlines() == ["1_0|2", "1_1|2"]


def test_an_id_that_came_round_again_is_shown_twice_by_sacct_and_once_by_squeue(fake_slurm: FakeSlurm) -> None:
    fake_slurm.set_accounting(True)
    fake_slurm.add(name="old", state="COMPLETED")
    fake_slurm.wipe()
    assert fake_slurm.add(name="new") == "1"
    assert [line.split("|")[1] for line in output(*ACCOUNTS).splitlines()] == ["old", "new"]
    assert output(*QUEUE) == "1|PENDING|None||new"


def test_scancel_cancels_tasks_and_notes_signals(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add("0-3", state="RUNNING")
    output("scancel", "1_0")
    output("scancel", "1_[1-2]")
    output("scancel", "--signal=USR2", "1_3")
    assert [job["state"] for job in fake_slurm.jobs()] == ["CANCELLED", "CANCELLED", "CANCELLED", "RUNNING"]
    assert fake_slurm.job("1_3")["signals"] == ["USR2"]
    assert call("scancel", "--signal=USR2", "1_0").returncode == 1
    assert call("scancel", "99").returncode == 0


def test_a_task_that_is_cancelled_while_it_waits_vanishes_and_a_whole_array_does_not(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add("0-2")
    output("scancel", "1_1")
    assert output("squeue", "--noheader", "--states=all", "--format=%i|%T") == "1_[0,2]|PENDING"
    output("scancel", "1")
    assert output("squeue", "--noheader", "--states=all", "--format=%i|%T") == "1_[0,2]|CANCELLED"


def test_a_requeued_job_waits_again_and_counts_it(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add(state="RUNNING", node="n1")
    output("scontrol", "requeue", "1")
    assert output(*QUEUE) == "1|PENDING|BeginTime||wrap"
    assert " Restarts=1 " in output("scontrol", "show", "job", "1", "--oneliner")
    assert "pending execution" in call("scontrol", "requeue", "1").stderr


def test_partitions_and_limits_are_shown_and_heeded(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    fake_slurm.set_config(MaxArraySize="4")
    fake_slurm.set_partitions(
        {"name": "gpu", "default": True, "gpus": 2}, {"name": "long", "max_time": "7-00:00:00", "gpus": 0}
    )
    assert "MaxArraySize            = 4\n" in output("scontrol", "show", "config")
    assert output("sinfo", "--noheader", "--format=%P|%l|%G") == "gpu*|infinite|gpu:2\nlong|7-00:00:00|(null)"
    shown = output("scontrol", "show", "partition", "--oneliner").splitlines()
    assert [line.split()[0] for line in shown] == ["PartitionName=gpu", "PartitionName=long"]
    too_many = call("sbatch", "--array=0-4", write_script(tmp_path))
    assert (too_many.returncode, "Invalid job array" in too_many.stderr) == (1, True)
    assert call("sbatch", "--partition=main", write_script(tmp_path)).returncode == 1


@pytest.mark.parametrize("name", ["two words", "quote\"'`$(x)", "line\nbreak", "dash — é 漢字", "%i|%T", ""])
def test_hostile_names_come_back_as_they_were(fake_slurm: FakeSlurm, tmp_path: Path, name: str) -> None:
    output("sbatch", f"--job-name={name}", write_script(tmp_path))
    assert output(*QUEUE) == f"1|PENDING|None||{name}"


def test_a_reply_that_is_lost_leaves_the_job(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    fake_slurm.behave("sbatch", works="before", status=1, stderr="Socket timed out\n", times=1)
    lost = call("sbatch", write_script(tmp_path))
    assert (lost.returncode, lost.stdout, lost.stderr) == (1, "", "Socket timed out\n")
    assert len(fake_slurm.jobs()) == 1
    assert output("sbatch", write_script(tmp_path)) == "Submitted batch job 2"


def test_a_command_hangs_and_only_as_often_as_asked(fake_slurm: FakeSlurm) -> None:
    fake_slurm.behave("squeue", hang=30, times=1)
    with pytest.raises(subprocess.TimeoutExpired):
        call(*QUEUE, timeout=0.5)
    began = time.monotonic()
    assert output(*QUEUE) == ""
    assert time.monotonic() - began < 5


def test_garbage_errors_and_absence(fake_slurm: FakeSlurm) -> None:
    fake_slurm.behave("squeue", status=0, stdout="\x00garbage|||\n")
    assert output(*QUEUE) == "\x00garbage|||"
    fake_slurm.no_controller()
    assert "Unable to contact slurm controller" in call(*QUEUE).stderr
    fake_slurm.remove("scancel")
    assert not (fake_slurm.bin / "scancel").exists()
    fake_slurm.restore()
    assert output(*QUEUE) == ""
    assert all((fake_slurm.bin / command).exists() for command in COMMANDS)


def test_what_the_fake_does_not_know_it_refuses(fake_slurm: FakeSlurm) -> None:
    fake_slurm.add()
    for command in (("squeue", "--noheader", "--format=%Z"), ("scontrol", "show", "node"), ("squeue",)):
        assert call(*command).returncode == 70
    assert call("sbatch", "--no-such-option", "x").returncode == 255


def test_calls_are_noted_word_by_word(fake_slurm: FakeSlurm) -> None:
    call("scancel", "a b", "c")
    assert fake_slurm.calls("scancel") == [["scancel", "a b", "c"]]
