"""The loop against a real ledger and processes that only pretend."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.job import Job, PlannedJob
from harness.ledger import Claim, JobFolder
from harness.process import ProcessIdentity
from harness.schedule import loop as loop_module
from harness.schedule.executor import Submission
from harness.schedule.loop import SUBMISSIONS, Loop, TrackedJob
from harness.settings import Settings
from results.errors import HarnessError
from results.record import Record
from results.workspace import Workspace
from tests.harness.hand_made import REQUEST, make_job, make_record, planned


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "POLL_SECONDS", 0.0)


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


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Stage]:
    def build(jobs: Sequence[PlannedJob], pretence: Pretence | None = None, **settings: Any) -> Stage:
        pretence = pretence or Pretence()
        notes: list[tuple[str, str, str]] = []
        made = Loop(
            Workspace(tmp_path),
            jobs,
            pretence,
            Settings(workspace=tmp_path, **settings),
            pretence,
            lambda *words: notes.append(words),
        )
        return Stage(made, pretence, notes)

    return build


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


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of feature folders that count as complete."""
    complete: set[str] = set()
    monkeypatch.setattr("benchmarks.probes.features.is_complete", lambda folder: folder.name in complete)
    return complete


# The way of a job ----------------------------------------------------------------------------------------------------


def test_a_job_goes_from_waiting_to_done(stage: Callable[..., Stage]) -> None:
    scene = stage([planned(JOB)])
    assert scene.play() is True
    assert [change[1:] for change in scene.pretence.changes] == [
        ("submitted", ""),
        ("submitted", "waits for a slot of this host"),
        ("running", ""),
        ("done", ""),
    ]
    assert scene.notes == [(JOB.name, "pretence", "process-0")]


def test_a_spec_is_there_before_the_process_starts(stage: Callable[..., Stage], tmp_path: Path) -> None:
    stage([planned(JOB)]).play()
    assert Job.from_dict(folder_of(tmp_path, JOB).read_spec()) == JOB


def test_what_is_needed_comes_first(stage: Callable[..., Stage], features: set[str]) -> None:
    pretence = Pretence(room=4)
    # Complete once the process of the extraction has published.
    pretence.at_tick = lambda number: features.add(FEATURES.key) if number == 2 else None
    scene = stage([planned(SVM, FEATURES), planned(JOB), planned(FEATURES)], pretence)
    assert scene.play() is True
    assert scene.states() == {"svm": "done", "counting": "done", "features": "done"}
    assert pretence.submitted == ["counting", "features", "svm"]


def test_no_more_than_the_capacity_at_a_time(stage: Callable[..., Stage]) -> None:
    jobs = [planned(make_job(seed=seed)) for seed in range(7)]
    pretence = Pretence(room=2)
    assert stage(jobs, pretence).play() is True
    assert pretence.crowd == 2
    assert len(pretence.processes) == 7


def test_a_failure_fails_what_needs_it_and_nothing_else(stage: Callable[..., Stage]) -> None:
    scene = stage([*FAMILY, planned(JOB)], Pretence({"features": ["failed"]}))
    assert scene.play() is True
    assert scene.states() == {"features": "failed", "svm": "failed", "counting": "done"}
    assert scene.reason(0) == "broken on purpose"
    assert FEATURES.name in scene.reason(1)
    assert scene.pretence.submitted == ["features", "counting"]


def test_a_killed_process_fails_its_job_once(stage: Callable[..., Stage]) -> None:
    scene = stage([planned(JOB)], Pretence({"counting": ["killed"]}))
    assert scene.play() is True
    assert scene.states() == {"counting": "failed"}
    assert "killed" in scene.reason()
    assert len(scene.pretence.processes) == 1


def test_a_process_that_never_begins_is_tried_again_but_not_for_ever(stage: Callable[..., Stage]) -> None:
    again = stage([planned(JOB)], Pretence({"counting": ["silent", "silent", "done"]}))
    assert again.play() is True
    assert again.states() == {"counting": "done"}
    never = stage([planned(make_job(seed=1))], Pretence({"counting": ["silent"]}))
    assert never.play() is True
    assert never.states() == {"counting": "failed"}
    assert "before it had begun" in never.reason()
    assert len(never.pretence.processes) == SUBMISSIONS


