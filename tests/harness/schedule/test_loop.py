"""The loop while it runs, against a real ledger and processes that only pretend."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.job import Job
from harness.ledger import Claim, JobFolder
from harness.process import ProcessIdentity
from harness.schedule import loop as loop_module
from harness.schedule.executor import Submission
from harness.schedule.loop import SUBMISSIONS
from results.errors import HarnessError
from tests.harness.hand_made import make_job, make_record, planned
from tests.harness.schedule.pretence import (
    FAMILY,
    FEATURES,
    JOB,
    SVM,
    FeatureFolders,
    Pretence,
    Process,
    Stage,
    attempt,
    die,
    finish,
    folder_of,
    held,
    interrupt_at,
)

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


def test_what_is_needed_comes_first(stage: Callable[..., Stage], features: FeatureFolders) -> None:
    pretence = Pretence(room=4)
    # Complete once the process of the extraction has published.
    pretence.at_tick = lambda number: features.add(FEATURES) if number == 2 else None
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
    scene = stage([planned(make_job(seed=seed)) for seed in range(1000)], Pretence(at_tick=interrupt_at(1)))
    started = time.process_time()
    scene.loop.prepare()
    scene.loop.run()
    # Measured: 0.3 s of CPU time; 27 s where every pair of jobs was looked at.
    assert time.process_time() - started < 1.5


def test_the_present_process_is_alive() -> None:
    """The pretence above rests on it."""
    assert ProcessIdentity.current().is_alive() is True
