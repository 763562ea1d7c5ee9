from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.doctor import slurm
from harness.doctor.examine import slurm_checks
from harness.doctor.findings import Finding, look, name_of
from tests.harness.doctor.conftest import MakeSubject, Programs

NODES = """
case "$*" in
*%P*) echo 'gpu*|2-00:00:00|64|512000|gpu:a100:8'; echo 'gpu*|2-00:00:00|64|512000|gpu:a100:8'
      echo 'short|1:00|4|8000|(null)' ;;
*%a*) echo 'up|idle'; echo 'up|drained' ;;
*%n*) echo node1; echo node2 ;;
esac
"""
CONFIGURATION = {
    "SLURM_VERSION": "23.11.4",
    "MaxArraySize": "1001",
    "MinJobAge": "300 sec",
    "JobRequeue": "1",
    "PreemptType": "preempt/none",
    "PreemptMode": "OFF",
}


def scontrol(**changes: str) -> str:
    lines = "\n".join(f"{name.ljust(24)} = {value}" for name, value in {**CONFIGURATION, **changes}.items())
    return f'case "$1" in\nping) echo "Slurmctld(primary) at head is UP" ;;\n*) cat <<END\n{lines}\nEND\n;;\nesac'


WHOLE: Mapping[str, str] = {
    "sbatch": "",
    "squeue": "",
    "scancel": "",
    "srun": "",
    "sacct": "",
    "sinfo": NODES,
    "scontrol": scontrol(),
}


@pytest.fixture
def cluster(programs: Programs) -> Programs:
    """A cluster in which all is well."""
    programs(**WHOLE)
    return programs


def test_a_cluster_in_which_all_is_well(
    cluster: Programs, subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [each for check in slurm_checks(subject()) for each in look(name_of(check), check)]
    named = {each.name: each for each in found if each.name != "shared"}
    assert {each.state for each in named.values()} == {"ok"}, named
    assert named["slurm controller"].what == "Slurmctld(primary) at head is UP, SLURM 23.11.4"
    assert "gpu (default): at most 2880 min, 2 nodes of up to 8 GPUs, 64 CPUs" in named["slurm partitions"].what


def test_a_machine_without_slurm_is_well_unless_it_is_asked_for(subject: MakeSubject, programs: Programs) -> None:
    assert slurm.slurm_commands(subject()).state == "ok"
    assert slurm.slurm_commands(subject(executor="slurm")).state == "error"
    programs(sbatch="", squeue="")
    half = slurm.slurm_commands(subject())
    assert (half.state, half.what) == ("warning", "not on the PATH: scancel, scontrol, sinfo, srun")
    assert slurm.slurm_commands(subject(executor="local")).state == "ok"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('echo "Slurmctld(primary) at head is DOWN"', "head is DOWN"),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact"),
        ("exit 0", "scontrol ping says nothing"),
        ("sleep 60", "did not answer within"),
    ],
)
def test_a_controller_that_does_not_answer_is_said_and_asked_nothing_more(
    cluster: Programs, subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.3)
    cluster(scontrol=script)
    found = slurm.slurm_controller(subject(executor="slurm"))
    assert (found.state, said in found.what) == ("error", True), found
    assert slurm.slurm_controller(subject(slurm={"partition": "gpu"})).state == "error"
    alone = slurm.slurm_controller(subject())
    assert (alone.state, "run on this machine" in alone.what) == ("warning", True)
    assert [name_of(check) for check in slurm_checks(subject())] == ["slurm commands", "slurm controller"]


def test_a_backup_controller_that_answers_is_enough(cluster: Programs, subject: MakeSubject) -> None:
    cluster(scontrol=scontrol().replace("is UP", "is DOWN\nSlurmctld(backup) at spare is UP"))
    assert slurm.slurm_controller(subject()).state == "ok"


def test_an_old_slurm_is_a_warning(cluster: Programs, subject: MakeSubject) -> None:
    cluster(scontrol=scontrol(SLURM_VERSION="19.05.5"))
    assert slurm.slurm_controller(subject()).state == "warning"