def test_an_old_failure_is_not_taken_for_this_ones(stage: Callable[..., Stage], tmp_path: Path) -> None:
    attempt(folder_of(tmp_path, JOB), JOB, "failed")
    scene = stage([planned(JOB)], Pretence({"counting": ["silent", "done"]}))
    scene.play()
    assert scene.states() == {"counting": "done"}


def test_a_job_that_cannot_be_started_leaves_the_others(stage: Callable[..., Stage]) -> None:
    scene = stage([planned(JOB), planned(make_job("another"))], Pretence({"counting": ["refused"]}, room=2))
    assert scene.play() is True
    assert scene.states() == {"counting": "failed", "another": "done"}
    assert "cannot start a job" in scene.reason()


def test_a_corrupt_ledger_of_one_job_leaves_the_others(stage: Callable[..., Stage], tmp_path: Path) -> None:
    """Refused before anything starts, or this job fails alone; never an error while jobs of this run are at work."""
    broken = make_job("broken")
    attempt(folder_of(tmp_path, broken), broken, "failed")
    (folder_of(tmp_path, broken).path / "claims" / "0001.json").write_text("{")
    scene = stage([planned(JOB), planned(broken)], Pretence(room=2))
    refused = False
    try:
        scene.play()
    except HarnessError:
        refused = True
    if refused:
        assert scene.pretence.processes == []
    else:
        assert scene.states() == {"counting": "done", "broken": "failed"}
        assert "0001.json" in scene.reason(1)


def test_a_note_that_cannot_be_written_stops_nothing(stage: Callable[..., Stage]) -> None:
    def full(*words: str) -> None:
        raise HarnessError("no space left", "runs", "free some space")

    scene = stage([planned(JOB)])
    scene.loop._submitted = full
    assert scene.play() is True
    assert scene.states() == {"counting": "done"}


# Other runs ----------------------------------------------------------------------------------------------------------


def held(folder: JobFolder, job: Job) -> Claim:
    """Another run's claim; its process is this one and so alive."""
    folder.write_spec(job.to_dict())
    claim = folder.take_claim(folder.attempt_name(), "other")
    assert claim is not None
    return claim


