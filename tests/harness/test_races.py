"""What other processes, other hosts and lost replies do to the ledger between two lines of ours."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import process as process_module
from harness.cli.plan import plan_rows
from harness.ledger import JobFolder
from harness.process import ProcessIdentity
from harness.schedule.loop import Loop
from results.files import publish
from results.workspace import Workspace
from tests.harness.hand_made import inside, make_job, make_record, make_settings, plan_in
from tests.harness.world import World


@pytest.fixture
def here(world: World) -> Iterator[World]:
    with inside(world):
        yield world


# NFS -----------------------------------------------------------------------------------------------------------------


def link_with_lost_reply(source: Any, target: Any) -> None:
    """The server made the link, its reply was lost, the client asked again and was told that the file is there."""
    real_link(source, target)
    raise FileExistsError(17, "File exists", str(source), None, str(target))


real_link = os.link


def test_a_link_whose_reply_was_lost_was_made_by_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", link_with_lost_reply)
    assert publish(tmp_path / "result.json", "mine") is True
    assert (tmp_path / "result.json").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    monkeypatch.setattr(os, "link", real_link)
    assert publish(tmp_path / "result.json", "theirs") is False


def test_a_claim_whose_reply_was_lost_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the process ends as if another one held the job, and on other hosts its claim stands for ever."""
    monkeypatch.setattr(os, "link", link_with_lost_reply)
    folder = JobFolder(tmp_path / "counting-0123")
    claim = folder.take_claim("0001-mine")
    assert claim is not None
    assert claim.attempt == "0001-mine"


def test_a_listing_that_is_out_of_date_does_not_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over NFS a folder's listing may be a minute old while ``link`` already tells the truth."""
    folder = JobFolder(tmp_path / "counting-0123")
    first = folder.take_claim("0001-first")
    assert first is not None
    folder.release(first)
    second = folder.take_claim("0002-second")
    assert second is not None
    real_glob = Path.glob
    calls = [0]

    def old_listing(self: Path, pattern: str) -> Iterator[Path]:
        calls[0] += 1
        assert calls[0] < 50, "take_claim asks the server again and again without a pause"
        return (path for path in real_glob(self, pattern) if path.name != "0002.json")

    monkeypatch.setattr(Path, "glob", old_listing)
    assert folder.take_claim("0003-third") is None


# Processes -----------------------------------------------------------------------------------------------------------


def test_another_users_process_that_proc_hides_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``hidepid`` (proc(5)) the folder of another user's process cannot be seen; kill(2) still tells."""
    proc = tmp_path / "proc"
    (proc / "sys" / "kernel" / "random").mkdir(parents=True)
    (proc / "self" / "ns").mkdir(parents=True)
    shutil.copy("/proc/sys/kernel/random/boot_id", proc / "sys/kernel/random/boot_id")
    (proc / "self/ns/pid").symlink_to(os.readlink("/proc/self/ns/pid"))
    theirs = dataclasses.replace(ProcessIdentity.current(), pid=4242, start=17)

    def not_permitted(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    def no_such_process(pid: int, number: int) -> None:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(process_module, "_PROC", proc)
    monkeypatch.setattr(os, "kill", not_permitted)
    assert theirs.is_alive() is None
    monkeypatch.setattr(os, "kill", no_such_process)
    assert theirs.is_alive() is False


# A plan says what a run then does ------------------------------------------------------------------------------------


class Nobody:
    """An executor and a reporter that are never asked for anything."""

    name = "nobody"

    def changed(self, job: Any) -> None:
        pass

    def tick(self, jobs: Any) -> None:
        pass

    def capacity(self) -> int:
        return 1

    def submit(self, folder: JobFolder) -> Any:
        raise AssertionError("nothing may be submitted")


SUITE = "imagenet_knn,counting"


@pytest.mark.parametrize("finished", [(), ("imagenet_knn",), ("features",), ("features", "imagenet_knn")])
@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("cache", ["reuse", "read-only"])
def test_plan_and_run_agree_on_what_is_there(
    here: World, finished: tuple[str, ...], features: bool, cache: str
) -> None:
    settings = make_settings(here, suite=SUITE, cache=cache)
    made = plan_in(here, suite=SUITE)
    place = Workspace(here.workspace)
    for planned in made.jobs:
        job = planned.job
        folder = JobFolder(place.jobs / job.name)
        if job.benchmark in finished:
            folder.write_spec(job.to_dict())
            folder.publish_result(make_record(job, "0001-made"))
        if job.extracts and features:
            place.feature_set(job.key).mkdir(parents=True)
            (place.feature_set(job.key) / "manifest.json").write_text(json.dumps({"schema": 1, "splits": {}}))
    loop = Loop(place, made.jobs, Nobody(), settings, Nobody(), lambda *words: None)
    loop.prepare()
    said = {row["benchmark"]: row["state"] == "cached" for row in plan_rows(made, settings)}
    assert said == {tracked.planned.job.benchmark: tracked.state == "cached" for tracked in loop.jobs}


# Two names for one key -----------------------------------------------------------------------------------------------


def test_a_field_that_is_set_to_what_it_is_is_not_modified(here: World) -> None:
    """The key is the same, so the number is too: whether it counts as modified must not depend on who ran first."""
    plain = plan_in(here).jobs[0].job
    same = plan_in(here, set=("counting.iterations=1",)).jobs[0].job
    assert same.key == plain.key
    assert same.stamp() == plain.stamp()


def test_a_smoke_number_is_never_found_in_place_of_a_full_one(here: World) -> None:
    """Even where ``--set`` takes every field back to the published value."""
    full = plan_in(here, profile="full", allow_nonstandard_data=True).jobs[0].job
    smoke = plan_in(here, set=("counting.iterations=3",)).jobs[0].job
    assert smoke.stamp().profile == "smoke"
    assert full.stamp().profile == "full"
    assert smoke.key != full.key


def test_the_last_attempt_is_that_of_the_last_claim(tmp_path: Path) -> None:
    """Two processes may choose names at the same time; the newest attempt must still be the last one."""
    folder = JobFolder(tmp_path / make_job().name)
    early, late = folder.attempt_name(), folder.attempt_name()
    for name, status in sorted([(early, "failed"), (late, "failed")], reverse=True):
        claim = folder.take_claim(name)
        assert claim is not None
        folder.attempt_folder(claim.attempt).mkdir(parents=True)
        folder.end_attempt(claim.attempt, status, f"claim {claim.number}")
        folder.release(claim)
    last = folder.last_outcome()
    assert last is not None
    assert last.reason == "claim 2"
