from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.ledger import JobFolder
from harness.process import ProcessIdentity
from results.errors import HarnessError
from results.record import Record
from tests.harness.hand_made import make_job, make_record


def record(attempt: str, value: float = 1.0) -> Record:
    return make_record(make_job(), attempt, value)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "counting-0123456789ab")


def rewrite_claim(folder: JobFolder, number: int, **process: object) -> None:
    path = folder.path / "claims" / f"{number:04d}.json"
    raw = json.loads(path.read_text())
    raw["process"] |= process
    path.write_text(json.dumps(raw))


def test_a_claim_is_held_until_it_is_released(folder: JobFolder) -> None:
    first = folder.take_claim(folder.attempt_name())
    assert first is not None
    assert folder.take_claim(folder.attempt_name()) is None
    assert folder.live_claim() == first
    folder.release(first)
    assert folder.live_claim() is None
    second = folder.take_claim(folder.attempt_name())
    assert second is not None
    assert second.number == first.number + 1


def test_the_claim_of_a_dead_process_can_be_taken(folder: JobFolder) -> None:
    assert folder.take_claim("0001-a")
    rewrite_claim(folder, 1, start=ProcessIdentity.current().start - 1)
    assert folder.live_claim() is None
    taken = folder.take_claim("0002-b")
    assert taken is not None
    assert taken.number == 2


def test_the_claim_of_another_host_stands(folder: JobFolder) -> None:
    assert folder.take_claim("0001-a")
    rewrite_claim(folder, 1, host="elsewhere")
    assert folder.live_claim() is not None
    assert folder.take_claim("0002-b") is None


def test_of_many_processes_one_gets_the_claim(folder: JobFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.ledger import JobFolder; "
        "folder = JobFolder(Path(sys.argv[1])); sys.stdin.readline(); "
        "claim = folder.take_claim(folder.attempt_name()); print(claim.number if claim else 0, flush=True); "
        "sys.stdin.readline()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(12)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    # Every winner stays alive until all have answered.
    numbers = [int(child.stdout.readline()) for child in children if child.stdout is not None]
    for child in children:
        child.communicate("end\n")
    assert sorted(numbers) == [0] * 11 + [1]


def test_a_corrupt_claim_is_refused(folder: JobFolder) -> None:
    assert folder.take_claim("0001-a")
    (folder.path / "claims" / "0001.json").write_text("{")
    with pytest.raises(HarnessError, match=r"0001\.json"):
        folder.live_claim()


def test_the_first_result_wins_and_the_second_is_kept(folder: JobFolder) -> None:
    assert folder.read_result() is None
    assert folder.publish_result(record("0001-a", 1.0)) is True
    assert folder.publish_result(record("0002-b", 2.0)) is False
    published = folder.read_result()
    assert published is not None
    assert published.metrics["count"].value == 1.0
    assert Record.read(folder.attempt_folder("0002-b") / "result.json").metrics["count"].value == 2.0


def test_superseding_keeps_the_old_result(folder: JobFolder) -> None:
    folder.supersede()
    folder.publish_result(record("0001-a"))
    folder.supersede()
    assert not folder.is_finished()
    kept = list((folder.path / "superseded").glob("*.json"))
    assert [Record.read(path) for path in kept] == [record("0001-a")]


def test_failures_are_counted_and_forgiven(folder: JobFolder) -> None:
    for number, status in enumerate(("failed", "interrupted", "failed"), start=1):
        folder.end_attempt(f"{number:04d}-x", status, "why")
    folder.attempt_folder("0004-killed").mkdir()
    assert folder.failures() == 2
    folder.forgive()
    assert folder.failures() == 0
    folder.end_attempt("0005-x", "failed", "again")
    assert folder.failures() == 1


def test_attempts_are_numbered_and_never_share_a_name(folder: JobFolder) -> None:
    names = {folder.attempt_name() for _ in range(20)}
    assert len(names) == 20
    assert {name[:5] for name in names} == {"0001-"}
    folder.end_attempt("0007-x", "done")
    assert folder.attempt_name().startswith("0008-")


def test_a_job_without_anything_has_no_log(folder: JobFolder) -> None:
    assert folder.log() is None
    folder.attempt_folder("0001-a").mkdir(parents=True)
    (folder.attempt_folder("0001-a") / "log.txt").write_text("x")
    assert folder.log() == folder.attempt_folder("0001-a") / "log.txt"


def test_a_claim_says_who_and_when(folder: JobFolder) -> None:
    claim = folder.take_claim("0001-a", job_id="77", restart=2)
    assert claim is not None
    assert dataclasses.replace(claim, released=False) == folder.last_claim()
    assert (claim.job_id, claim.restart, claim.process) == ("77", 2, ProcessIdentity.current())
