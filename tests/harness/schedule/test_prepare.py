"""What the loop does before the first submission: cache modes, and features that are there or not."""

from __future__ import annotations

import dataclasses
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from results.errors import HarnessError
from results.record import Record
from tests.harness.hand_made import make_job, planned
from tests.harness.schedule.pretence import (
    FAMILY,
    FEATURES,
    JOB,
    SVM,
    FeatureFolders,
    Stage,
    attempt,
    die,
    finish,
    folder_of,
    held,
)

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


def test_features_that_are_there_are_used(
    stage: Callable[..., Stage], tmp_path: Path, features: FeatureFolders
) -> None:
    attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
    features.add(FEATURES)
    scene = stage(FAMILY)
    scene.play()
    assert scene.states() == {"features": "cached", "svm": "done"}
    assert scene.pretence.submitted == ["svm"]


def test_features_that_were_deleted_are_extracted_again(
    stage: Callable[..., Stage], tmp_path: Path, features: FeatureFolders
) -> None:
    folder = folder_of(tmp_path, FEATURES)
    old = attempt(folder, FEATURES, "done")
    scene = stage(FAMILY)
    scene.pretence.at_tick = lambda number: features.add(FEATURES) if number == 2 else None
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


def test_force_extracts_features_anew(stage: Callable[..., Stage], tmp_path: Path, features: FeatureFolders) -> None:
    attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
    attempt(folder_of(tmp_path, SVM), SVM, "done")
    folder = features.add(FEATURES)
    (folder / "old").touch()
    scene = stage(FAMILY, cache="force")
    scene.pretence.at_tick = lambda number: features.add(FEATURES) if number == 2 else None
    scene.play()
    assert scene.pretence.submitted == ["features", "svm"]
    assert not (folder / "old").exists()


def test_force_does_not_take_features_from_a_job_that_reads_them(
    stage: Callable[..., Stage], tmp_path: Path, features: FeatureFolders
) -> None:
    attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
    folder = features.add(FEATURES)
    claim = held(folder_of(tmp_path, SVM), SVM)
    scene = stage(FAMILY, cache="force")
    scene.loop.prepare()
    assert folder.exists()
    folder_of(tmp_path, SVM).release(claim)


def test_force_works_where_features_lie_on_another_disk(
    stage: Callable[..., Stage], tmp_path: Path, features: FeatureFolders
) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    disk = elsewhere / f"harness-test-{uuid.uuid4().hex}"
    disk.mkdir()
    try:
        (tmp_path / "features").symlink_to(disk)
        attempt(folder_of(tmp_path, FEATURES), FEATURES, "done")
        folder = features.add(FEATURES)
        stage(FAMILY, cache="force").loop.prepare()
        assert not folder.exists()
    finally:
        shutil.rmtree(disk)
