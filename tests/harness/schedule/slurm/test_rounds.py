"""Rounds of a run on the fake SLURM: what is submitted, what waits for what, what is concluded from every end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from harness.job import PlannedJob
from harness.ledger import Claim, JobFolder
from harness.order import Grant
from harness.schedule.slurm import cluster, hand_over, submissions
from harness.schedule.slurm.rounds import Round, advance, look
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.submissions import CONTROLLER, JOBS, PATROL, Submission, open_submissions
from harness.settings import Settings
from results.errors import HarnessError
from results.workspace import Workspace
from tests.harness.hand_made import REQUEST, make_job, make_record, planned
from tests.harness.schedule.slurm.fake import FakeSlurm


@dataclasses.dataclass
class Scene:
    """A run and the fake cluster that it is on."""

    fake: FakeSlurm
    plan: RunPlan

    def round(self) -> Round:
        return advance(self.plan)

    def folder(self, number: int = 0) -> JobFolder:
        return self.plan.jobs[number].folder

    def arrays(self) -> list[Submission]:
        return [each for each in open_submissions(self.plan.workspace) if each.kind == JOBS]

    def controllers(self) -> list[Submission]:
        return [each for each in open_submissions(self.plan.workspace) if each.kind == CONTROLLER]

    def option(self, submission: Submission, name: str) -> str:
        lines = (submission.folder / "sbatch.sh").read_text().splitlines()
        return next((line.partition("=")[2] for line in lines if line.startswith(f"#SBATCH --{name}=")), "")

    def start(self, submission: Submission, index: int = 0, restart: int = 0) -> Claim:
        """A task begins on its node and takes its claim."""
        task = f"{submission.number()}_{index}"
        self.fake.set(task, state="RUNNING", node="n1")
        folder = self.folder_of(submission, index)
        claim = folder.take_claim(folder.attempt_name(), task, restart, submission.name)
        assert claim is not None
        folder.attempt_folder(claim.attempt).mkdir(parents=True)
        self.elsewhere(folder, claim)
        return claim

    def elsewhere(self, folder: JobFolder, claim: Claim) -> None:
        """The claim's process is on a host of which nothing is known here."""
        path = folder.claim_path(claim.number)
        raw = json.loads(path.read_text())
        raw["process"]["host"] = "node17"
        path.write_text(json.dumps(raw))

    def folder_of(self, submission: Submission, index: int) -> JobFolder:
        room, name = submission.jobs[index]
        return JobFolder(self.plan.workspace.root / room / name)

    def finish(self, submission: Submission, index: int = 0) -> None:
        claim = self.start(submission, index)
        folder = self.folder_of(submission, index)
        folder.publish_result(make_record(self.plan.jobs[0].planned().job, claim.attempt))
        folder.end_attempt(claim.attempt, "done")
        folder.release(claim)
        self.fake.set(f"{submission.number()}_{index}", state="COMPLETED")

    def end(self, submission: Submission, state: str, index: int = 0, **fields: Any) -> None:
        self.fake.set(f"{submission.number()}_{index}", state=state, **fields)

    def states(self) -> list[str]:
        return [each.state for each in self.round().standings]


