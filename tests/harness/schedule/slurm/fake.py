"""A SLURM that is none: its six commands on PATH, its jobs in a JSON file that the test edits.

The commands answer as SLURM 22.05 does (``fake_commands.py``); nothing is ever run. A test moves jobs through their
states, and lets a command hang, fail, print nonsense or be missing.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Literal

from tests.harness.schedule.slurm.fake_state import NORMAL, Job, array_of, first_state, locked, new_jobs, save

COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "sinfo", "scancel")

PROGRAM = Path(__file__).with_name("fake_commands.py")


class FakeSlurm:
    """The test's side of it.

    Args:
        folder: Its state lies there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        """To be put first on PATH."""
        self.bin.mkdir(parents=True)
        save(folder, first_state(getpass.getuser()))
        script = folder / "command"
        # Isolated and without site-packages: a command starts in some 20 ms.
        call = shlex.join([sys.executable, "-I", "-S", str(PROGRAM), str(folder)])
        script.write_text(f'#!/bin/sh\nexec {call} "${{0##*/}}" "$@"\n')
        script.chmod(0o755)
        for command in COMMANDS:
            self.restore(command)

    # Jobs ------------------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Every job and array task, in the order of submission; also those that SLURM has forgotten."""
        with locked(self.folder, write=False) as state:
            jobs: list[Job] = state["jobs"]
        return jobs

    def job(self, identifier: str) -> Job:
        """The last job with this id, ``7`` or ``7_3``."""
        return [job for job in self.jobs() if job["id"] == identifier][-1]

    def add(self, tasks: str = "", **fields: Any) -> str:
        """Adds a job as if somebody had submitted it.

        Args:
            tasks: For an array, for example ``0-3%2``.
            fields: What is not as by default: ``name``, ``state``, ``reason``, ``node``, ``exit_code``, ``restarts``,
                ``partition``, ``comment``, ``user``, ``submitted``...

        Returns:
            Its id.
        """
        with locked(self.folder) as state:
            return new_jobs(state, tasks, **fields)

    def set(self, identifier: str, **fields: Any) -> None:
        """Changes fields of the last job with this id; an array's id means all its tasks.

        ``in_queue=False`` is a job that slurmctld has forgotten, ``in_accounting=False`` one that slurmdbd never saw.
        """
        with locked(self.folder) as state:
            named = [job for job in state["jobs"] if identifier in (job["id"], array_of(job))]
            if not named:
                raise KeyError(identifier)
            for job in {job["id"]: job for job in named}.values():
                if unknown := set(fields) - set(job):
                    raise KeyError(f"a job has no {', '.join(sorted(unknown))}")
                job.update(fields)

    def wipe(self) -> None:
        """slurmctld forgets every job, and ids begin at 1 again; accounting remembers."""
        with locked(self.folder) as state:
            state["next_id"] = 1
            for job in state["jobs"]:
                job["in_queue"] = False

    # The cluster -----------------------------------------------------------------------------------------------------

    def set_version(self, version: str) -> None:
        """Plays another version: from 23.02 on sacct has ``--array`` and the field Restarts."""
        with locked(self.folder) as state:
            state["version"] = state["config"]["SLURM_VERSION"] = version

    def set_accounting(self, wanted: bool) -> None:
        """Turns accounting on or off; off, as at first, sacct fails."""
        with locked(self.folder) as state:
            state["accounting"] = wanted
            state["config"]["AccountingStorageType"] = f"accounting_storage/{'slurmdbd' if wanted else 'none'}"

    def set_config(self, **values: str) -> None:
        """Lines of ``scontrol show config``, for example ``MaxArraySize="101"``, which sbatch then heeds too."""
        with locked(self.folder) as state:
            state["config"].update(values)

    def set_partitions(self, *partitions: dict[str, Any]) -> None:
        """Other partitions: each with what is not as in the first one that there is."""
        with locked(self.folder) as state:
            state["partitions"] = [{**state["partitions"][0], "default": False, **each} for each in partitions]

    # The commands ----------------------------------------------------------------------------------------------------

    def behave(
        self,
        command: str,
        *,
        hang: float = 0.0,
        status: int | None = None,
        stdout: str = "",
        stderr: str = "",
        works: Literal["no", "before"] = "no",
        times: int | None = None,
    ) -> None:
        """Lets a command behave badly.

        Args:
            command: Which.
            hang: Seconds that it takes.
            status: Its exit status; None: it does its work and says what it always says, only late.
            stdout: What it prints instead.
            stderr: And on standard error.
            works: ``before``: the work is done all the same, before it hangs or fails, as when a reply is lost.
            times: How many calls behave so; None: all, until :meth:`restore`.
        """
        how = "after" if status is None and works == "no" else works
        behaviour = {"hang": hang, "status": status, "stdout": stdout, "stderr": stderr, "works": how, "times": times}
        assert behaviour.keys() == NORMAL.keys()
        with locked(self.folder) as state:
            state["behaviours"][command] = behaviour

    def no_controller(self) -> None:
        """slurmctld is down: what every command says, without the nine seconds that it takes."""
        reason = "Unable to contact slurm controller (connect failure)"
        self.behave("sbatch", status=1, stderr=f"sbatch: error: Batch job submission failed: {reason}\n")
        self.behave("squeue", status=1, stderr=f"slurm_load_jobs error: {reason}\n")
        self.behave("scontrol", status=1, stderr=f"slurm_load_ctl_conf error: {reason}\n")
        self.behave("sinfo", status=1, stderr=f"slurm_load_partitions: {reason}\n")
        self.behave("scancel", status=8, stderr=f"scancel: error: Kill job error on job id 1: {reason}\n")

    def no_database(self) -> None:
        """slurmdbd is down under a cluster with accounting."""
        self.behave("sacct", status=1, stderr="sacct: error: Problem talking to the database: Connection refused\n")

    def restore(self, *commands: str) -> None:
        """Lets commands, or all of them, be there and behave again."""
        with locked(self.folder) as state:
            for command in commands or COMMANDS:
                state["behaviours"].pop(command, None)
                link = self.bin / command
                if not link.is_symlink():
                    link.symlink_to(self.folder / "command")

    def remove(self, command: str) -> None:
        """Takes a command away."""
        (self.bin / command).unlink()

    def calls(self, command: str = "") -> list[list[str]]:
        """Every call so far, or those of one command: its name and its arguments."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [call for call in map(json.loads, lines) if command in ("", call[0])]

    def environment(self) -> dict[str, str]:
        """The process's environment with the fake first on PATH."""
        return {**os.environ, "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
