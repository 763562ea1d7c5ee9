"""kill -9 at every point at which a job touches the disk, and at any time: the next attempt finishes the job.

The killed processes are forked from this one, so that a hundred of them cost seconds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.job import Job
from harness.ledger import JobFolder, code_revision
from harness.order import Order
from harness.payload import run_job
from harness.status import job_status
from results.record import Record
from results.workspace import Workspace
from tests.harness.hand_made import inside, plan_in
from tests.harness.world import World

TOUCHES = ("link", "replace", "rename", "unlink", "mkdir", "fsync")
"""What of :mod:`os` changes the ledger, or makes sure that it was changed."""

ANSWERS = {"done": 10, "failed": 11, "interrupted": 12, "not needed": 13}


@pytest.fixture
def here(world: World) -> Iterator[World]:
    with inside(world):
        # Known to all forked processes: asking git takes longer than the rest.
        code_revision()
        yield world


class Crowd:
    """Forked processes that run one job."""

    def __init__(self, world: World, number: int) -> None:
        (planned,) = plan_in(world, set=("counting.seconds=0.02", f"counting.iterations={number + 2}")).jobs
        self.job: Job = planned.job
        self.folder = JobFolder(Workspace(world.workspace).jobs / self.job.name)
        self.folder.write_spec(self.job.to_dict())
        self._order = Order(str(world.workspace), self.folder.name, None, (), own_process=True)

    def start(self, before: Callable[[], object] = lambda: None) -> int:
        """Forks a process that runs the job; its pid."""
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                before()
                status = ANSWERS[run_job(self._order)]
            finally:
                os._exit(status)
        return pid

    def run(self) -> str:
        """One more process, to its end; what it answered."""
        return answer_of(self.start())

    def check_finished(self, where: str) -> None:
        """Exactly one result, whole and valid, however many processes began."""
        results = list(self.folder.path.parent.glob(f"{self.folder.name}/result.json*"))
        assert results == [self.folder.result], where
        record = Record.read(self.folder.result)
        assert record.key == self.job.key, where
        assert record.metrics["count"].value == self.job.protocol["iterations"] if self.job.protocol else None, where
        assert self.folder.attempt_folder(record.attempt).is_dir(), where
        assert self.folder.live_claim() is None, where
        assert job_status(self.folder).state == "done", where
        assert self.folder.failures() == 0, where
        assert self.run() == "not needed", where


def answer_of(pid: int) -> str:
    _, status = os.waitpid(pid, 0)
    names = {code: name for name, code in ANSWERS.items()}
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else names.get(os.WEXITSTATUS(status), "an error")


KILLED = f"signal {int(signal.SIGKILL)}"


def die_at(point: int, torn: bool) -> None:
    """From here on the process kills itself before the given call; torn: at an fsync half of the file is lost too."""
    count = 0

    def touching(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == point:
                if torn and name == "fsync":
                    os.truncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return call

    for name in TOUCHES:
        setattr(os, name, touching(getattr(os, name), name))


@pytest.mark.parametrize("torn", [False, True], ids=["before the call", "half of the file lost"])
def test_killed_at_every_touch_of_the_disk(here: World, torn: bool) -> None:
    killed = 0
    while True:
        crowd = Crowd(here, killed)
        point = killed + 1

        def before(point: int = point) -> None:
            die_at(point, torn)

        answer = answer_of(crowd.start(before))
        if answer == "done":
            break
        assert answer == KILLED
        killed += 1
        was_published = crowd.folder.is_finished()
        assert crowd.run() == ("not needed" if was_published else "done"), f"touch {point}"
        crowd.check_finished(f"touch {point}")
    # A claim, an attempt, its slot, two copies of the result, the outcome, the release: each of several touches.
    assert killed >= 15


def test_killed_at_any_time_with_others_at_the_door(here: World) -> None:
    """Random moments; after each, three processes want the job at once."""
    generator = random.Random(20260101)
    started = time.monotonic()
    answer_of(Crowd(here, 0).start())
    usual = time.monotonic() - started
    killed = 0
    for number in range(1, 26):
        crowd = Crowd(here, number)
        pid = crowd.start()
        time.sleep(generator.uniform(0, 1.2 * usual))
        os.kill(pid, signal.SIGKILL)
        first = answer_of(pid)
        killed += first == KILLED
        answers = [answer_of(each) for each in [crowd.start() for _ in range(3)]]
        assert set(answers) <= {"done", "not needed"}, answers
        assert answers.count("done") <= 1, answers
        crowd.check_finished(f"round {number}")
    assert killed >= 5


def test_a_temporary_file_is_never_taken_for_a_result(here: World) -> None:
    crowd = Crowd(here, 0)
    crowd.folder.path.mkdir(parents=True, exist_ok=True)
    for name in (".result.json.0123.tmp", ".outcome.json.0123.tmp"):
        (crowd.folder.path / name).write_text("{")
    (crowd.folder.path / "claims").mkdir()
    (crowd.folder.path / "claims" / ".0001.json.0123.tmp").write_text("{")
    assert job_status(crowd.folder).state == "waiting"
    assert crowd.run() == "done"
    crowd.check_finished("leftovers")
    assert Path(crowd.folder.path / ".result.json.0123.tmp").exists()
