"""The executors with real processes."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.job import Job
from harness.ledger import JobFolder
from harness.schedule.executor import Submission
from harness.schedule.local import DebugExecutor, LocalExecutor
from harness.schedule.slots import hold_slot
from harness.settings import Settings
from results.errors import HarnessError
from results.record import Record
from results.workspace import Workspace
from tests.harness.hand_made import inside, plan_in
from tests.harness.world import ROOT, World

PEEKING = """
import os, signal, sys
from benchmarks.base import Outcome
from results.record import MetricValue
from third_party_benchmarks import Counting


class Peeking(Counting):
    name = "peeking"

    def run(self, context):
        import harness
        super().run(context)
        details = {
            "data_root": str(context.data_root),
            "path": sys.path,
            "harness": harness.__file__,
            "threads": os.environ["OMP_NUM_THREADS"],
            "ignores": [each.name for each in (signal.SIGINT, signal.SIGHUP)
                        if signal.getsignal(each) is signal.SIG_IGN],
            "here": os.getcwd(),
        }
        return Outcome({"count": MetricValue(1.0)}, details)
"""


@pytest.fixture
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """This process and those that it starts see the world's benchmarks, ``peeking`` among them."""
    site = world.folder / "site"
    information = site / "peeking-1.0.dist-info"
    information.mkdir()
    (site / "peeking_benchmark.py").write_text(PEEKING)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: peeking\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[harness.benchmarks]\npeeking = peeking_benchmark:Peeking\n")
    with inside(world):
        for name, value in world.environment().items():
            if name in ("PYTHONPATH", "TMPDIR"):
                monkeypatch.setenv(name, value)
        yield world
        for claim in world.claims():
            process = claim["process"]
            assert isinstance(process, dict)
            if process["pid"] != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process["pid"], signal.SIGKILL)
        sys.modules.pop("peeking_benchmark", None)


def prepared(world: World, *overrides: str, suite: str = "peeking") -> tuple[Job, JobFolder]:
    (planned,) = plan_in(world, suite=suite, set=overrides).jobs
    folder = JobFolder(Workspace(world.workspace).jobs / planned.job.name)
    folder.write_spec(planned.job.to_dict())
    return planned.job, folder


def wait_until(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def wait(submission: Submission) -> None:
    wait_until(lambda: submission.is_alive() is False)


def details_of(folder: JobFolder) -> dict[str, object]:
    return dict(Record.read(folder.result).details)


def test_a_job_runs_in_a_process_of_its_own(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.folder)
    _, folder = prepared(here)
    submission = LocalExecutor(Settings(workspace=here.workspace, slots=2)).submit(folder)
    assert submission.is_alive() is True
    wait(submission)
    details = details_of(folder)
    claim = folder.last_claim()
    assert claim is not None
    assert claim.job_id == submission.id
    assert claim.process.pid != os.getpid()
    assert details["harness"] == str(ROOT / "harness" / "__init__.py")
    # Nothing is imported from where the user stands.
    assert "" not in details["path"]  # type: ignore[operator]
    assert str(here.folder) not in details["path"]  # type: ignore[operator]
    assert details["ignores"] == ["SIGINT", "SIGHUP"]
    assert details["threads"] == str(max(1, len(os.sched_getaffinity(0)) // 2))


def test_nothing_is_pickled_where_others_may_write(here: World) -> None:
    """Whoever can write beside the pickle of what will be run can let this user run anything."""
    _, folder = prepared(here)
    folder.path.parent.chmod(0o777)
    settings = Settings(workspace=here.workspace)
    for executor in (LocalExecutor(settings), DebugExecutor(settings)):
        with pytest.raises(HarnessError, match="others may write jobs"):
            executor.submit(folder)
    assert here.entries("started") == []


def test_starting_a_job_leaves_this_process_as_it_was(here: World) -> None:
    _, folder = prepared(here)
    before = dict(os.environ), [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)]
    submission = LocalExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    assert (dict(os.environ), [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)]) == before
    wait(submission)


def test_a_job_can_be_stopped_at_any_time_and_repeated(here: World) -> None:
    _, folder = prepared(here, "peeking.seconds=30")
    submission = LocalExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    wait_until(lambda: here.entries("started"))
    submission.stop()
    wait(submission)
    last = folder.last_outcome()
    assert last is not None
    assert last.status == "interrupted"
    assert folder.live_claim() is None
    submission.stop()
    submission.kill()


def test_a_job_that_is_only_just_starting_hears_the_second_call(here: World) -> None:
    """The first may come before the process listens; the loop calls again and again."""
    _, folder = prepared(here, "peeking.seconds=30")
    submission = LocalExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)

    def stop() -> bool:
        submission.stop()
        return submission.is_alive() is False

    wait_until(stop)
    assert folder.live_claim() is None
    assert not folder.is_finished()


def test_a_killed_job_leaves_a_claim_that_can_be_taken(here: World) -> None:
    _, folder = prepared(here, "peeking.seconds=30")
    submission = LocalExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    wait_until(lambda: here.entries("started"))
    assert folder.live_claim() is not None
    submission.kill()
    wait(submission)
    assert folder.live_claim() is None
    assert folder.outcome(folder.attempts()[-1]).status == ""


