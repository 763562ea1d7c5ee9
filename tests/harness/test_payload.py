"""What runs in a job's process, run in this one."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import JobContext, Outcome
from benchmarks.catalogue import find_benchmark
from harness.job import Job
from harness.ledger import JobFolder
from harness.order import Order
from harness.payload import run_job
from harness.schedule.slots import hold_slot
from results.errors import HarnessError
from results.record import MetricValue, Record
from results.workspace import Workspace
from tests.harness.hand_made import inside, plan_in
from tests.harness.world import World


@dataclasses.dataclass(frozen=True)
class Bench:
    """One planned job with its spec in the ledger, and the benchmark's ``run`` to replace."""

    world: World
    job: Job
    folder: JobFolder
    monkeypatch: pytest.MonkeyPatch

    def run(self) -> str:
        return run_job(Order(str(self.world.workspace), self.folder.name, None, (), own_process=False))

    def replace(self, function: Callable[[JobContext], Outcome]) -> None:
        benchmark = type(find_benchmark("counting"))
        self.monkeypatch.setattr(benchmark, "run", lambda _, context: function(context))

    def outcome(self) -> tuple[str, str]:
        last = self.folder.last_outcome()
        assert last is not None
        return last.status, last.reason

    def check_tidy(self) -> None:
        """Whatever happened: the claim is given back, the slot is free, and nothing half-written lies about."""
        assert self.folder.live_claim() is None
        claim = self.folder.last_claim()
        assert claim is not None
        assert claim.released
        with contextlib.ExitStack() as stack:
            timer = threading.Timer(10, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            stack.callback(timer.cancel)
            stack.enter_context(hold_slot(1, []))
        assert not list(self.world.workspace.rglob("*.tmp"))


@pytest.fixture
def bench(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with inside(world):
        (planned,) = plan_in(world).jobs
        folder = JobFolder(Workspace(world.workspace).jobs / planned.job.name)
        folder.write_spec(planned.job.to_dict())
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        yield Bench(world, planned.job, folder, monkeypatch)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


GOOD = Outcome({"count": MetricValue(12.5)}, {"best_layer": "feature4"}, {"loss": [2.0, 1.0]}, "c" * 64)


def test_a_curve_that_is_not_finite_does_not_cost_the_result(bench: Bench) -> None:
    curves = {"loss": [2.0, float("nan"), float("inf")], "deep": {"rate": -float("inf")}}
    bench.replace(lambda context: Outcome({"count": MetricValue(1.0)}, curves=curves))
    assert bench.run() == "done"
    assert Record.read(bench.folder.result).curves == {"loss": [2.0, None, None], "deep": {"rate": None}}


def test_a_finished_job_leaves_a_complete_record(bench: Bench) -> None:
    bench.replace(lambda context: GOOD)
    assert bench.run() == "done"
    record = Record.read(bench.folder.result)
    job = bench.job
    assert (record.key, record.benchmark, record.seed) == (job.key, "counting", 0)
    assert (record.protocol, record.backbone, record.data) == (job.stamp(), job.backbone, job.data)
    assert record.numerics == job.recorded_numerics()
    assert record.metrics == {"count": MetricValue(12.5)}
    assert (record.details, record.curves, record.config_digest) == (GOOD.details, GOOD.curves, "c" * 64)
    assert [column.metric for column in record.display] == ["count"]
    assert record.started <= record.finished
    assert record.seconds >= 0
    assert record.device == "cpu"
    assert {"harness", "python", "torch", "numpy"} <= set(record.versions)
    assert bench.folder.attempts() == [record.attempt]
    assert bench.outcome() == ("done", "")
    bench.check_tidy()


def test_a_finished_job_is_not_run_again(bench: Bench) -> None:
    assert bench.run() == "done"
    content = bench.folder.result.read_bytes()
    assert bench.run() == "not needed"
    assert bench.folder.result.read_bytes() == content
    assert len(bench.folder.attempts()) == 1
    assert len(bench.world.entries("started")) == 1


def test_a_job_that_another_process_holds_is_not_run(bench: Bench) -> None:
    claim = bench.folder.take_claim("0001-other")
    assert claim is not None
    assert bench.run() == "not needed"
    assert bench.folder.live_claim() == claim
    assert not bench.world.entries("started")


def test_a_result_that_came_between_is_kept(bench: Bench) -> None:
    """Another attempt publishes while this one works, as after a claim that was broken by a mistake."""

    def overtaken(context: JobContext) -> Outcome:
        other = Record.from_json(json.dumps({**raw, "attempt": "0009-other"}).encode())
        bench.folder.publish_result(other)
        return GOOD

    bench.replace(lambda context: GOOD)
    assert bench.run() == "done"
    raw = json.loads(bench.folder.result.read_text())
    bench.folder.supersede()
    bench.replace(overtaken)
    assert bench.run() == "done"
    assert Record.read(bench.folder.result).attempt == "0009-other"
    mine = bench.folder.attempts()[-1]
    assert Record.read(bench.folder.attempt_folder(mine) / "result.json").attempt == mine
    bench.check_tidy()


def test_what_a_job_says_goes_into_its_log(bench: Bench) -> None:
    def talk(context: JobContext) -> Outcome:
        import logging

        logging.getLogger("benchmarks.counting").info("half way there")
        raise RuntimeError("first line\nsecond line")

    bench.replace(talk)
    assert bench.run() == "failed"
    assert bench.outcome() == ("failed", "RuntimeError: first line")
    log = bench.folder.log()
    assert log is not None
    assert "half way there" in log.read_text()
    assert "Traceback" in log.read_text()
    assert "second line" in log.read_text()
    bench.check_tidy()


def bad_exit(context: JobContext) -> Outcome:
    sys.exit("a toolbox that knows no exceptions")


def not_json(context: JobContext) -> Outcome:
    return Outcome(GOOD.metrics, {"path": Path("/")})


def not_finite(context: JobContext) -> Outcome:
    return Outcome({"count": MetricValue(float("nan"))})


def not_an_outcome(context: JobContext) -> Any:
    return {"count": 1.0}


def exhausted(context: JobContext) -> Outcome:
    raise MemoryError


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda context: Outcome({}), "gave no value and no reason for count"),
        (not_json, "TypeError"),
        (not_finite, "a metric is a finite number"),
        (not_an_outcome, "AttributeError"),
        (exhausted, "MemoryError"),
        (bad_exit, "SystemExit"),
    ],
    ids=["no metric", "not JSON", "not finite", "not an outcome", "no memory", "exit"],
)
def test_whatever_a_benchmark_does_wrong_is_its_failure(
    bench: Bench, function: Callable[[JobContext], Outcome], said: str
) -> None:
    bench.replace(function)
    assert bench.run() == "failed"
    status, reason = bench.outcome()
    assert status == "failed"
    assert said in reason
    assert not bench.folder.is_finished()
    bench.check_tidy()


