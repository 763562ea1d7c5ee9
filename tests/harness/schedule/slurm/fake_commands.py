"""sbatch, squeue, sacct, scontrol, sinfo and scancel without SLURM: what 22.05 prints, out of a JSON file.

Run as ``python fake_commands.py FOLDER COMMAND ARGUMENTS...``. Standard library only, since it starts often. What it
does not know it refuses with status 70, so that no test rests on an answer that nobody compared with a real SLURM's;
``tests/slurm/test_fake_agrees.py`` compares them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parent))

import fake_options as options
from fake_common import fail, in_queue, not_faked, now
from fake_queries import sacct, sinfo, squeue
from fake_sbatch import sbatch
from fake_state import (
    ACTIVE,
    Job,
    State,
    array_of,
    is_job_id,
    locked,
    named_by,
    take_behaviour,
    task_of,
    waiting_together,
)


def scontrol(state: State, words: list[str]) -> None:
    def unknown(message: str) -> NoReturn:
        fail(f'scontrol: {message}\nTry "scontrol --help" for more information')

    # Options may stand anywhere.
    flags = [word for word in words if word.startswith("-")]
    given, _ = options.SCONTROL.parse(flags, unknown)
    plain = [word for word in words if not word.startswith("-")]
    match plain:
        case ["ping"]:
            print("Slurmctld(primary) at vm is UP")
        case ["show", "config"]:
            print(f"Configuration data as of {now()}")
            for name, value in sorted(state["config"].items()):
                print(f"{name:<23} = {value}")
            print("\nSlurmctld(primary) at vm is UP")
        case ["show", "partition", *names] if "oneliner" in given:
            _show_partitions(state, names)
        case ["show", "job", name] if "oneliner" in given:
            _show_jobs(state, name)
        case ["requeue", name]:
            _requeue(state, name)
        case _:
            not_faked(f"scontrol {' '.join(words)}")


def _show_partitions(state: State, names: list[str]) -> None:
    chosen = [each for each in state["partitions"] if not names or each["name"] in names]
    if not chosen:
        print(f"Partition {names[0]} not found")
        sys.exit(1)
    for each in chosen:
        fields = {
            "PartitionName": each["name"],
            "AllowGroups": "ALL",
            "AllowAccounts": "ALL",
            "AllowQos": "ALL",
            "Default": "YES" if each["default"] else "NO",
            "DefaultTime": each["default_time"],
            "MaxNodes": "UNLIMITED",
            "MaxTime": each["max_time"],
            "MinNodes": "0",
            "Nodes": f"n[1-{each['nodes']}]",
            "State": each["state"],
            "TotalCPUs": each["nodes"] * each["cpus"],
            "TotalNodes": each["nodes"],
        }
        print(" ".join(f"{name}={value}" for name, value in fields.items()))


def _show_jobs(state: State, name: str) -> None:
    jobs = waiting_together([job for job in in_queue(state) if is_job_id(name) and named_by(job, [name])])
    if not jobs:
        fail("slurm_load_jobs error: Invalid job id specified")
    for job in jobs:
        fields = {"JobId": job["number"]}
        if task_of(job):
            fields.update(ArrayJobId=array_of(job), ArrayTaskId=task_of(job).strip("[]"))
        if job["throttle"]:
            fields.update(ArrayTaskThrottle=job["throttle"])
        fields.update(
            JobName=job["name"],
            UserId=f"{job['user']}(0)",
            JobState=job["state"],
            Reason=job["reason"],
            Dependency=job["dependency"] or "(null)",
            Requeue="1",
            Restarts=job["restarts"],
            BatchFlag="1",
            ExitCode=job["exit_code"],
            SubmitTime=job["submitted"],
            StartTime=job["started"],
            EndTime=job["ended"],
            Partition=job["partition"],
            NodeList=job["node"],
            Command=job["script"] or "(null)",
        )
        if job["comment"]:
            # A blank follows it in 22.05.
            fields.update(Comment=job["comment"] + " ")
        print(" ".join(f"{key}={value}" for key, value in fields.items()))


def _requeue(state: State, name: str) -> None:
    jobs = [job for job in in_queue(state) if named_by(job, [name])]
    if not jobs:
        fail(f"Invalid job id specified for job {name}")
    if all(job["state"] == "PENDING" for job in jobs):
        fail(f"{name}: Job is pending execution" if "_" in name else f"Job is pending execution for job {name}")
    for job in jobs:
        if job["state"] != "PENDING":
            job.update(state="PENDING", reason="BeginTime", node="", restarts=job["restarts"] + 1)


def scancel(state: State, words: list[str]) -> None:
    def unknown(message: str) -> NoReturn:
        fail(f'scancel: {message}\nTry "scancel --help" for more information')

    given, names = options.SCANCEL.parse(words, unknown)
    filters = [key for key in ("user", "name", "state", "partition", "me") if key in given]
    if not names and not filters:
        fail("scancel: error: No job identification provided")
    for name in names:
        if not is_job_id(name):
            fail(f"scancel: error: Invalid job id {name}")
    status = 0
    jobs = [job for job in in_queue(state) if job["state"] in ACTIVE and (not names or named_by(job, names))]
    for key in filters:
        value = state["user"] if key == "me" else given[key]
        jobs = [job for job in jobs if job["user" if key == "me" else key] == value]
    if "signal" in given:
        if any(job["state"] == "PENDING" for job in jobs):
            not_faked("a signal to a job that waits; the real scancel goes on trying for more than half a minute")
        for name in names:
            if not any(named_by(job, [name]) and job["state"] == "RUNNING" for job in jobs):
                print(f"scancel: error: Kill job error on job id {name}: Invalid job id specified", file=sys.stderr)
                status = 1
        for job in jobs:
            if job["state"] == "RUNNING":
                job["signals"].append(given["signal"])
    else:
        _cancel(state, jobs)
    if status:
        sys.exit(status)


def _cancel(state: State, jobs: list[Job]) -> None:
    """Cancels jobs. Tasks that wait, and whose array has others that do, vanish, from squeue and from sacct."""
    chosen = {job["id"] for job in jobs}
    waiting = [job for job in in_queue(state) if job["state"] == "PENDING" and task_of(job)]
    left = {array_of(job) for job in waiting if job["id"] not in chosen}
    for job in jobs:
        if job["state"] == "PENDING" and array_of(job) in left:
            job.update(in_queue=False, in_accounting=False)
        job.update(state="CANCELLED", cancelled_by=os.getuid(), ended=now(), never_split=job["state"] == "PENDING")


COMMANDS = {each.__name__: each for each in (sbatch, squeue, sacct, scontrol, sinfo, scancel)}


CHANGING = ("sbatch", "scontrol", "scancel")


def main() -> None:
    """Behaves as the test asked, else as the command does."""
    folder, command, words = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    with (folder / "calls.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps([command, *words]) + "\n")
    behaviour = take_behaviour(folder, command)
    said: tuple[str, str, int] = behaviour["stdout"], behaviour["stderr"], behaviour["status"] or 0
    if behaviour["works"] == "before":
        answer = _answer(folder, command, words)
        said = answer if behaviour["status"] is None else said
    time.sleep(behaviour["hang"])
    if behaviour["works"] == "after":
        said = _answer(folder, command, words)
    sys.stdout.write(said[0])
    sys.stderr.write(said[1])
    sys.stdout.flush()
    sys.exit(said[2])


def _answer(folder: Path, command: str, words: list[str]) -> tuple[str, str, int]:
    """What the command says on standard output and standard error, and its status."""
    output, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        locked(folder, write=command in CHANGING) as state,
    ):
        try:
            if {"--version", "-V"} & set(words):
                print(f"slurm-wlm {state['version']}")
            else:
                COMMANDS[command](state, words)
        except SystemExit as end:
            status = int(end.code or 0)
    return output.getvalue(), errors.getvalue(), status


if __name__ == "__main__":
    main()
