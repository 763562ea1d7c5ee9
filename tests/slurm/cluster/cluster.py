"""The cluster: up, down, commands, and what can break in it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.slurm.cluster.accounting import Accounting
from tests.slurm.cluster.config import Shape, write_slurm_files
from tests.slurm.cluster.others import folder_of_running_controller, is_free, is_orphan, note_owner
from tests.slurm.cluster.packages import SEARCH_PATH, cannot_run
from tests.slurm.cluster.processes import Daemon, descendants, end_process, processes_with, wait_until

HOSTS = Path("/etc/hosts")

LONGEST_FOLDER = 80
"""Names of Unix sockets have at most 107 bytes (unix(7)), and those of slurmstepd add up to 25."""

NODE_VARIABLE = "VIRTUAL_NODE"

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE")


class Refused(Exception):
    """The cluster cannot be brought up here; says why."""


class Cluster:
    """One SLURM in one folder.

    Args:
        folder: Everything lies there.
        shape: What it looks like; ``port`` lets a second one stand beside.
    """

    def __init__(self, folder: Path, shape: Shape | None = None) -> None:
        self.folder = folder.resolve()
        self.shape = shape or Shape()
        self.environment = {
            # The first: slurmstepd writes its title over the beginning of its environment.
            "PATH": SEARCH_PATH,
            "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"),
            "LANG": "C.UTF-8",
        }
        """For commands; tests put it into their own."""
        self._munge = Daemon(
            "munged",
            self.folder,
            (
                "munged",
                "--foreground",
                f"--key-file={self.folder}/etc/munge.key",
                f"--socket={self.folder}/munge/socket",
                f"--pid-file={self.folder}/munge/pid",
                f"--log-file={self.folder}/log/munged.log",
                f"--seed-file={self.folder}/munge/seed",
                "--num-threads=4",
            ),
        )
        self._controller = Daemon("slurmctld", self.folder, ("slurmctld", "-D", "-f", self.environment["SLURM_CONF"]))
        self.accounting = Accounting(self.folder, self.shape, self.environment)
        self._with_accounting = False
        self._preempt_signal = True

    # Up and down -----------------------------------------------------------------------------------------------------

    def up(self, accounting: bool = False, owner: int | None = None) -> None:
        """Brings the cluster up; does nothing where it is up already.

        Args:
            accounting: With slurmdbd and MariaDB.
            owner: A process whose end makes the cluster an orphan that the next ``up`` may take down.

        Raises:
            Refused: Not as root on Linux, packages are missing, or another cluster is up.
        """
        if reason := cannot_run(accounting):
            raise Refused(reason)
        if len(str(self.folder)) > LONGEST_FOLDER:
            raise Refused(f"{self.folder} has more than {LONGEST_FOLDER} characters, too many for Unix sockets in it")
        if self._controller.recorded() is None:
            self._refuse_another()
        for name in ("etc", "log", "pid", "munge", "state", "spool", "mysql"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # Clients of every user speak to munged through its folder, and munged insists on that.
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o755)
        self._with_accounting = accounting
        self._write_files()
        note_owner(self.folder, owner)
        self._munge.start(self.environment)
        wait_until("munged answers", (self.folder / "munge" / "socket").exists, 10)
        if accounting:
            self.accounting.start()
        self.start_controller()
        for name in self.shape.names:
            self.start_slurmd(name)
        self.wait_for_nodes()

    def down(self, keep: bool = False) -> None:
        """Ends jobs and daemons of this folder.

        Args:
            keep: Whether the folder stays, for another ``up``; without it the folder is removed.
        """
        if self._controller.recorded() is not None and not keep:
            with contextlib.suppress(subprocess.TimeoutExpired, TimeoutError):
                self.cancel_all()
        for record in (self.folder / "pid").glob("slurmd-*.json"):
            Daemon(record.stem, self.folder, ()).stop()
        self._end_jobs()
        self._controller.stop()
        self.accounting.stop()
        self._munge.stop()
        self._resolve_names(False)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _refuse_another(self) -> None:
        """Ports tell whether there is another; one whose owner is dead is taken down."""
        if is_free(self.shape.port):
            return
        other = folder_of_running_controller(self.shape.port)
        if other is None:
            raise Refused(f"something else listens on port {self.shape.port}: choose another one")
        if is_orphan(other):
            Cluster(other, self.shape).down()
            return
        raise Refused(
            f"a cluster is up in {other}: take it down with `python -m tests.slurm.cluster down --folder {other}`, "
            "or choose another port"
        )

    def _write_files(self) -> None:
        key = self.folder / "etc" / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(1024))
        write_slurm_files(self.folder, self.shape, self._with_accounting, self._preempt_signal)
        lines = [f"export {name}={value}" for name, value in self.environment.items() if name == "SLURM_CONF"]
        (self.folder / "environment").write_text("\n".join([*lines, f"export PATH=$PATH:{SEARCH_PATH}", ""]))
        self._resolve_names(True)

    def _resolve_names(self, wanted: bool) -> None:
        """Node names must resolve, since ranks meet at the first node's name; ``/etc/hosts`` gets a line of ours."""
        mark = f"# SLURM in {self.folder}"
        lines = HOSTS.read_text().splitlines()
        others = [line for line in lines if not line.endswith(mark)]
        ours = [f"127.0.0.1 {' '.join(self.shape.names)} {mark}"] if wanted else []
        if lines != others + ours:
            # Written in place: in a container the file is a mount, and cannot be renamed over.
            HOSTS.write_text("\n".join([*others, *ours, ""]))

    def heal(self) -> None:
        """Brings back what a test broke: daemons, nodes and settings; cancels all jobs."""
        whole = (False, True, Shape.at_a_time)
        if (self._with_accounting, self._preempt_signal, self.shape.at_a_time) != whole:
            self._with_accounting, self._preempt_signal, at_a_time = whole
            self.shape = dataclasses.replace(self.shape, at_a_time=at_a_time)
            self._write_files()
            self._controller.stop()
        self.accounting.stop()
        self.start_controller()
        for name in self.shape.names:
            self.start_slurmd(name)
        self.cancel_all()
        for name, state in self.node_states().items():
            if state.startswith(("drain", "down")):
                # A node that registers between the look and this is idle already, and cannot be resumed.
                with contextlib.suppress(RuntimeError):
                    self.resume(name)
        self.wait_for_nodes()

    # Commands --------------------------------------------------------------------------------------------------------

    def run(self, *command: str, timeout: float = 30, check: bool = True) -> str:
        """Runs a command of SLURM's.

        Returns:
            Its standard output, without white space around it.

        Raises:
            RuntimeError: It failed, and ``check``.
        """
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def submit(self, script: str, *options: str, output: str = "/dev/null") -> str:
        """Submits a shell script; by default its output is thrown away.

        Returns:
            The job's id.
        """
        return self.run("sbatch", "--parsable", f"--output={output}", *options, "--wrap", script)

    def job(self, job: str) -> dict[str, str]:
        """The fields of ``scontrol show job``, of the first record for an array; empty where there is no such job."""
        shown = self.run("scontrol", "show", "job", job, "--oneliner", check=False).splitlines()
        return dict(word.split("=", 1) for word in shown[0].split() if "=" in word) if shown else {}

    def state(self, job: str) -> str:
        """Its state, for example ``RUNNING``; empty where there is no such job."""
        return self.job(job).get("JobState", "")

    def states(self) -> dict[str, str]:
        """States of all jobs and array tasks that slurmctld remembers."""
        lines = self.run("squeue", "--noheader", "--states=all", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_for(self, job: str, states: Collection[str] = ENDED, seconds: float = 60) -> str:
        """Waits until a job is in one of these states.

        Returns:
            The state.

        Raises:
            TimeoutError: It is not after that many seconds.
        """
        end = time.monotonic() + seconds
        while (state := self.state(job)) not in states:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"after {seconds:.0f} s job {job} is {state or 'unknown'}, not {' or '.join(states)}"
                )
            time.sleep(0.1)
        return state

    def cancel_all(self) -> None:
        """Cancels every job and waits until none is left."""
        if self.run("squeue", "--noheader", check=False):
            self.run("scancel", "--user=root")
            wait_until("no job is left", lambda: not self.run("squeue", "--noheader"), 30)

    def node_states(self) -> dict[str, str]:
        """State of each node: ``idle``, ``mixed``, ``allocated``, ``down``, ``drained``..."""
        lines = self.run(
            "sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T", check=False
        ).splitlines()
        return dict(line.split() for line in lines)

    def wait_for_nodes(self, seconds: float = 30) -> None:
        """Waits until every node can take jobs."""
        wait_until(
            "every node can take jobs",
            lambda: (
                [state in ("idle", "mixed", "allocated") for state in self.node_states().values()]
                == [True] * self.shape.nodes
            ),
            seconds,
        )

    # Faults ----------------------------------------------------------------------------------------------------------

    def _slurmd(self, node: str) -> Daemon:
        return Daemon(f"slurmd-{node}", self.folder, ("slurmd", "-D", "-N", node, "-f", self.environment["SLURM_CONF"]))

    def start_slurmd(self, node: str) -> None:
        """Starts the slurmd of a node, without waiting for it."""
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        # slurmstepd inherits the second variable; nothing else tells from outside which node it serves.
        self._slurmd(node).start({**self.environment, NODE_VARIABLE: node})

    def kill_slurmd(self, node: str) -> None:
        """Kills a node's slurmd; the processes of its jobs live on, as with a node that lost its network."""
        self._slurmd(node).kill()

    def kill_node(self, node: str) -> None:
        """Kills a node's slurmd and whatever ran on the node, as a power cut does."""
        self.kill_slurmd(node)
        self._end_jobs(node=node)

    def start_controller(self) -> None:
        """Starts slurmctld and waits until it answers."""
        self._controller.start(self.environment)
        wait_until("slurmctld answers", lambda: "is UP" in self.run("scontrol", "ping", check=False), 30)

    def kill_controller(self) -> None:
        """Kills slurmctld; what it had not saved yet (up to ten seconds) is lost."""
        self._controller.kill()

    def restart_controller(self) -> None:
        """Stops slurmctld in order, so that it saves everything, and starts it again with the files as they are."""
        self._controller.stop()
        self.start_controller()

    def wipe(self) -> None:
        """Forgets every job, so that ids start again at 1; what still ran is killed."""
        self._controller.stop()
        for name in self.shape.names:
            self._slurmd(name).stop()
        self._end_jobs()
        for name in ("state", "spool"):
            shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir()
        self.start_controller()
        for name in self.shape.names:
            self.start_slurmd(name)
        self.wait_for_nodes()

    def set_accounting(self, wanted: bool) -> None:
        """Turns accounting on or off; slurmctld restarts, jobs stay."""
        self._with_accounting = wanted
        # First, since the commands of slurmdbd's read from it where slurmdbd is.
        self._write_files()
        if wanted:
            self.accounting.start()
        self.restart_controller()
        if not wanted:
            self.accounting.stop()

    def set_preempt_signal(self, wanted: bool) -> None:
        """Whether a preempted job gets the signal it asked for (``preempt_send_user_signal``)."""
        self._preempt_signal = wanted
        self._write_files()
        self.restart_controller()

    def set_at_a_time(self, jobs: int) -> None:
        """How many jobs of the default partition run at once."""
        self.shape = dataclasses.replace(self.shape, at_a_time=jobs)
        self._write_files()
        self.run("scontrol", "reconfigure")

    def drain(self, node: str) -> None:
        """A node takes no more jobs; those on it go on."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def declare_down(self, node: str) -> None:
        """Lets slurmctld know at once that a node is down, which it notices by itself after half a minute."""
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def resume(self, node: str) -> None:
        """A drained or down node takes jobs again."""
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def let_time_run_out(self, job: str, seconds: int = 1) -> None:
        """Sets a running job's end to so many seconds from now; slurmctld looks every 30 s."""
        self.run("scontrol", "update", f"jobid={job}", f"endtime=now+{seconds}")

    def processes_of(self, job: str) -> list[int]:
        """Process ids of a running job or array task (``7_3``), slurmstepd not among them."""
        number = self.job(job).get("JobId", job) if "_" in job else job
        return [pid for pid, _ in self._job_processes({"SLURM_JOB_ID": number})]

    def kill_payload(self, job: str) -> None:
        """Sends SIGKILL to all processes of a job."""
        for pid in self.processes_of(job):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _steps(self, node: str = "") -> list[tuple[int, int]]:
        """The slurmstepd of a node, or of all."""
        ours = {"SLURM_CONF": self.environment["SLURM_CONF"], NODE_VARIABLE: node}
        return list(processes_with(ours, name="slurmstepd"))

    def _job_processes(self, variables: Mapping[str, str]) -> list[tuple[int, int]]:
        """What runs in jobs of this cluster, with these variables: below its slurmstepd, or with its configuration.

        A job that was submitted with ``--export=NONE`` has no SLURM_CONF; a process that left has no such parent.
        """
        below = descendants([pid for pid, _ in self._steps()])
        ours = {"SLURM_CONF": self.environment["SLURM_CONF"], "SLURM_JOB_ID": ""}
        found = dict(processes_with({**ours, **variables}))
        found |= {pid: start for pid, start in processes_with(variables) if pid in below}
        return list(found.items())

    def _end_jobs(self, node: str = "") -> None:
        """Ends what slurmd left running on a node, or on all."""
        processes = self._steps(node) + self._job_processes({"SLURMD_NODENAME": node})
        for pid, start in processes:
            end_process(pid, start, (signal.SIGKILL,))
