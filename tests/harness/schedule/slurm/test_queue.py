"""What is read out of squeue and sacct, and what is concluded where they are silent."""

from __future__ import annotations

import pytest

from harness.schedule.slurm import commands
from harness.schedule.slurm.queue import SILENCE, Entry, look_up, parse_sacct, parse_squeue, snapshot
from harness.schedule.slurm.states import Phase
from tests.harness.schedule.slurm.fake import FakeSlurm

NAME = "counting-0123456789ab"


def test_running_waiting_and_ended_tasks_are_told_apart(fake_slurm: FakeSlurm) -> None:
    number = fake_slurm.add("0-3", name=NAME)
    fake_slurm.set(f"{number}_0", state="RUNNING", node="n1")
    fake_slurm.set(f"{number}_1", state="COMPLETED")
    fake_slurm.set(f"{number}_2", state="NODE_FAIL")
    seen = snapshot({NAME: range(4)}, {NAME: number})
    phases = [seen.phase(NAME, index) for index in range(4)]
    assert phases == [Phase.RUNNING, Phase.ENDED, Phase.BETWEEN, Phase.QUEUED]
    entry = seen.find(NAME, 0)
    assert entry is not None
    assert (entry.id, entry.nodes) == (f"{number}_0", "n1")
    assert seen.calls == 1


def test_what_squeue_forgot_is_asked_of_accounting_in_one_call(fake_slurm: FakeSlurm) -> None:
    fake_slurm.set_accounting(True)
    number = fake_slurm.add("0-1", name=NAME)
    fake_slurm.set(number, state="OUT_OF_MEMORY", exit_code="0:125", in_queue=False)
    seen = snapshot({NAME: range(2)}, {NAME: number})
    entry = seen.find(NAME, 1)
    assert entry is not None
    assert (entry.state, seen.accounting, seen.calls) == ("OUT_OF_MEMORY", True, 2)


def test_without_accounting_what_squeue_does_not_list_has_ended(fake_slurm: FakeSlurm) -> None:
    number = fake_slurm.add(name=NAME)
    fake_slurm.set(number, in_queue=False)
    seen = snapshot({NAME: [0]}, {NAME: number})
    assert seen.phase(NAME, 0) is Phase.ENDED
    assert (seen.answered, seen.accounting) == (True, False)


@pytest.mark.parametrize("how", ["fails", "is missing", "hangs", "talks nonsense"])
def test_nothing_is_concluded_where_squeue_does_not_answer(
    fake_slurm: FakeSlurm, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = fake_slurm.add(name=NAME)
    if how == "fails":
        fake_slurm.no_controller()
    elif how == "is missing":
        fake_slurm.remove("squeue")
        monkeypatch.setenv("PATH", str(fake_slurm.bin))
    elif how == "hangs":
        fake_slurm.behave("squeue", hang=5)
        monkeypatch.setattr(commands.call, "__defaults__", (0.3,))
    else:
        fake_slurm.behave("squeue", status=1, stdout="\x00\xff|||")
    seen = snapshot({NAME: [0]}, {NAME: number})
    assert seen == SILENCE
    assert seen.phase(NAME, 0) is Phase.BETWEEN


def test_a_number_that_came_round_again_is_another_job(fake_slurm: FakeSlurm) -> None:
    number = fake_slurm.add("0-0", name=NAME)
    fake_slurm.wipe()
    again = fake_slurm.add("0-0", name="somebody elses")
    fake_slurm.set(f"{again}_0", state="RUNNING")
    assert again == number
    assert snapshot({NAME: [0]}, {NAME: number}).phase(NAME, 0) is Phase.ENDED


@pytest.mark.parametrize("name", ["a|b-0123", "sp ace-0123", "quote'\"-0123", "umläut-0123"])
def test_hostile_names_of_others_break_nothing(fake_slurm: FakeSlurm, name: str) -> None:
    fake_slurm.add(name=name, state="RUNNING")
    number = fake_slurm.add("0-0", name=NAME)
    assert snapshot({NAME: [0]}, {NAME: number}).phase(NAME, 0) is Phase.QUEUED


def test_lines_of_another_form_are_passed_over() -> None:
    assert parse_squeue("slurm_load_jobs: warning\n\n7_1|RUNNING|None|n1|x\n7|RUN\n") == [
        Entry("7_1", "RUNNING", "None", "n1", "x")
    ]
    assert parse_sacct("7_1|FAILED|1:0|n1|x\n7_1.batch|FAILED|1:0|n1|batch\n") == [
        Entry("7_1", "FAILED", "", "n1", "x", "1:0")
    ]


def test_a_requeued_job_is_what_accounting_says_last() -> None:
    text = "7_0|NODE_FAIL|1:0|n1|x\n7_0|COMPLETED|0:0|n2|x\n"
    assert parse_sacct(text)[-1].state == "COMPLETED"


def test_a_job_that_slurm_holds_is_told_from_one_that_a_person_holds() -> None:
    assert Entry("1", "PENDING", "launch failed requeued held").is_held
    assert not Entry("1", "RUNNING", "launch failed requeued held").is_held
    assert not Entry("1", "PENDING", "JobHeldUser").is_held
    assert not Entry("1", "PENDING", "Priority").is_held


def test_a_submission_is_looked_up_by_its_name(fake_slurm: FakeSlurm) -> None:
    number = fake_slurm.add("0-2", name=NAME)
    assert look_up(NAME) == number
    assert look_up("counting-ffffffffffff") == ""
    fake_slurm.no_controller()
    assert look_up(NAME) is None


def test_a_submission_that_squeue_forgot_is_found_in_accounting(fake_slurm: FakeSlurm) -> None:
    fake_slurm.set_accounting(True)
    number = fake_slurm.add("0-2", name=NAME)
    fake_slurm.set(number, state="COMPLETED", in_queue=False)
    assert look_up(NAME) == number