def test_a_job_of_another_run_is_waited_for(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    claim = held(folder, JOB)
    scene = stage([planned(JOB)])
    scene.pretence.at_tick = lambda number: finish(folder, claim, "done") if number == 5 else None
    assert scene.play() is True
    assert scene.pretence.processes == []
    assert [state for _, state, _ in scene.pretence.changes] == ["running", "done"]
    assert "another run" in scene.pretence.changes[0][2]


def test_a_job_of_another_run_that_fails_has_failed(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    claim = held(folder, JOB)
    scene = stage([planned(JOB)])
    scene.pretence.at_tick = lambda number: finish(folder, claim, "failed") if number == 5 else None
    assert scene.play() is True
    assert (scene.states(), scene.reason()) == ({"counting": "failed"}, "broken on purpose")


@pytest.mark.parametrize("end", ["killed", "interrupted"])
def test_a_job_that_another_run_gave_up_is_taken_over(stage: Callable[..., Stage], tmp_path: Path, end: str) -> None:
    folder = folder_of(tmp_path, JOB)
    claim = held(folder, JOB)
    scene = stage([planned(JOB)])

    def give_up(number: int) -> None:
        if number == 5:
            die(folder) if end == "killed" else finish(folder, claim, end)

    scene.pretence.at_tick = give_up
    assert scene.play() is True
    assert scene.states() == {"counting": "done"}
    assert len(scene.pretence.processes) == 1


def test_who_loses_the_race_for_the_claim_waits_for_the_winner(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    scene = stage([planned(JOB)])
    claims: list[Claim] = []

    def other(number: int) -> None:
        if number == 1:
            claims.append(held(folder, JOB))
        if number == 6:
            finish(folder, claims[0], "done")

    scene.pretence.at_tick = other
    assert scene.play() is True
    assert scene.states() == {"counting": "done"}
    assert len(scene.pretence.processes) == 1


def test_a_run_that_is_always_outrun_gives_up(stage: Callable[..., Stage], tmp_path: Path) -> None:
    """Others take the claim and are interrupted, again and again, each time before ours could begin."""
    folder = folder_of(tmp_path, JOB)
    scene = stage([planned(JOB)])

    def other(number: int) -> None:
        claim = folder.live_claim()
        if claim is not None:
            finish(folder, claim, "interrupted")
        elif any(process.alive for process in scene.pretence.processes):
            held(folder, JOB)

    scene.pretence.at_tick = other
    assert scene.play() is True
    assert scene.states() == {"counting": "failed"}
    assert len(scene.pretence.processes) == SUBMISSIONS


def test_a_result_that_another_run_publishes_ends_the_wait(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    scene = stage([planned(JOB)], Pretence({"counting": ["endless"]}))
    scene.pretence.at_tick = lambda number: (
        folder.publish_result(make_record(JOB, "0001-other")) if number == 4 else None
    )
    assert scene.play() is True
    assert scene.states() == {"counting": "done"}


# Ctrl-C --------------------------------------------------------------------------------------------------------------


def interrupt_at(*ticks: int) -> Callable[[int], None]:
    def at(number: int) -> None:
        if number in ticks:
            raise KeyboardInterrupt

    return at


def test_ctrl_c_stops_what_is_this_runs_and_leaves_the_rest(stage: Callable[..., Stage], tmp_path: Path) -> None:
    other, later = make_job("other"), make_job("later")
    held(folder_of(tmp_path, other), other)
    pretence = Pretence({"counting": ["endless"], "quick": ["done"]}, room=2, at_tick=interrupt_at(5))
    scene = stage([planned(JOB), planned(make_job("quick")), planned(other), planned(later)], pretence)
    pretence.fates["later"] = ["endless"]
    assert scene.play() is False
    assert scene.states() == {
        "counting": "interrupted", "quick": "done", "other": "interrupted", "later": "interrupted"
    }  # fmt: skip
    assert [(process.fate, process.stopped > 0, process.killed) for process in pretence.processes] == [
        ("endless", True, 0),
        ("done", False, 0),
        ("endless", True, 0),
    ]
    assert folder_of(tmp_path, other).live_claim() is not None


def test_a_result_that_arrives_while_stopping_counts(stage: Callable[..., Stage]) -> None:
    class Finishing(Process):
        def stop(self) -> None:
            self.end("done")

    pretence = Pretence({"counting": ["endless"]}, at_tick=interrupt_at(3))
    scene = stage([planned(JOB)], pretence)
    submit = pretence.submit

    def submit_finishing(folder: JobFolder) -> Submission:
        process = submit(folder)
        process.__class__ = Finishing
        return process

    pretence.submit = submit_finishing  # type: ignore[method-assign]
    assert scene.play() is False
    assert scene.states() == {"counting": "done"}


def test_a_process_that_does_not_hear_is_killed(stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "STOP_SECONDS", 0.05)
    pretence = Pretence({"counting": ["deaf"]}, at_tick=interrupt_at(3))
    scene = stage([planned(JOB)], pretence)
    assert scene.play() is False
    assert pretence.processes[0].stopped > 1
    assert pretence.processes[0].killed == 1
    assert scene.states() == {"counting": "interrupted"}


def test_a_second_ctrl_c_kills_at_once(stage: Callable[..., Stage]) -> None:
    class Impatient(Process):
        def stop(self) -> None:
            self.stopped += 1
            raise KeyboardInterrupt

    pretence = Pretence({"counting": ["deaf"]}, at_tick=interrupt_at(3))
    scene = stage([planned(JOB)], pretence)
    submit = pretence.submit

    def submit_impatient(folder: JobFolder) -> Submission:
        process = submit(folder)
        process.__class__ = Impatient
        return process

    pretence.submit = submit_impatient  # type: ignore[method-assign]
    assert scene.play() is False
    assert (pretence.processes[0].stopped, pretence.processes[0].killed) == (1, 1)


# Before the first submission -----------------------------------------------------------------------------------------


def test_what_is_finished_is_not_run_again(stage: Callable[..., Stage], tmp_path: Path) -> None:
    attempt(folder_of(tmp_path, JOB), JOB, "done")
    scene = stage([planned(JOB)])
    assert scene.play() is True
    assert scene.pretence.changes == [("counting", "cached", "")]
    assert scene.pretence.processes == []


def test_a_corrupt_result_is_refused(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    attempt(folder, JOB, "done")
    for content in ("", "{", "[]", "{}", folder.result.read_text()[:-20]):
        folder.result.write_text(content)
        with pytest.raises(HarnessError, match=r"result\.json"):
            stage([planned(JOB)]).loop.prepare()


def test_the_result_of_another_job_is_refused(stage: Callable[..., Stage], tmp_path: Path) -> None:
    """As where somebody copied a folder, or half a key is the same."""
    folder = folder_of(tmp_path, JOB)
    attempt(folder, JOB, "done")
    record = Record.read(folder.result)
    folder.result.write_text(dataclasses.replace(record, key="0" * 64).to_json())
    with pytest.raises(HarnessError, match=r"result\.json"):
        stage([planned(JOB)]).loop.prepare()


def test_a_job_that_failed_too_often_is_given_up_and_retried_only_when_asked(
    stage: Callable[..., Stage], tmp_path: Path
) -> None:
    for _ in range(3):
        attempt(folder_of(tmp_path, JOB), JOB, "failed")
    given_up = stage([planned(JOB)])
    given_up.play()
    assert given_up.states() == {"counting": "failed"}
    assert "failed 3 times, last: broken on purpose" in given_up.reason()
    assert "--cache retry" in given_up.reason()
    assert given_up.pretence.processes == []
    more = stage([planned(JOB)], max_failures=4)
    more.pretence.fates["counting"] = ["failed"]
    more.play()
    assert len(more.pretence.processes) == 1
    again = stage([planned(JOB)], cache="retry")
    again.play()
    assert again.states() == {"counting": "done"}


def test_killed_and_interrupted_attempts_do_not_count_as_failures(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    for _ in range(4):
        attempt(folder, JOB, "interrupted")
    held(folder, JOB)
    die(folder)
    scene = stage([planned(JOB)])
    scene.play()
    assert scene.states() == {"counting": "done"}


def test_force_runs_anew_and_keeps_the_old_result(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    old = attempt(folder, JOB, "done")
    scene = stage([planned(JOB)], cache="force")
    scene.play()
    assert scene.states() == {"counting": "done"}
    assert Record.read(folder.result).attempt != old
    assert [Record.read(path).attempt for path in (folder.path / "superseded").glob("*.json")] == [old]


def test_force_also_runs_what_failed_too_often(stage: Callable[..., Stage], tmp_path: Path) -> None:
    for _ in range(3):
        attempt(folder_of(tmp_path, JOB), JOB, "failed")
    scene = stage([planned(JOB)], cache="force")
    scene.play()
    assert scene.states() == {"counting": "done"}


def test_force_leaves_what_another_run_is_working_on(stage: Callable[..., Stage], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, JOB)
    claim = held(folder, JOB)
    scene = stage([planned(JOB)], cache="force")
    scene.pretence.at_tick = lambda number: finish(folder, claim, "done") if number == 3 else None
    scene.play()
    assert scene.pretence.processes == []
    assert Record.read(folder.result).attempt == claim.attempt


def test_read_only_changes_nothing(stage: Callable[..., Stage], tmp_path: Path) -> None:
    attempt(folder_of(tmp_path, JOB), JOB, "done")
    before = sorted(tmp_path.rglob("*"))
    scene = stage([planned(JOB), planned(make_job("another"))], cache="read-only")
    scene.loop.prepare()
    assert scene.states() == {"counting": "cached", "another": "waiting"}
    assert sorted(tmp_path.rglob("*")) == before


# Features ------------------------------------------------------------------------------------------------------------


def features_folder(tmp_path: Path) -> Path:
    assert FEATURES is not None
    return Workspace(tmp_path).feature_set(FEATURES.key)


def test_features_that_are_there_are_used(stage: Callable[..., Stage], tmp_path: Path, features: set[str]) -> None:
    attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
    features.add(FEATURES.key)
    scene = stage(FAMILY)
    scene.play()
    assert scene.states() == {"features": "cached", "svm": "done"}
    assert scene.pretence.submitted == ["svm"]


def test_features_that_were_deleted_are_extracted_again(
    stage: Callable[..., Stage], tmp_path: Path, features: set[str]
) -> None:
    folder = folder_of(tmp_path, FEATURES)
    old = attempt(folder, FEATURES, "done")
    scene = stage(FAMILY)
    scene.pretence.at_tick = lambda number: features.add(FEATURES.key) if number == 2 else None
    scene.play()
    assert scene.states() == {"features": "done", "svm": "done"}
    assert scene.pretence.submitted == ["features", "svm"]
    assert Record.read(folder.result).attempt != old


def test_features_are_not_extracted_for_what_is_finished(stage: Callable[..., Stage], tmp_path: Path) -> None:
    attempt(folder_of(tmp_path, SVM), SVM, "done")
    scene = stage(FAMILY)
    scene.play()
    assert scene.states() == {"features": "cached", "svm": "cached"}
    assert "not needed" in scene.reason(0)
    assert scene.pretence.processes == []


def test_force_extracts_features_anew(stage: Callable[..., Stage], tmp_path: Path, features: set[str]) -> None:
    attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
    attempt(folder_of(tmp_path, SVM), SVM, "done")
    features_folder(tmp_path).mkdir(parents=True)
    (features_folder(tmp_path) / "manifest.json").write_text("old")
    features.add(FEATURES.key)
    scene = stage(FAMILY, cache="force")
    scene.pretence.at_tick = lambda number: features.add(FEATURES.key) if number == 2 else None
    scene.play()
    assert scene.pretence.submitted == ["features", "svm"]
    assert not features_folder(tmp_path).exists()


def test_force_does_not_take_features_from_a_job_that_reads_them(
    stage: Callable[..., Stage], tmp_path: Path, features: set[str]
) -> None:
    attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
    features.add(FEATURES.key)
    features_folder(tmp_path).mkdir(parents=True)
    claim = held(folder_of(tmp_path, SVM), SVM)
    scene = stage(FAMILY, cache="force")
    scene.loop.prepare()
    assert features_folder(tmp_path).exists()
    folder_of(tmp_path, SVM).release(claim)


def test_force_works_where_features_lie_on_another_disk(
    stage: Callable[..., Stage], tmp_path: Path, features: set[str]
) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    import shutil
    import uuid

    disk = elsewhere / f"harness-test-{uuid.uuid4().hex}"
    disk.mkdir()
    try:
        (tmp_path / "features").symlink_to(disk)
        attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
        features_folder(tmp_path).mkdir()
        stage(FAMILY, cache="force").loop.prepare()
        assert not features_folder(tmp_path).exists()
    finally:
        shutil.rmtree(disk)


# Robustness ----------------------------------------------------------------------------------------------------------


def test_a_claim_of_another_host_names_it(stage: Callable[..., Stage], tmp_path: Path) -> None:
    """A host that is gone cannot release its claim: whoever waits must be able to see for whom."""
    folder = folder_of(tmp_path, JOB)
    held(folder, JOB)
    path = folder.path / "claims" / "0001.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "process": {**raw["process"], "host": "node17"}}))
    scene = stage([planned(JOB)], Pretence(at_tick=interrupt_at(2)))
    assert scene.play() is False
    assert "node17" in scene.pretence.changes[0][2]


def test_many_jobs_are_looked_through_quickly(stage: Callable[..., Stage]) -> None:
    """Ten benchmarks of twenty checkpoints with five seeds: nothing may grow with the square of the number of jobs."""
    import time

    scene = stage([planned(make_job(seed=seed)) for seed in range(1000)], Pretence(at_tick=interrupt_at(1)))
    started = time.process_time()
    scene.loop.prepare()
    scene.loop.run()
    # Measured: TIME.
    assert time.process_time() - started < 1.5


def test_the_present_process_is_alive() -> None:
    """The pretence above rests on it."""
    assert ProcessIdentity.current().is_alive() is True
