from __future__ import annotations

import pytest

from harness.schedule.slurm.states import CAUSES, PHASES, Phase, base_state, cause_of, phase_of

# squeue(1) and sacct(1) of SLURM 22.05, 23.11, 24.11 and 25.05, JOB STATE CODES.
DOCUMENTED = """
BOOT_FAIL CANCELLED COMPLETED COMPLETING CONFIGURING DEADLINE EXPEDITING FAILED LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY
PENDING POWER_UP_NODE PREEMPTED RECONFIG_FAIL REQUEUED REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD REVOKED RUNNING
SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED TIMEOUT UPDATE_DB
"""


@pytest.mark.parametrize("state", DOCUMENTED.split())
def test_every_documented_state_has_a_meaning(state: str) -> None:
    assert state in PHASES


def test_states_are_read_with_what_slurm_adds_to_them() -> None:
    assert base_state("CANCELLED by 1000") == "CANCELLED"
    assert base_state("CANCELLED+") == "CANCELLED"
    assert base_state(" running ") == "RUNNING"


@pytest.mark.parametrize("state", ["", "SOMETHING_NEW", "?"])
def test_nothing_is_concluded_from_a_state_that_is_not_known(state: str) -> None:
    assert phase_of(state) is Phase.BETWEEN


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "LAUNCH_FAILED"])
def test_a_job_that_may_be_queued_again_has_not_ended(state: str) -> None:
    assert phase_of(state) is Phase.BETWEEN


@pytest.mark.parametrize(
    ("state", "name", "counts"),
    [
        ("OUT_OF_MEMORY", "out of memory", True),
        ("TIMEOUT", "time limit", True),
        ("NODE_FAIL", "node failure", False),
        ("PREEMPTED", "preempted", False),
        ("CANCELLED by 0", "cancelled", False),
        ("FAILED", "killed", True),
        ("", "killed", True),
    ],
)
def test_causes_say_whether_they_use_up_an_attempt(state: str, name: str, counts: bool) -> None:
    assert (cause_of(state).name, cause_of(state).counts) == (name, counts)


@pytest.mark.parametrize("exit_code", ["0:9", "137:0"])
def test_a_kill_is_told_from_other_ends(exit_code: str) -> None:
    assert "SIGKILL" in cause_of("FAILED", exit_code).sentence
    assert "SIGKILL" not in cause_of("FAILED", "1:0").sentence


def test_every_end_has_a_cause() -> None:
    assert {state for state, phase in PHASES.items() if phase in (Phase.ENDED, Phase.BETWEEN)} == set(CAUSES)
