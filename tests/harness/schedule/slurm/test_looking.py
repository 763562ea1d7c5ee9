"""What people are told of jobs on a cluster, and how they give them up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cancelling import cancel_jobs
from harness.ledger import JobFolder
from harness.process import ProcessIdentity
from harness.schedule import choose
from harness.settings import Settings
from harness.status import all_statuses
from results.errors import HarnessError
from tests.harness.schedule.slurm.fake import FakeSlurm
from tests.harness.schedule.slurm.test_rounds import Scene, several
from tests.harness.schedule.slurm.test_rounds import scene as scene


def statuses(here: Scene) -> list[tuple[str, str]]:
    return [(each.state, each.reason) for each in all_statuses(here.plan.workspace)]


def test_every_place_of_a_job_has_its_words(scene: Callable[..., Scene]) -> None:
    here = scene(several(4))
    here.round()
    (array,) = here.arrays()
    number = array.number()
    here.fake.set(number, reason="Resources")
    here.start(array, 0)
    here.fake.set(f"{number}_1", reason="SomethingNew")
    found = {each.job: each for each in all_statuses(here.plan.workspace)}
    words = [found[array.jobs[index][1]] for index in range(4)]
    assert (words[0].state, words[0].reason) == ("queued", f"job {number}_0 on n1, starting")
    assert words[1].reason == f"job {number}_1: SomethingNew"
    assert words[2].reason == f"job {number}_2: waits for free resources"
    assert [each.scheduler for each in words] == [f"{number}_{index}" for index in range(4)]


def test_a_job_at_work_is_running_with_its_node(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    claim = here.start(here.arrays()[0])
    here.folder().note_slot(claim.attempt)
    ((state, reason),) = statuses(here)
    assert state == "running"
    assert reason.endswith("on n1")


def test_a_job_that_slurm_ended_is_killed_with_its_cause_before_anybody_judged_it(
    scene: Callable[..., Scene],
) -> None:
    here = scene(several(1))
    here.round()
    here.start(here.arrays()[0])
    here.end(here.arrays()[0], "OUT_OF_MEMORY")
    (status,) = all_statuses(here.plan.workspace)
    assert (status.state, status.cause) == ("killed", "out of memory")


def test_where_slurm_is_silent_the_last_known_is_shown_and_said_to_be(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    here.start(here.arrays()[0])
    here.fake.no_controller()
    ((state, reason),) = statuses(here)
    assert (state, reason) == ("queued", f"job {here.arrays()[0].number()}_0") or "does not answer" in reason


def test_one_call_serves_all_jobs(scene: Callable[..., Scene]) -> None:
    here = scene(several(30))
    here.round()
    before = len(here.fake.calls())
    all_statuses(here.plan.workspace)
    assert len(here.fake.calls()) == before + 1


def test_giving_everything_up_ends_the_run_and_its_controllers(scene: Callable[..., Scene]) -> None:
    here = scene(several(2))
    here.round()
    assert len(cancel_jobs(here.plan.workspace, None)) == 2
    assert {job["state"] for job in here.fake.jobs()} == {"CANCELLED"}
    assert here.plan.has_ended()
    assert here.round().submitted == ()


def test_one_job_is_given_up_and_the_others_go_on(scene: Callable[..., Scene]) -> None:
    here = scene(several(2))
    here.round()
    first = here.folder(0)
    assert cancel_jobs(here.plan.workspace, [first]) == [first.name]
    states = [each.state for each in here.round().standings]
    assert states == ["cancelled", "active"]
    assert not here.plan.has_ended()


def test_nothing_is_given_up_by_halves_where_slurm_is_silent(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    here.fake.no_controller()
    with pytest.raises(HarnessError, match="does not answer"):
        cancel_jobs(here.plan.workspace, None)


def test_a_process_on_this_machine_is_asked_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from results.workspace import Workspace

    workspace = Workspace(tmp_path)
    folder = JobFolder(workspace.jobs / "counting-1")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    from harness.process import _start_ticks

    identity = ProcessIdentity.current()
    other = ProcessIdentity(
        identity.host, identity.boot, identity.namespace, process.pid, _start_ticks(process.pid) or 0
    )
    monkeypatch.setattr(ProcessIdentity, "current", staticmethod(lambda: other))
    assert folder.take_claim("0001-a") is not None
    monkeypatch.undo()
    assert cancel_jobs(workspace, None) == ["counting-1"]
    assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize(("answers", "executor"), [(True, "slurm"), (False, "local")])
def test_auto_is_the_cluster_that_answers(fake_slurm: FakeSlurm, answers: bool, executor: str) -> None:
    if answers:
        fake_slurm.behave("scontrol", status=0, stdout="Slurmctld(primary) at head is UP\n")
    else:
        fake_slurm.no_controller()
    assert choose.with_executor(Settings()).executor == executor


def test_slurm_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match="no SLURM here") as caught:
        choose.with_executor(Settings(executor="slurm"))
    assert "--executor local" in caught.value.mend
    assert choose.with_executor(Settings()).executor == "local"
