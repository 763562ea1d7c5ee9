"""Processes that only pretend, and what they do to a real ledger."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.job import Job
from harness.ledger import Claim, JobFolder
from harness.schedule.executor import Submission
from harness.schedule.loop import Loop
from harness.schedule.tracking import TrackedJob
from results.errors import HarnessError
from results.workspace import Workspace
from tests.harness.hand_made import REQUEST, make_job, make_record, planned


class Process:
    """A submission whose process takes its claim, gets its slot and ends, a step each, or does worse."""

    def __init__(self, number: int, folder: JobFolder, fate: str) -> None:
        self.id = f"process-{number}"
        self.folder = folder
        self.fate = fate
        self.claim: Claim | None = None
        self.alive = True
        self.stopped = 0
        self.killed = 0

    def is_alive(self) -> bool | None:
        return self.alive

    def stop(self) -> None:
        self.stopped += 1
        if self.fate != "deaf":
            self.end("interrupted")

    def kill(self) -> None:
        self.killed += 1
        self.alive = False

    def step(self) -> None:
        if not self.alive:
            return
        if self.fate == "silent":
            self.alive = False
        elif self.claim is None:
            self.claim = self.folder.take_claim(self.folder.attempt_name(), self.id)
            self.alive = self.claim is not None
        elif not self.folder.is_at_work(self.claim.attempt):
            self.folder.note_slot(self.claim.attempt)
        elif self.fate != "deaf" and self.fate != "endless":
            self.end(self.fate)

    def end(self, fate: str) -> None:
        self.alive = False
        if self.claim is None:
            return
        if fate == "killed":
            die(self.folder)
            return
        finish(self.folder, self.claim, fate)


def die(folder: JobFolder) -> None:
    """Makes the last claim one of a process that is no more."""
    claim = folder.last_claim()
    assert claim is not None
    path = folder.path / "claims" / f"{claim.number:04d}.json"
    raw = json.loads(path.read_text())
    raw["process"]["start"] -= 1
    path.write_text(json.dumps(raw))


def finish(folder: JobFolder, claim: Claim, fate: str) -> None:
    if fate == "done":
        folder.publish_result(make_record(Job.from_dict(folder.read_spec()), claim.attempt))
    folder.end_attempt(claim.attempt, fate, "broken on purpose" if fate == "failed" else "")
    folder.release(claim)


@dataclasses.dataclass
class Pretence:
    """An executor, a reporter and a clock in one: every tick, every process does one step.

    Args:
        fates: What becomes of the submissions of a job, by name of the benchmark; ``done`` where nothing is said, and
            the last one goes on.
        room: Capacity.
        at_tick: Called before each tick with its number.
    """

    fates: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    room: int = 1
    at_tick: Callable[[int], object] = lambda number: None
    name: str = "pretence"
    processes: list[Process] = dataclasses.field(default_factory=list)
    changes: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    crowd: int = 0
    ticks: int = 0

    def submit(self, folder: JobFolder) -> Submission:
        assert folder.spec.exists()
        kind = folder.name.partition("-")[0]
        left = self.fates.get(kind, ["done"])
        fate = left.pop(0) if len(left) > 1 else left[0]
        if fate == "refused":
            raise HarnessError("cannot start a job", str(folder.path), "free memory")
        self.processes.append(Process(len(self.processes), folder, fate))
        return self.processes[-1]

    def capacity(self) -> int:
        return self.room

    def changed(self, job: TrackedJob) -> None:
        self.changes.append((job.planned.job.benchmark, job.state, job.reason))

    def tick(self, jobs: Sequence[TrackedJob]) -> None:
        self.ticks += 1
        assert self.ticks < 500, "the loop does not end"
        self.crowd = max(self.crowd, sum(process.alive for process in self.processes))
        self.at_tick(self.ticks)
        for process in self.processes:
            process.step()

    @property
    def submitted(self) -> list[str]:
        return [process.folder.name.partition("-")[0] for process in self.processes]


@dataclasses.dataclass
class Stage:
    """A loop with what it plays on."""

    loop: Loop
    pretence: Pretence
    notes: list[tuple[str, str, str]]

    def play(self) -> bool:
        self.loop.prepare()
        return self.loop.run()

    def states(self) -> dict[str, str]:
        return {tracked.planned.job.benchmark: tracked.state for tracked in self.loop.jobs}

    def reason(self, number: int = 0) -> str:
        return self.loop.jobs[number].reason


def folder_of(tmp_path: Path, job: Job) -> JobFolder:
    return JobFolder(Workspace(tmp_path).jobs / job.name)


def attempt(folder: JobFolder, job: Job, fate: str) -> str:
    """An attempt of an earlier run, to its end."""
    folder.write_spec(job.to_dict())
    claim = folder.take_claim(folder.attempt_name(), "earlier")
    assert claim is not None
    finish(folder, claim, fate)
    return claim.attempt


JOB = make_job()
SVM = make_job("svm", request=REQUEST)
FEATURES = SVM.feature_job()
assert FEATURES is not None
FAMILY = (planned(FEATURES), planned(SVM, FEATURES))


class FeatureFolders:
    """The features of a workspace, as small as they can be and still be complete."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def add(self, job: Job) -> Path:
        folder = self._workspace.feature_set(job.key)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps({"schema": 1, "splits": {}}))
        return folder


def held(folder: JobFolder, job: Job) -> Claim:
    """Another run's claim; its process is this one and so alive."""
    folder.write_spec(job.to_dict())
    claim = folder.take_claim(folder.attempt_name(), "other")
    assert claim is not None
    return claim


def interrupt_at(*ticks: int) -> Callable[[int], None]:
    def at(number: int) -> None:
        if number in ticks:
            raise KeyboardInterrupt

    return at
