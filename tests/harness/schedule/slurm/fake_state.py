"""The state of the fake SLURM: one JSON file in a folder, read and written under a lock. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Job = dict[str, Any]
State = dict[str, Any]

ACTIVE = ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "REQUEUED", "REQUEUE_HOLD",
          "REQUEUE_FED", "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED")  # fmt: skip
"""States that squeue shows without ``--states``."""

SHORT = {"PENDING": "PD", "RUNNING": "R", "SUSPENDED": "S", "COMPLETED": "CD", "CANCELLED": "CA", "FAILED": "F",
         "TIMEOUT": "TO", "NODE_FAIL": "NF", "PREEMPTED": "PR", "BOOT_FAIL": "BF", "DEADLINE": "DL",
         "OUT_OF_MEMORY": "OOM", "COMPLETING": "CG", "CONFIGURING": "CF", "RESIZING": "RS", "RESV_DEL_HOLD": "RD",
         "REQUEUED": "RQ", "REQUEUE_FED": "RF", "REQUEUE_HOLD": "RH", "REVOKED": "RV", "SIGNALING": "SI",
         "SPECIAL_EXIT": "SE", "STAGE_OUT": "SO", "STOPPED": "ST"}  # fmt: skip
"""Every state of SLURM 22.05 in the order of its own list (squeue(1)); later versions add LAUNCH_FAILED, POWER_UP_NODE,
RECONFIG_FAIL and EXPEDITING, which a test may set all the same."""


def first_state(user: str) -> State:
    """A cluster like that of ``tests/slurm/cluster``, without jobs and without accounting."""
    partition = {"nodes": 4, "cpus": 16, "memory": 64000, "gpus": 8, "state": "UP"}
    return {
        "version": "22.05.8",
        "user": user,
        "accounting": False,
        "next_id": 1,
        "partitions": [
            {"name": "main", "default": True, "max_time": "UNLIMITED", "default_time": "00:10:00", **partition},
            {"name": "short", "default": False, "max_time": "00:01:00", "default_time": "00:01:00", **partition},
        ],
        "config": {
            "AccountingStorageType": "accounting_storage/none",
            "ClusterName": "test",
            "JobRequeue": "1",
            "MaxArraySize": "1001",
            "MaxJobCount": "50000",
            "MinJobAge": "900 sec",
            "SLURM_VERSION": "22.05.8",
        },
        "jobs": [],
        "behaviours": {},
    }


@contextlib.contextmanager
def locked(folder: Path, write: bool = True) -> Iterator[State]:
    """The state, for as long as nobody else has it.

    Args:
        folder: Where it lies.
        write: Whether what was changed in it is kept.
    """
    path = folder / "state.json"
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads(path.read_text(encoding="utf-8"))
        yield state
        if write:
            save(folder, state)


def save(folder: Path, state: State) -> None:
    """Writes the state whole."""
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(state, stream, indent=1)
    Path(name).replace(folder / "state.json")


NORMAL = {"hang": 0.0, "status": None, "stdout": "", "stderr": "", "works": "after", "times": None}
"""How a command behaves: see :meth:`tests.harness.schedule.slurm.fake.FakeSlurm.behave`."""


def take_behaviour(folder: Path, command: str) -> dict[str, Any]:
    """How a command is to behave this time; counts the times."""
    with locked(folder, write=False) as state:
        behaviour: dict[str, Any] = state["behaviours"].get(command, NORMAL)
        if behaviour["times"] is not None:
            behaviour["times"] -= 1
            if not behaviour["times"]:
                del state["behaviours"][command]
            save(folder, state)
    return behaviour


def task_indices(text: str) -> list[int]:
    """Indices of ``1,3,5-9:2%1``.

    Raises:
        ValueError: Not of that form.
    """
    found: set[int] = set()
    for part in text.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if match is None:
            raise ValueError(part)
        first, last, step = match.groups()
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    if not found:
        raise ValueError(text)
    return sorted(found)


def new_jobs(cluster: State, /, tasks: str = "", **fields: Any) -> str:
    """Adds a job, or the tasks of an array.

    Returns:
        Its id, without the tasks.
    """
    number = cluster["next_id"]
    indices: list[int | None] = list(task_indices(tasks)) if tasks else [None]
    # The tasks of a real array get numbers of their own when they start, and the last one that of the array.
    cluster["next_id"] += len(indices)
    for position, index in enumerate(indices):
        last = position == len(indices) - 1
        job: Job = {
            "id": str(number) if index is None else f"{number}_{index}",
            "number": number if last else number + position + 1,
            "name": "wrap",
            "state": "PENDING",
            "reason": "None",
            "node": "",
            "exit_code": "0:0",
            "restarts": 0,
            "submitted": "2026-01-01T00:00:00",
            "started": "Unknown",
            "ended": "Unknown",
            "partition": next(each["name"] for each in cluster["partitions"] if each["default"]),
            "comment": "",
            "user": cluster["user"],
            "dependency": "",
            "throttle": tasks.partition("%")[2],
            "cancelled_by": None,
            "never_split": False,
            "signals": [],
            "script": "",
            "options": {},
            "in_queue": True,
            "in_accounting": True,
        }
        unknown = set(fields) - set(job)
        if unknown:
            raise KeyError(f"a job has no {', '.join(sorted(unknown))}")
        cluster["jobs"].append({**job, **fields})
    return str(number)


def array_of(job: Job) -> str:
    """The id of a job without its task."""
    return str(job["id"]).partition("_")[0]


def task_of(job: Job) -> str:
    """The index of a task; empty for a job that is none."""
    return str(job["id"]).partition("_")[2]


def named_by(job: Job, names: list[str]) -> bool:
    """Whether one of these ids (``7``, ``7_3``, ``7_[1-2]``, or a task's own number) means this job."""
    for name in names:
        array, _, tasks = name.partition("_")
        if name in (job["id"], array_of(job), str(job["number"])):
            return True
        if tasks.startswith("[") and array == array_of(job) and int(task_of(job) or -1) in task_indices(tasks[1:-1]):
            return True
    return False


def is_job_id(name: str) -> bool:
    """Whether SLURM's commands take it for a job's id."""
    return re.fullmatch(r"\d+(_(\d+|\[[\d,:%-]+\]|\*))?", name) is not None


def newest(jobs: list[Job]) -> list[Job]:
    """Of jobs with one id only the last: ids may come round again."""
    return list({job["id"]: job for job in jobs}.values())


def compressed(indices: list[int]) -> str:
    """``0-2,5`` for 0, 1, 2, 5."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def waiting_together(jobs: list[Job]) -> list[Job]:
    """Jobs with the waiting tasks of an array as one, ``7_[2-3%2]``, as the commands show them by default.

    Tasks that were cancelled while they waited stay together, too.
    """
    shown: dict[tuple[str, str], Job] = {}
    indices: dict[tuple[str, str], list[int]] = {}
    for position, job in enumerate(jobs):
        together = bool(task_of(job)) and (job["state"] == "PENDING" or job["never_split"])
        group = (array_of(job), job["state"]) if together else ("", str(position))
        shown.setdefault(group, {**job, "number": int(array_of(job))} if together else job)
        if together:
            indices.setdefault(group, []).append(int(task_of(job)))
    for group, tasks in indices.items():
        job = shown[group]
        limit = f"%{job['throttle']}" if job["throttle"] else ""
        job["id"] = f"{array_of(job)}_[{compressed(tasks)}{limit}]"
    return list(shown.values())