def test_the_next_attempt_is_told_of_the_ones_before(bench: Bench) -> None:
    seen: list[tuple[Path, ...]] = []

    def once(context: JobContext) -> Outcome:
        seen.append(context.previous)
        if len(seen) == 1:
            raise RuntimeError("broken on purpose")
        return GOOD

    bench.replace(once)
    assert [bench.run(), bench.run()] == ["failed", "done"]
    first, second = bench.folder.attempts()
    assert seen == [(), (bench.folder.attempt_folder(first),)]
    assert Record.read(bench.folder.result).attempt == second


def test_a_forced_job_does_not_resume_from_the_result_that_it_replaces(bench: Bench) -> None:
    """A training that is finished would be loaded, not repeated: the new result would be the old one."""
    seen: list[tuple[Path, ...]] = []

    def note(context: JobContext) -> Outcome:
        seen.append(context.previous)
        return GOOD

    bench.replace(note)
    assert bench.run() == "done"
    bench.folder.supersede()
    assert bench.run() == "done"
    assert seen == [(), ()]


def test_a_context_has_all_that_was_planned(bench: Bench) -> None:
    contexts: list[JobContext] = []

    def note(context: JobContext) -> Outcome:
        contexts.append(context)
        assert context.attempt.is_dir()
        assert context.backbone.is_file()
        return GOOD

    bench.replace(note)
    assert bench.run() == "done"
    (context,) = contexts
    job = bench.job
    assert (context.protocol, context.data_root, context.data) == (job.protocol, bench.world.data, job.data)
    assert (context.digest, context.input.name) == (job.backbone.digest, job.backbone.input)
    assert (context.seed, context.numerics, context.features) == (0, job.numerics, None)
    assert context.threads == len(os.sched_getaffinity(0))
    assert context.attempt == bench.folder.attempt_folder(bench.folder.attempts()[0])


