"""squeue, sacct and sinfo of the fake SLURM. Standard library only."""

from __future__ import annotations

import pwd
import re
from collections.abc import Callable
from typing import Any, NoReturn

import fake_options as options
from fake_common import fail, field, filled, in_queue, is_at_least, not_faked
from fake_state import ACTIVE, SHORT, Job, State, array_of, is_job_id, named_by, newest, task_of, waiting_together

SQUEUE_FIELDS: dict[str, Callable[[Job], str]] = {
    "i": lambda job: job["id"],
    "T": lambda job: job["state"],
    "t": lambda job: SHORT.get(job["state"], job["state"]),
    "r": lambda job: job["reason"],
    "N": lambda job: job["node"],
    "j": lambda job: job["name"],
    "k": lambda job: job["comment"] or "(null)",
    "u": lambda job: job["user"],
    "P": lambda job: job["partition"],
    "F": array_of,
    "K": lambda job: task_of(job).strip("[]") or "N/A",
    "A": lambda job: str(job["number"]),
    "V": lambda job: job["submitted"],
}


def squeue(state: State, words: list[str]) -> None:
    def unknown(message: str) -> NoReturn:
        fail(f'squeue: {message}\nTry "squeue --help" for more information')

    given, _ = options.SQUEUE.parse(words, unknown)
    if "noheader" not in given or "format" not in given:
        not_faked("squeue without --noheader and --format")
    jobs = _chosen(in_queue(state), given, state)
    if "array" not in given:
        jobs = waiting_together(jobs)
    order = [each["name"] for each in state["partitions"]]
    jobs.sort(key=lambda job: (order.index(job["partition"]), job["state"]))
    for job in jobs:
        print(filled(given["format"], SQUEUE_FIELDS, job))


def _chosen(jobs: list[Job], given: dict[str, str], state: State) -> list[Job]:
    if given.get("jobs"):
        names = given["jobs"].split(",")
        for name in names:
            if not is_job_id(name):
                fail(f"squeue: error: Invalid job id: {name}")
        jobs = [job for job in jobs if named_by(job, names)]
        # One id is asked for by its own; of several, those that there are not are left out.
        if len(names) == 1 and not jobs:
            fail("slurm_load_jobs error: Invalid job id specified")
    if "me" in given or "user" in given:
        user = state["user"] if "me" in given else given["user"]
        if user != state["user"] and not any(job["user"] == user for job in jobs) and not _is_user(user):
            fail(f"squeue: error: Invalid user: {user}", 0)
        jobs = [job for job in jobs if job["user"] == user]
    if "name" in given:
        jobs = [job for job in jobs if job["name"] in given["name"].split(",")]
    if "partition" in given:
        jobs = [job for job in jobs if job["partition"] in given["partition"].split(",")]
    states = given.get("states", ",".join(ACTIVE))
    long_names = {short: name for name, short in SHORT.items()}
    wanted = [long_names.get(name.upper(), name.upper()) for name in states.split(",")]
    for name in wanted:
        if name not in (*SHORT, "ALL"):
            fail(f"squeue: error: Invalid job state specified: {name}")
    return jobs if "ALL" in wanted else [job for job in jobs if job["state"] in wanted]


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


SACCT_FIELDS: dict[str, Callable[[Job], str]] = {
    "jobid": lambda job: job["id"],
    "jobidraw": lambda job: str(job["number"]),
    "jobname": lambda job: job["name"],
    "state": lambda job: job["state"] if job["cancelled_by"] is None else f"CANCELLED by {job['cancelled_by']}",
    "exitcode": lambda job: job["exit_code"],
    "nodelist": lambda job: job["node"] or "None assigned",
    "restarts": lambda job: str(job["restarts"]),
    "submit": lambda job: job["submitted"],
    "start": lambda job: job["started"],
    "end": lambda job: job["ended"],
    "partition": lambda job: job["partition"],
    "user": lambda job: job["user"],
    # Empty unless AccountingStoreFlags has job_comment.
    "comment": lambda job: "",
}


def sacct(state: State, words: list[str]) -> None:
    def unknown(message: str) -> NoReturn:
        fail(f"sacct: {message}")

    given, _ = options.SACCT.parse(words, unknown)
    if "array" in given and not is_at_least(state, "23.02"):
        unknown("unrecognized option '--array'")
    if not {"noheader", "parsable2", "allocations", "format"} <= set(given):
        not_faked("sacct without --noheader, --parsable2, --allocations and --format")
    if not {"jobs", "starttime"} & set(given):
        not_faked("sacct without --jobs or --starttime, which leaves out what began before midnight")
    if not state["accounting"]:
        fail("Slurm accounting storage is disabled")
    names = given["jobs"].split(",") if "jobs" in given else []
    for name in names:
        if not is_job_id(name):
            fail(f"sacct: fatal: Bad job/step specified: {name}")
    codes = [word.partition("%")[0] for word in given["format"].split(",")]
    for code in codes:
        if code.lower() == "restarts" and not is_at_least(state, "23.02"):
            fail(f'sacct: error: Invalid field requested: "{code}"')
    jobs = [job for job in state["jobs"] if job["in_accounting"]]
    if "duplicates" not in given:
        jobs = newest(jobs)
    if names:
        jobs = [job for job in jobs if named_by(job, names)]
    if "name" in given:
        jobs = [job for job in jobs if job["name"] in given["name"].split(",")]
    if "user" in given:
        jobs = [job for job in jobs if job["user"] in given["user"].split(",")]
    if "array" not in given:
        jobs = waiting_together(jobs)
    for job in jobs:
        print("|".join(field(SACCT_FIELDS, code.lower(), job) for code in codes))


SINFO_FIELDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "P": lambda each: each["name"] + ("*" if each["default"] else ""),
    "R": lambda each: each["name"],
    "a": lambda each: each["state"].lower(),
    "l": lambda each: _short_time(each["max_time"]),
    "L": lambda each: _short_time(each["default_time"]),
    "D": lambda each: str(each["nodes"]),
    "c": lambda each: str(each["cpus"]),
    "m": lambda each: str(each["memory"]),
    "G": lambda each: f"gpu:{each['gpus']}" if each["gpus"] else "(null)",
    "N": lambda each: f"n[1-{each['nodes']}]",
    "T": lambda each: "idle",
}


def _short_time(text: str) -> str:
    """sinfo leaves out leading zeros, which scontrol prints."""
    return "infinite" if text == "UNLIMITED" else re.sub(r"^(00:)?0?", "", text)


def sinfo(state: State, words: list[str]) -> None:
    def unknown(message: str) -> NoReturn:
        fail(f'sinfo: {message}\nTry "sinfo --help" for more information')

    given, _ = options.SINFO.parse(words, unknown)
    if "noheader" not in given or "format" not in given:
        not_faked("sinfo without --noheader and --format")
    names = given.get("partition", "").split(",") if "partition" in given else None
    for each in state["partitions"]:
        if names is None or each["name"] in names:
            for _ in range(each["nodes"] if "Node" in given else 1):
                print(filled(given["format"], SINFO_FIELDS, each))
