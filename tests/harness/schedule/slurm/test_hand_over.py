"""One call of sbatch, whatever becomes of its answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.base import World
from harness.ledger import JobFolder
from harness.schedule.slurm import commands, hand_over
from harness.schedule.slurm.request import controller_ask, draft
from harness.schedule.slurm.submissions import JOBS, Submission, settle
from harness.settings import Settings
from results.errors import HarnessError
from results.workspace import Workspace
from tests.harness.schedule.slurm.fake import FakeSlurm


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "my work", executor="slurm", profile="smoke")


@pytest.fixture
def submission(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Submission:
    monkeypatch.setattr(hand_over, "PAUSES", (0.01, 0.01, 0.01))
    workspace = Workspace(settings.workspace)
    jobs = [JobFolder(workspace.jobs / f"counting-{number}") for number in range(3)]
    made = draft(workspace, settings, "run", "counting", JOBS, jobs, controller_ask(settings), World())
    made.write()
    return made


def submit(submission: Submission, settings: Settings) -> str:
    return hand_over.hand_over(submission, controller_ask(settings), settings)


def names(fake: FakeSlurm) -> list[str]:
    return [job["name"] for job in fake.jobs()]


def test_the_number_is_noted(fake_slurm: FakeSlurm, submission: Submission, settings: Settings) -> None:
    number = submit(submission, settings)
    assert submission.number() == number
    assert names(fake_slurm) == [submission.name] * 3
    assert Submission.read(submission.folder) == submission


@pytest.mark.parametrize("end", ["status", "hang"])
def test_a_reply_that_is_lost_is_no_second_job(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if end == "status":
        fake_slurm.behave("sbatch", status=1, stderr="sbatch: error: Socket timed out\n", works="before")
    else:
        fake_slurm.behave("sbatch", hang=5, works="before", times=1)
        monkeypatch.setattr(commands.call, "__defaults__", (1.0,))
    number = submit(submission, settings)
    assert submission.number() == number
    assert names(fake_slurm) == [submission.name] * 3


def test_a_controller_that_is_away_for_a_moment_is_waited_for(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings
) -> None:
    gone = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n"
    fake_slurm.behave("sbatch", status=1, stderr=gone, times=2)
    submit(submission, settings)
    assert len(fake_slurm.calls("sbatch")) == 3
    assert names(fake_slurm) == [submission.name] * 3


def test_what_slurm_refuses_is_void_and_says_why(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings
) -> None:
    refusal = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n"
    fake_slurm.behave("sbatch", status=1, stderr=refusal)
    with pytest.raises(HarnessError, match="Invalid account") as caught:
        submit(submission, settings)
    assert "harness.yaml" in caught.value.mend
    assert submission.is_void()
    assert len(fake_slurm.calls("sbatch")) == 1


def test_where_nobody_can_be_asked_the_intent_stays_open(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings
) -> None:
    fake_slurm.no_controller()
    with pytest.raises(HarnessError, match="Unable to contact"):
        submit(submission, settings)
    assert submission.is_open()
    assert submission.number() == ""


def test_an_answer_without_a_number_is_looked_up(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings
) -> None:
    fake_slurm.behave("sbatch", status=0, stdout="ok\n", works="before")
    assert submit(submission, settings) == submission.number() != ""


def test_an_intent_whose_process_died_is_void_or_found(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settle(submission) == ""
    assert submission.is_open(), "whoever wrote it may be calling sbatch just now"
    monkeypatch.setattr(Submission, "is_handing_over", lambda self: False)
    number = fake_slurm.add("0-2", name=submission.name)
    assert settle(submission) == number
    other = draft(Workspace(settings.workspace), settings, "run", "x", JOBS, [], controller_ask(settings), World())
    other.write()
    assert settle(other) == ""
    assert other.is_void()


def test_nothing_of_slurm_is_inherited_by_what_is_submitted(
    fake_slurm: FakeSlurm, submission: Submission, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SBATCH_PARTITION", "SUBMITIT_EXECUTOR", "SLURM_NTASKS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    said = commands.call(["env"])
    kept = [line for line in said.splitlines() if line.startswith(("SLURM_", "SBATCH_", "SUBMITIT_"))]
    assert sorted(kept) == ["SLURM_CONF=/etc/slurm/slurm.conf", "SLURM_TIME_FORMAT=standard"]