def test_a_job_keeps_the_data_root_that_it_was_submitted_with(here: World) -> None:
    """Another run with the same key brings another root before the process has begun; the root may not exist here."""
    job, folder = prepared(here)
    submission = LocalExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    folder.write_spec(dataclasses.replace(job, data_root=Path("/of/another/host")).to_dict())
    wait(submission)
    assert details_of(folder)["data_root"] == str(here.data)


@pytest.mark.parametrize("name", ["with space", "täglich", "-rf", "100%"])
def test_a_workspace_may_be_called_anything(here: World, name: str) -> None:
    place = here.workspace / name
    job, _ = prepared(here)
    (place / "backbones").parent.mkdir()
    (place / "backbones").symlink_to(here.workspace / "backbones")
    folder = JobFolder(Workspace(place).jobs / job.name)
    folder.write_spec(job.to_dict())
    submission = LocalExecutor(Settings(workspace=place)).submit(folder)
    wait(submission)
    assert folder.is_finished()
    assert sorted(path.name for path in here.workspace.iterdir()) == sorted(["backbones", "cache", "jobs", name])


def test_a_workspace_that_submitit_would_rename_is_refused(here: World) -> None:
    """It puts the job's number for ``%j`` wherever it stands, and so would write beside the workspace."""
    place = here.workspace / "%j of %t"
    words = here.run_words()
    words[words.index("--workspace") + 1] = str(place)
    done = subprocess.run(
        words, env=here.environment(), cwd=here.folder, text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stdout
    assert "%j" in done.stderr
    assert sorted(path.name for path in here.workspace.iterdir()) == ["backbones", "cache"]


def test_a_process_that_cannot_start_is_a_sentence(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    _, folder = prepared(here)
    monkeypatch.setattr("submitit.local.local.start_controller", fork)
    with pytest.raises(HarnessError, match="cannot start a job") as caught:
        LocalExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    assert folder.name in caught.value.where


# Slots over GPUs -----------------------------------------------------------------------------------------------------

HOLDER = (
    "import sys; from harness.schedule.slots import hold_slot\n"
    "with hold_slot(len(sys.argv[1:]), sys.argv[1:]) as slot:\n"
    "    print(slot.gpu, flush=True)\n"
    "    sys.stdin.readline()\n"
)


def holder(here: World, *gpus: str) -> subprocess.Popen[str]:
    """A process that holds one of the named GPUs until it is told to end."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, *gpus],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=here.environment(),
    )


def answers(child: subprocess.Popen[str], seconds: float) -> bool:
    import select

    assert child.stdout is not None
    return bool(select.select([child.stdout], [], [], seconds)[0])


def test_runs_on_different_gpus_do_not_wait_for_each_other(here: World) -> None:
    with hold_slot(1, ["0"]):
        other = holder(here, "1")
        got = answers(other, 5)
        other.kill()
        other.communicate()
    assert got, "the run with CUDA_VISIBLE_DEVICES=1 waits for the one with 0"


def test_a_gpu_is_not_given_twice_to_runs_that_see_different_ones(here: World) -> None:
    """One run sees only GPU 1, the other 0 and 1: a GPU is the same one whatever its place in the list."""
    with hold_slot(1, ["1"]):
        other = holder(here, "0", "1")
        assert answers(other, 10)
        assert other.stdout is not None
        got = other.stdout.readline().strip()
        third = holder(here, "0", "1")
        more = answers(third, 1.0)
        for child in (other, third):
            child.kill()
            child.communicate()
    assert (got, more) == ("0", False)


def test_a_slot_that_is_used_looks_used(here: World) -> None:
    """Temporary folders are cleaned of what nobody touched for days; a lock on a file that is gone locks nothing."""
    with hold_slot(1, []):
        pass
    (lock,) = (here.folder / "tmp").glob("harness-slots-*/*")
    os.utime(lock, (0, 0))
    with hold_slot(1, []):
        assert lock.stat().st_mtime > time.time() - 60


# In this process -----------------------------------------------------------------------------------------------------


def test_debug_runs_here_and_leaves_the_environment(here: World) -> None:
    _, folder = prepared(here, suite="counting")
    before = dict(os.environ)
    submission = DebugExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    assert submission.is_alive() is False
    claim = folder.last_claim()
    assert claim is not None
    assert claim.process.pid == os.getpid()
    assert folder.is_finished()
    assert dict(os.environ) == before


def test_ctrl_c_in_debug_ends_like_any_other(here: World) -> None:
    child = here.start("--executor", "debug", "--set", "counting.seconds=30")
    here.wait_for("started")
    os.killpg(child.pid, signal.SIGINT)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 130, said
    assert "Traceback" not in said
    assert "goes on from here" in said
    states = here.call("status", "--workspace", str(here.workspace), "--json")
    assert [row["state"] for row in json.loads(states.stdout)] == ["interrupted"]


def test_stopping_a_debug_job_does_not_start_it(here: World) -> None:
    """Ctrl-C between two jobs must not begin the next one, which may take days."""
    _, folder = prepared(here, suite="counting")
    submission = DebugExecutor(Settings(workspace=here.workspace, slots=None)).submit(folder)
    started = len(here.entries("started"))
    submission.stop()
    assert submission.is_alive() is False
    submission.kill()
    assert len(here.entries("started")) == started