@pytest.fixture
def scene(fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    monkeypatch.setattr(submissions, "CERTAIN_SECONDS", 0.01)
    monkeypatch.setattr(hand_over, "PAUSES", (0.01, 0.01, 0.01))
    cluster.configuration.cache_clear()

    def build(jobs: Sequence[PlannedJob], **settings: Any) -> Scene:
        given = Settings(workspace=tmp_path / "work", executor="slurm", profile="smoke", **settings)
        return Scene(fake_slurm, RunPlan.write(Workspace(tmp_path / "work"), "run-1", ("mine",), jobs, given))

    return build


def several(count: int) -> list[PlannedJob]:
    return [planned(make_job(seed=seed)) for seed in range(count)]


def family(seeds: int = 1, name: str = "svm") -> list[PlannedJob]:
    """Probes of one set of features."""
    probes = [make_job(name, request=REQUEST, seed=seed) for seed in range(seeds)]
    features = probes[0].feature_job()
    assert features is not None
    return [planned(features), *(planned(probe, features) for probe in probes)]


def test_what_is_alike_is_one_array_and_a_controller_waits_for_it(scene: Callable[..., Scene]) -> None:
    here = scene([*several(3), planned(make_job("another"))])
    assert here.states() == ["active"] * 4
    assert sorted(len(each.jobs) for each in here.arrays()) == [1, 3]
    controller, guard = here.controllers()
    assert here.option(guard, "dependency") == f"afterany:{controller.number()}"
    assert any(
        call[:2] == ["scontrol", "update"] and f"JobId={controller.number()}" in call for call in here.fake.calls()
    )


def test_the_controller_is_submitted_before_the_jobs(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    *first, last = here.fake.calls("sbatch")
    assert [each.token in call[-1] for each, call in zip(here.controllers(), first[:2], strict=True)] == [True, True]
    assert here.arrays()[0].token in last[-1]


def test_arrays_are_no_larger_than_slurm_takes(scene: Callable[..., Scene], fake_slurm: FakeSlurm) -> None:
    fake_slurm.set_config(MaxArraySize="2")
    here = scene(several(5))
    here.round()
    assert sorted(len(each.jobs) for each in here.arrays()) == [1, 2, 2]


def test_array_parallelism_is_a_setting(scene: Callable[..., Scene]) -> None:
    here = scene(several(5), slurm={"array_parallelism": 2})
    here.round()
    assert here.option(here.arrays()[0], "array") == "0-4%2"


def test_a_probe_waits_for_its_own_features(scene: Callable[..., Scene]) -> None:
    here = scene(family())
    assert here.states() == ["active", "active"]
    features, probe = here.arrays()
    assert here.option(probe, "dependency") == f"aftercorr:{features.number()}"
    assert "#SBATCH --kill-on-invalid-dep=yes" in (probe.folder / "sbatch.sh").read_text()


def test_seeds_of_a_probe_each_wait_for_the_same_features(scene: Callable[..., Scene]) -> None:
    here = scene(family(seeds=3))
    here.round()
    features, *probes = here.arrays()
    assert [here.option(each, "dependency") for each in probes] == [f"aftercorr:{features.number()}"] * 3


def test_the_same_round_again_submits_nothing(scene: Callable[..., Scene]) -> None:
    here = scene(several(2))
    here.round()
    assert here.round().submitted == ()
    assert len(here.fake.calls("sbatch")) == 4


def test_the_run_ends_when_every_job_is_done(scene: Callable[..., Scene]) -> None:
    here = scene(several(2))
    here.round()
    for index in range(2):
        here.finish(here.arrays()[0], index)
    done = here.round()
    assert done.over
    assert here.plan.has_ended()
    assert [each.state for each in done.standings] == ["done", "done"]


@pytest.mark.parametrize(
    ("state", "cause", "status"),
    [
        ("FAILED", "killed", "failed"),
        ("OUT_OF_MEMORY", "out of memory", "failed"),
        ("TIMEOUT", "time limit", "failed"),
        ("DEADLINE", "time limit", "failed"),
        ("NODE_FAIL", "node failure", "interrupted"),
        ("PREEMPTED", "preempted", "interrupted"),
        ("BOOT_FAIL", "node failure", "interrupted"),
        ("REVOKED", "cancelled", "interrupted"),
        ("COMPLETED", "killed", "failed"),
    ],
)
def test_an_end_without_a_word_is_written_down_and_tried_again(
    scene: Callable[..., Scene], state: str, cause: str, status: str
) -> None:
    here = scene(several(1))
    here.round()
    claim = here.start(here.arrays()[0])
    here.end(here.arrays()[0], state)
    assert here.states() == ["active"]
    outcome = here.folder().outcome(claim.attempt)
    assert (outcome.status, outcome.cause) == (status, cause)
    assert here.folder().live_claim() is None
    assert len(here.arrays()) == 1
    assert here.arrays()[0].number() != claim.job_id.partition("_")[0]


def test_time_that_ran_out_after_a_checkpoint_uses_up_no_attempt(scene: Callable[..., Scene]) -> None:
    here = scene(several(1), max_failures=1)
    here.round()
    claim = here.start(here.arrays()[0])
    (here.folder().attempt_folder(claim.attempt) / "epoch_1.pth").touch()
    here.end(here.arrays()[0], "TIMEOUT")
    assert here.states() == ["active"]
    assert here.folder().failures() == 0


def test_what_the_job_said_of_itself_stays(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    claim = here.start(here.arrays()[0])
    here.folder().end_attempt(claim.attempt, "failed", "no space left")
    here.end(here.arrays()[0], "NODE_FAIL")
    here.round()
    assert here.folder().outcome(claim.attempt).reason == "no space left"


def test_a_job_is_given_up_when_its_attempts_are_used_up(scene: Callable[..., Scene]) -> None:
    here = scene(several(1), max_failures=2)
    for _ in range(2):
        here.round()
        here.start(here.arrays()[0])
        here.end(here.arrays()[0], "OUT_OF_MEMORY")
    done = here.round()
    assert done.over
    (standing,) = done.standings
    assert standing.state == "failed"
    assert "failed 2 times" in standing.reason
    assert "slurm.memory_per_gpu" in standing.reason


def test_a_process_that_never_began_uses_up_attempts_and_its_last_words_are_kept(scene: Callable[..., Scene]) -> None:
    here = scene(several(1), max_failures=1)
    here.round()
    array = here.arrays()[0]
    (array.folder / f"{array.number()}_0_0_log.err").write_text("module: command not found\n")
    here.end(array, "FAILED", exit_code="127:0")
    (standing,) = here.round().standings
    assert standing.state == "failed"
    assert "module: command not found" in standing.reason
    log = here.folder().log()
    assert log is not None
    assert log.read_text() == "module: command not found\n"


def test_one_that_found_its_job_held_by_another_uses_up_nothing(scene: Callable[..., Scene]) -> None:
    here = scene(several(1), max_failures=1)
    here.round()
    here.end(here.arrays()[0], "COMPLETED")
    assert here.states() == ["active"]
    assert here.folder().attempts() == []


def test_rounds_are_bounded(scene: Callable[..., Scene]) -> None:
    here = scene(several(1), slurm={"rounds": 2})
    for _ in range(2):
        here.round()
        here.start(here.arrays()[0])
        here.end(here.arrays()[0], "NODE_FAIL")
    (standing,) = here.round().standings
    assert (standing.state, here.plan.has_ended()) == ("failed", True)
    assert "slurm.rounds" in standing.reason


def test_a_cancelled_job_is_left_and_its_run_ends(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    here.fake.set(here.arrays()[0].number(), state="CANCELLED")
    (standing,) = here.round().standings
    assert (standing.state, here.plan.has_ended()) == ("cancelled", True)


def test_a_probe_that_slurm_took_away_is_submitted_with_its_features(scene: Callable[..., Scene]) -> None:
    here = scene(family())
    here.round()
    features, probe = here.arrays()
    here.start(features)
    here.end(features, "FAILED")
    here.fake.set(probe.number(), state="CANCELLED")
    assert here.states() == ["active", "active"]
    again, probe_again = here.arrays()
    assert {features.number(), probe.number()}.isdisjoint({again.number(), probe_again.number()})


def test_what_slurm_refuses_fails_with_its_words_and_the_rest_is_submitted(scene: Callable[..., Scene]) -> None:
    here = scene([planned(make_job("another")), *several(2)])
    followers = 3
    refusal = "sbatch: error: Batch job submission failed: Invalid qos specification"
    real = hand_over.call

    def refuse_another(words: Sequence[str], *rest: Any) -> str:
        if words[0] == "sbatch" and "--job-name=another-" in Path(words[1]).read_text():
            raise HarnessError(refusal)
        return real(words, *rest)

    with mock.patch.object(hand_over, "call", refuse_another):
        done = here.round()
    assert [each.state for each in done.standings] == ["failed", "active", "active"]
    assert "Invalid qos" in done.standings[0].reason
    assert len(here.fake.calls("sbatch")) == followers + 1


def test_a_patrol_lets_go_what_slurm_holds_and_the_next_one_follows(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    (patrol,) = [each for each in open_submissions(here.plan.workspace) if each.kind == PATROL]
    assert here.option(patrol, "begin") == "now+1800"
    here.fake.set(here.arrays()[0].number(), reason="launch failed requeued held")
    here.fake.set(patrol.number(), state="RUNNING")
    grant = Grant(patrol.name, 0, f"{patrol.number()}_0", 0, 1, ("n1",), 60, 60, True)
    assert not advance(here.plan, grant).over
    assert any(call[1] == "release" for call in here.fake.calls("scontrol"))
    kinds = [each.kind for each in open_submissions(here.plan.workspace)]
    assert (kinds.count(PATROL), kinds.count(CONTROLLER)) == (2, 2)


def test_a_job_that_a_person_holds_stays_held(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    here.fake.set(here.arrays()[0].number(), reason="JobHeldUser")
    here.round()
    assert not any(call[1] == "release" for call in here.fake.calls("scontrol"))


def test_a_process_that_never_began_is_counted_once_however_often_one_looks(scene: Callable[..., Scene]) -> None:
    here = scene(several(3))
    here.round()
    here.end(here.arrays()[0], "FAILED", index=1)
    for _ in range(3):
        look(here.plan.workspace)
    assert here.folder_of(here.arrays()[0], 1).failures() == 1


def test_what_can_never_start_is_taken_away(scene: Callable[..., Scene]) -> None:
    here = scene(family())
    here.round()
    features, probe = here.arrays()
    here.start(features)
    here.end(features, "FAILED")
    here.fake.set(probe.number(), reason="DependencyNeverSatisfied")
    here.round()
    assert ["scancel", f"{probe.number()}_0"] in here.fake.calls("scancel")


def test_features_that_fail_for_good_are_the_reason_of_their_probes(scene: Callable[..., Scene]) -> None:
    here = scene(family(), max_failures=1)
    here.round()
    features, probe = here.arrays()
    here.start(features)
    here.end(features, "OUT_OF_MEMORY")
    here.fake.set(probe.number(), state="CANCELLED")
    done = here.round()
    assert [each.state for each in done.standings] == ["failed", "failed"]
    assert "needs features-" in done.standings[1].reason


def test_a_held_job_is_released(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    number = here.arrays()[0].number()
    here.fake.set(number, reason="launch failed requeued held")
    here.round()
    assert ["scontrol", "release", f"{number}_0"] in here.fake.calls("scontrol")


def test_a_node_that_fails_for_a_moment_is_waited_for(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene(several(1))
    here.round()
    array = here.arrays()[0]
    here.start(array)
    here.end(array, "NODE_FAIL")
    monkeypatch.setattr(submissions.time, "sleep", lambda seconds: here.end(array, "PENDING"))
    assert here.round().submitted == ()
    assert here.arrays() == [array]


def test_nothing_is_concluded_while_slurm_is_silent(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    claim = here.start(here.arrays()[0])
    here.fake.no_controller()
    with pytest.raises(Exception, match="squeue does not answer"):
        here.round()
    assert here.folder().outcome(claim.attempt).status == ""
    here.fake.restore()
    assert here.states() == ["active"]


def test_a_wiped_cluster_is_noticed_by_names(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    here.start(here.arrays()[0])
    here.fake.wipe()
    for _ in range(4):
        here.fake.add("0-0", name="somebody elses", state="RUNNING")
    assert here.states() == ["active"]
    assert here.folder().failures() == 1
    assert len(here.fake.calls("sbatch")) == 8


def test_a_job_that_a_process_on_this_machine_holds_is_looked_at_again_later(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    assert here.folder().take_claim("0001-mine") is not None
    done = here.round()
    assert (done.over, done.submitted) == (False, ())
    assert len(here.controllers()) == 2
    update = next(call for call in here.fake.calls("scontrol") if call[1] == "update")
    assert "StartTime=now+600" in update


def test_a_run_that_was_given_up_submits_nothing_more(scene: Callable[..., Scene]) -> None:
    here = scene(several(2))
    here.plan.cancel()
    done = here.round()
    assert (done.over, done.submitted) == (True, ())
    assert {each.state for each in done.standings} == {"cancelled"}


def test_a_restarted_controller_takes_the_desk_from_its_earlier_self(scene: Callable[..., Scene]) -> None:
    here = scene(several(1))
    here.round()
    controller, _ = here.controllers()
    desk = JobFolder(here.plan.workspace.controllers / "desk")
    claim = desk.take_claim("", f"{controller.number()}_0", 0, controller.name)
    assert claim is not None
    here.elsewhere(desk, claim)
    grant = Grant(controller.name, 0, f"{controller.number()}_0", 1, 1, ("n1",), 60, 60, True)
    assert not advance(here.plan, grant).over


def test_a_plan_is_read_as_it_was_written(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    here = scene(family(), slurm={"partition": "main", "benchmarks": {"svm": {"minutes": 7}}})
    monkeypatch.setenv("HARNESS_SLURM", '{"partition": "other", "account": "somebody"}')
    read = RunPlan.read(here.plan.workspace, "run-1")
    assert read == here.plan
    assert read.settings.slurm.partition == "main"
    assert read.settings.slurm.account is None