def one(check: Any, made: Any) -> Finding:
    return look("x", lambda: check(made))[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"partition": "gpus"}, "no partition 'gpus'"),
        ({"partition": "short", "minutes": 60}, "partition short allows 1"),
        ({"memory_per_gpu": 600}, "600 GiB a node are asked for"),
        ({"benchmarks": {"imagenet_kn": {}}}, "names 'imagenet_kn'"),
    ],
)
def test_what_does_not_fit_is_an_error_with_its_mend(
    cluster: Programs, subject: MakeSubject, settings: dict[str, Any], said: str
) -> None:
    found = one(slurm.slurm_partitions, subject(profile="full", slurm=settings))
    assert (found.state, said in found.what) == ("error", True), found
    assert found.mend


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("inact|idle", "partition gpu is inact"),
        ("up|drained", "no node of partition gpu takes jobs: drained"),
        ("up|down*", "no node of partition gpu takes jobs: down*"),
    ],
)
def test_a_partition_that_takes_no_jobs_now_is_a_warning(
    cluster: Programs, subject: MakeSubject, states: str, said: str
) -> None:
    cluster(sinfo=NODES.replace("echo 'up|idle'; echo 'up|drained'", f"echo '{states}'"))
    found = one(slurm.slurm_partitions, subject())
    assert (found.state, said) == ("warning", found.what)


def test_jobs_are_those_of_a_plan(subject: MakeSubject) -> None:
    planned = slurm.planned_jobs(subject("imagenet_knn,voc12aug_fcn"))
    assert [each.job.benchmark for each in planned] == ["features", "imagenet_knn", "voc12aug_fcn"]
    assert all(each.gpus >= 1 and each.hours > 0 for each in planned)


def test_accounting_that_is_off_matters_where_squeue_forgets_soon(cluster: Programs, subject: MakeSubject) -> None:
    assert slurm.slurm_accounting(subject()).state == "ok"
    cluster(sacct="echo 'Slurm accounting storage is disabled' >&2; exit 1")
    off = slurm.slurm_accounting(subject())
    assert (off.state, "remembers ended jobs for 300 s" in off.what) == ("ok", True)
    slurm.configuration.cache_clear()
    cluster(scontrol=scontrol(MinJobAge="10 sec"))
    assert slurm.slurm_accounting(subject()).state == "warning"


@pytest.mark.parametrize(("size", "state"), [("0", "error"), ("11", "warning"), ("1001", "ok"), ("", "ok")])
def test_the_size_of_arrays(cluster: Programs, subject: MakeSubject, size: str, state: str) -> None:
    cluster(scontrol=scontrol(MaxArraySize=size))
    assert slurm.slurm_arrays(subject()).state == state


def test_srun_and_the_cpus_of_a_job(cluster: Programs, subject: MakeSubject) -> None:
    asked = {"extra": {"cpus-per-task": 4}}
    assert "hands it on itself" in slurm.slurm_srun(subject()).what
    assert slurm.slurm_srun(subject(slurm=asked)).state == "error"
    slurm.configuration.cache_clear()
    cluster(scontrol=scontrol(SLURM_VERSION="21.08.8-2"))
    assert slurm.slurm_srun(subject(slurm=asked)).state == "ok"


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, "ok", "no preemption"),
        ({"JobRequeue": "0"}, "ok", "JobRequeue is 0"),
        ({"PreemptType": "preempt/qos", "PreemptMode": "CANCEL"}, "warning", "cancelled"),
        ({"PreemptType": "preempt/qos", "PreemptMode": "GANG,REQUEUE"}, "ok", "not told before"),
        (
            {
                "PreemptType": "preempt/qos",
                "PreemptMode": "REQUEUE",
                "SlurmctldParameters": "idle_on_node_suspend,preempt_send_user_signal",
            },
            "ok",
            "are told before",
        ),
    ],
)
def test_what_becomes_of_preempted_jobs(
    cluster: Programs, subject: MakeSubject, changes: dict[str, str], state: str, said: str
) -> None:
    cluster(scontrol=scontrol(**changes))
    found = slurm.slurm_preemption(subject())
    assert (found.state, said in found.what) == (state, True), found


def test_a_run_that_forbids_requeueing_is_warned(cluster: Programs, subject: MakeSubject) -> None:
    assert slurm.slurm_preemption(subject(slurm={"requeue": False})).state == "warning"
