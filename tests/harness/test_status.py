from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.ledger import Claim, JobFolder
from harness.status import all_statuses, find_job, job_status
from results.errors import HarnessError
from results.workspace import Workspace
from tests.harness.hand_made import make_job, make_record


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def folder(workspace: Workspace) -> JobFolder:
    made = JobFolder(workspace.jobs / make_job().name)
    made.write_spec(make_job().to_dict())
    return made


def claimed(folder: JobFolder, alive: bool = True, host: str | None = None) -> Claim:
    """A new attempt under a claim of this process, of one that is gone, or of another host's."""
    claim = folder.take_claim(folder.attempt_name())
    assert claim is not None
    folder.attempt_folder(claim.attempt).mkdir(parents=True)
    path = folder.path / "claims" / f"{claim.number:04d}.json"
    raw = json.loads(path.read_text())
    raw["process"]["start"] -= 0 if alive else 1
    raw["process"]["host"] = host or raw["process"]["host"]
    path.write_text(json.dumps(raw))
    return claim


def ended(folder: JobFolder, status: str, reason: str = "") -> Claim:
    claim = claimed(folder)
    if status == "done":
        folder.publish_result(make_record(make_job(), claim.attempt))
    folder.end_attempt(claim.attempt, status, reason)
    folder.release(claim)
    return claim


def test_a_job_that_nobody_began_waits(folder: JobFolder) -> None:
    status = job_status(folder)
    assert (status.job, status.state, status.attempts, status.since, status.log) == (
        folder.name,
        "waiting",
        0,
        "",
        None,
    )


def test_a_job_under_a_claim_runs(folder: JobFolder) -> None:
    claim = claimed(folder)
    status = job_status(folder)
    assert (status.state, status.attempts, status.since) == ("running", 1, claim.taken)


def test_a_job_on_another_host_counts_as_running(folder: JobFolder) -> None:
    claimed(folder, host="elsewhere")
    assert job_status(folder).state == "running"


def test_a_job_whose_process_is_gone_was_killed(folder: JobFolder) -> None:
    claimed(folder, alive=False)
    assert job_status(folder).state == "killed"


@pytest.mark.parametrize("end", ["failed", "interrupted"])
def test_the_last_attempt_says_how_it_ended(folder: JobFolder, end: str) -> None:
    ended(folder, "failed", "the first time")
    ended(folder, end, "the second time")
    status = job_status(folder)
    assert (status.state, status.reason, status.attempts) == (end, "the second time", 2)


def test_a_job_that_failed_and_runs_again_is_running(folder: JobFolder) -> None:
    ended(folder, "failed", "broken")
    claimed(folder)
    status = job_status(folder)
    assert (status.state, status.reason) == ("running", "")


def test_a_job_that_failed_and_was_then_killed_is_killed(folder: JobFolder) -> None:
    ended(folder, "failed", "broken")
    claimed(folder, alive=False)
    assert job_status(folder).state == "killed"


def test_a_job_that_was_killed_before_its_attempt_had_a_folder_is_killed(folder: JobFolder) -> None:
    ended(folder, "failed", "broken")
    claim = claimed(folder, alive=False)
    folder.attempt_folder(claim.attempt).rmdir()
    assert job_status(folder).state == "killed"


def test_a_finished_job_is_done_whatever_else_lies_there(folder: JobFolder) -> None:
    ended(folder, "failed", "broken")
    ended(folder, "done")
    assert job_status(folder).state == "done"
    claimed(folder, alive=False)
    assert job_status(folder).state == "done"


def test_the_log_is_the_last_attempts_else_the_schedulers(folder: JobFolder) -> None:
    kept = folder.path / "submissions"
    kept.mkdir()
    for second, name in enumerate(("99_0_log.err", "7_0_log.err")):
        (kept / name).write_text("could not start")
        os.utime(kept / name, (second, second))
    assert job_status(folder).log == kept / "7_0_log.err"
    claim = claimed(folder)
    log = folder.attempt_folder(claim.attempt) / "log.txt"
    log.write_text("x")
    assert job_status(folder).log == log


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "{}", '{"process": 1}', '"text"', "\x00\x00"])
def test_a_corrupt_claim_is_named(folder: JobFolder, content: str) -> None:
    claimed(folder)
    (folder.path / "claims" / "0001.json").write_text(content)
    with pytest.raises(HarnessError, match=r"0001\.json") as caught:
        job_status(folder)
    assert caught.value.mend


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "{}"])
def test_a_corrupt_outcome_is_named(folder: JobFolder, content: str) -> None:
    claim = ended(folder, "failed")
    (folder.attempt_folder(claim.attempt) / "outcome.json").write_text(content)
    with pytest.raises(HarnessError, match=r"outcome\.json") as caught:
        job_status(folder)
    assert caught.value.mend


@pytest.mark.parametrize("name", ["0001 (copy).json", "0001.json~", "9notes.json", "0002.json.bak"])
def test_files_that_others_left_among_the_claims_do_no_harm(folder: JobFolder, name: str) -> None:
    claimed(folder)
    (folder.path / "claims" / name).write_text("{")
    assert job_status(folder).state == "running"


def test_all_jobs_in_order_of_their_names(workspace: Workspace) -> None:
    with pytest.raises(HarnessError, match="no job was ever planned here"):
        all_statuses(workspace)
    for name in ("counting-b", "another-c", "counting-a"):
        (workspace.jobs / name).mkdir(parents=True)
    (workspace.jobs / "notes.txt").write_text("mine")
    assert [status.job for status in all_statuses(workspace)] == ["another-c", "counting-a", "counting-b"]


def test_a_job_is_found_by_the_beginning_of_its_name(workspace: Workspace) -> None:
    for name in ("counting-abc", "counting-abd", "counting", "another-c"):
        (workspace.jobs / name).mkdir(parents=True)
    assert find_job(workspace, "anot").name == "another-c"
    assert find_job(workspace, "counting-abd").name == "counting-abd"
    # A whole name is meant even where others begin with it.
    assert find_job(workspace, "counting").name == "counting"
    with pytest.raises(HarnessError, match="several jobs' names begin with 'counting-ab'"):
        find_job(workspace, "counting-ab")
    with pytest.raises(HarnessError, match="did you mean 'counting'"):
        find_job(workspace, "Counting")
    with pytest.raises(HarnessError, match="no job's name begins with"):
        find_job(workspace, "../jobs")