def test_data_that_changed_since_the_plan_is_refused(bench: Bench) -> None:
    """Else the record would bear the fingerprint of lists that nobody read."""
    path = bench.world.data / "imagenet" / "meta" / "train.txt"
    path.write_text("\n".join(reversed(path.read_text().splitlines())) + "\n")
    assert bench.run() == "failed"
    assert not bench.world.entries("started")
    assert "changed" in bench.outcome()[1]


def test_a_stray_folder_among_the_attempts_does_no_harm(bench: Bench) -> None:
    (bench.folder.path / "attempts" / "lost+found").mkdir(parents=True)
    (bench.folder.path / "attempts" / ".nfs0001").mkdir()
    assert bench.run() == "done"
    assert bench.folder.attempts()[-1] == Record.read(bench.folder.result).attempt


def test_a_corrupt_spec_is_named_and_nothing_is_begun(bench: Bench) -> None:
    """A run writes it anew before each submission."""
    bench.folder.spec.write_text("{")
    with pytest.raises(HarnessError, match=r"spec\.json"):
        bench.run()
    assert bench.folder.last_claim() is None
    assert bench.folder.attempts() == []


# Signals -------------------------------------------------------------------------------------------------------------


def signal_after(seconds: float, number: int = signal.SIGTERM) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.start()
    return timer


def sleep(context: JobContext) -> Outcome:
    time.sleep(20)
    return GOOD


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_asked_to_stop_is_interrupted(bench: Bench, number: int) -> None:
    bench.replace(sleep)
    timer = signal_after(0.2, number)
    started = time.monotonic()
    assert bench.run() == "interrupted"
    timer.join()
    assert time.monotonic() - started < 10
    assert bench.outcome()[0] == "interrupted"
    assert not bench.folder.is_finished()
    assert bench.folder.failures() == 0
    bench.check_tidy()


def test_a_job_that_waits_for_a_slot_can_be_stopped(bench: Bench) -> None:
    with hold_slot(1, []):
        timer = signal_after(0.3)
        assert bench.run() == "interrupted"
        timer.join()
    assert not bench.world.entries("started")
    bench.check_tidy()


def test_further_signals_do_not_disturb_the_tidying(bench: Bench) -> None:
    tidied: list[str] = []

    def stubborn(context: JobContext) -> Outcome:
        try:
            time.sleep(20)
        finally:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            tidied.append("tidied")
        return GOOD

    bench.replace(stubborn)
    timer = signal_after(0.2)
    assert bench.run() == "interrupted"
    timer.join()
    assert tidied == ["tidied"]
    bench.check_tidy()


@pytest.mark.parametrize("fate", ["done", "failed"])
def test_a_signal_at_the_very_end_leaves_the_ledger_in_order(bench: Bench, fate: str) -> None:
    """The work is over and the attempt is being closed when the signal comes."""
    end_attempt = JobFolder.end_attempt
    calls: list[str] = []

    def signalled(self: JobFolder, attempt: str, status: str, *words: str) -> None:
        calls.append(status)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        end_attempt(self, attempt, status, *words)

    bench.monkeypatch.setattr(JobFolder, "end_attempt", signalled)
    if fate == "failed":
        bench.replace(lambda context: Outcome({}))
    assert bench.run() in (fate, "interrupted")
    assert bench.folder.is_finished() == (fate == "done")
    assert bench.outcome()[0] in (fate, "interrupted")
    bench.check_tidy()


# Disk full -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_a_full_disk_while_publishing_leaves_no_half_result(bench: Bench, call: str) -> None:
    real = getattr(os, call)
    full = [False]

    def fail(*arguments: Any) -> Any:
        if full[0] and (call == "fsync" or Path(arguments[1]).name == "result.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    def work(context: JobContext) -> Outcome:
        full[0] = True
        return GOOD

    def heal(self: JobFolder, attempt: str, status: str, *words: str) -> None:
        full[0] = False
        end_attempt(self, attempt, status, *words)

    end_attempt = JobFolder.end_attempt
    bench.monkeypatch.setattr(JobFolder, "end_attempt", heal)
    bench.monkeypatch.setattr(os, call, fail)
    bench.replace(work)
    assert bench.run() == "failed"
    assert bench.outcome() == ("failed", "no space left for result.json")
    assert not bench.folder.is_finished()
    bench.check_tidy()
    bench.replace(lambda context: GOOD)
    assert bench.run() == "done"
