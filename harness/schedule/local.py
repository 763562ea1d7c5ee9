"""Jobs on this machine, each in its own process (submitit's LocalExecutor), or in this one (its DebugExecutor)."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import submitit

from harness.job import Job
from harness.ledger import JobFolder
from harness.order import Order, usable_gpus
from harness.payload import THREAD_VARIABLES, run_job
from harness.schedule.executor import Submission
from harness.schedule.slots import count_slots, threads_per_job, visible_gpus
from harness.settings import Settings
from harness.spread import world_of
from harness.startup import code_root
from results.errors import HarnessError
from results.files import explain_os_error, make_own_folder

UNLIMITED_MINUTES = 60 * 24 * 365
"""submitit's LocalExecutor always has a time limit; a year stands for none."""


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _terminal_signals_ignored() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C and hang-up: the run stops its jobs itself, and a closed terminal or a
    killed run leaves them to be adopted (exec(2) keeps ignored signals ignored).
    """
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _submissions(folder: JobFolder, workspace: Path) -> Path:
    """Where submitit pickles what it will run: whoever could write there could let this user run anything.

    Raises:
        HarnessError: Others may write there.
    """
    return make_own_folder(folder.path / "submissions", workspace)


class LocalSubmission:
    """A process of its own under submitit's controller."""

    def __init__(self, job: submitit.Job[Any]) -> None:
        self._job = job
        process: Any = getattr(job, "_process", None)
        self._controller = process

    @property
    def id(self) -> str:
        return str(self._job.job_id)

    def is_alive(self) -> bool | None:
        return self._controller.poll() is None

    def stop(self) -> None:
        # The controller passes SIGTERM on to the job; submitit's cancel() would kill the job after one second.
        if self.is_alive():
            self._controller.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        for child in _children(self._controller.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


class LocalExecutor:
    """Each job in its own process on this host; slots are taken by the job itself.

    Args:
        settings: Workspace, slots, largest batch, device.
        ranks: Processes that one job may be spread over (:func:`harness.spread.usable_ranks`).
    """

    name = "local"

    def __init__(self, settings: Settings, ranks: int = 1) -> None:
        self._settings = settings
        self._gpus = usable_gpus(settings.device, visible_gpus())
        self._ranks = ranks

    def capacity(self) -> int:
        return count_slots(self._settings.slots, self._gpus)

    def submit(self, folder: JobFolder) -> Submission:
        threads = str(threads_per_job(self.capacity()))
        spec = folder.read_spec()
        order = Order(
            str(self._settings.workspace.absolute()),
            folder.name,
            self._settings.slots,
            self._gpus,
            own_process=True,
            data_root=spec["data_root"],
            room=folder.path.parent.name,
            world=world_of(Job.from_dict(spec), self._ranks, self._settings.largest_batch),
            token=uuid.uuid4().hex,
            hang_minutes=self._settings.hang_minutes,
        )
        environment = {
            **dict.fromkeys(THREAD_VARIABLES, threads),
            # The job imports the same code as this process and nothing from the current folder.
            "PYTHONPATH": os.pathsep.join(filter(None, (str(code_root()), os.environ.get("PYTHONPATH", "")))),
            "PYTHONSAFEPATH": "1",
        }
        try:
            # submitit makes folders and patterns of "%j" out of the path; the folder of the job is its own.
            executor = submitit.LocalExecutor(folder=_submissions(folder, self._settings.workspace))
            executor.update_parameters(
                timeout_min=UNLIMITED_MINUTES, gpus_per_node=len(self._gpus), tasks_per_node=order.world.ranks
            )
            with _environment(environment), _terminal_signals_ignored():
                job = executor.submit(run_job, order)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOMEM):
                raise HarnessError(
                    f"cannot start a job: {error.strerror}", folder.name, "free memory or processes and run again"
                ) from error
            raise explain_os_error(error, folder.path / "submissions") from error
        return LocalSubmission(job)


class DebugSubmission:
    """A job that has run in this process."""

    def __init__(self, job: submitit.Job[Any]) -> None:
        self._job = job

    @property
    def id(self) -> str:
        return str(self._job.job_id)

    def is_alive(self) -> bool | None:
        return False

    def stop(self) -> None:
        """Nothing is left to stop."""

    def kill(self) -> None:
        """Nothing is left to kill."""


class DebugExecutor:
    """Jobs one after the other in this process, for a debugger.

    Args:
        settings: Workspace, slots, largest batch, device.
    """

    name = "debug"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gpus = usable_gpus(settings.device, visible_gpus())

    def capacity(self) -> int:
        return 1

    def submit(self, folder: JobFolder) -> Submission:
        executor = submitit.DebugExecutor(folder=_submissions(folder, self._settings.workspace))
        order = Order(
            str(self._settings.workspace.absolute()),
            folder.name,
            self._settings.slots,
            self._gpus,
            own_process=False,
            room=folder.path.parent.name,
            world=world_of(Job.from_dict(folder.read_spec()), 1, self._settings.largest_batch),
        )
        # Here and not when it is first asked for: what stops a run asks too, and must not start anything.
        job = executor.submit(run_job, order)
        if job.result() == "interrupted":
            raise KeyboardInterrupt
        return DebugSubmission(job)
