"""What a node's report means; the job itself runs in tests/slurm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness import __version__
from harness.doctor import probe
from harness.doctor.on_node import REPORT
from harness.doctor.subject import Subject
from harness.startup import code_root
from tests.harness.doctor.conftest import MakeSubject, Programs

WELL = {"state": "ok", "what": "fine", "mend": ""}
REPORTED = {
    "host": "node1",
    "node": "n1",
    "seconds": 0.4,
    "python": sys.executable,
    "version": ".".join(map(str, sys.version_info[:3])),
    "harness": __version__,
    "code": str(code_root()),
    "data": True,
    "cpus": "2",
    "gpus": ["0"],
    "torch": WELL,
    "locks": WELL,
}


def judged(made: Subject, **changes: Any) -> dict[str, probe.Finding]:
    settings = made.settings.model_copy(update={"executor": "slurm"})
    ask = probe.probe_ask(made, settings)
    return {each.name: each for each in probe.findings({**REPORTED, **changes}, 7.0, ask, settings)}


def test_the_job_is_short_and_asks_for_a_gpu_where_the_suite_does(subject: MakeSubject) -> None:
    full = subject("voc07_svm,voc12aug_fcn", profile="full", slurm={"benchmarks": {"features": {"partition": "short"}}})
    ask = probe.probe_ask(full, full.settings.model_copy(update={"executor": "slurm"}))
    assert (ask.nodes, ask.tasks_per_node, ask.cpus_per_task, ask.gpus_per_node) == (1, 1, 2, 1)
    assert (ask.minutes, ask.request.partition) == (probe.MINUTES, "short")
    for other in (subject(), subject(profile="full", device="cpu")):
        assert probe.probe_ask(other, other.settings.model_copy(update={"executor": "slurm"})).gpus_per_node == 0


def test_a_node_that_sees_everything(subject: MakeSubject) -> None:
    found = judged(subject(profile="full"))
    assert {each.state for each in found.values()} == {"ok"}, found
    assert "a job ran on n1, 7 s after sbatch" in found["probe"].what
    assert "there and back in 0.4 s" in found["probe folder"].what


@pytest.mark.parametrize(
    ("changes", "name", "state", "said"),
    [
        ({"seconds": None}, "probe folder", "error", "n1 does not see what is written here"),
        ({"seconds": 12.0}, "probe folder", "warning", "there and back in 12.0 s"),
        ({"python": "/usr/bin/python3"}, "probe code", "error", "/usr/bin/python3"),
        ({"code": "/old/harness"}, "probe code", "error", "/old/harness"),
        ({"data": False}, "probe data", "error", "is not there on n1"),
        ({"cpus": "1"}, "probe cpus", "warning", "2 CPUs were asked for, the step was given 1"),
        ({"cpus": ""}, "probe cpus", "warning", "no number"),
        ({"gpus": []}, "probe gpus", "error", "granted a GPU and sees none"),
        ({"torch": {"state": "error", "what": "no CUDA", "mend": "x"}}, "probe gpus", "error", "no CUDA"),
        ({"locks": {"state": "error", "what": "no locks", "mend": "x"}}, "probe locks", "error", "no locks"),
    ],
)
def test_what_a_node_does_not_see_is_named(
    subject: MakeSubject, changes: dict[str, Any], name: str, state: str, said: str
) -> None:
    found = judged(subject(profile="full"), **changes)
    assert (found[name].state, said in found[name].what) == (state, True), found[name]
    assert found[name].mend
    assert [each.name for each in found.values() if each.state != "ok"] == [name]


UP = "Slurmctld(primary) at head is UP"


def cluster(programs: Programs, squeue: str, sbatch: str = "echo 'Submitted batch job 7'") -> None:
    cancelling = 'echo "$@" >> cancelled'
    programs(sbatch=sbatch, scancel=cancelling, scontrol=f"echo '{UP}'", sinfo="", squeue=squeue)


def test_a_job_that_waits_too_long_is_taken_back(
    subject: MakeSubject, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster(programs, "[ -e cancelled ] && echo 'CANCELLED|None' || echo 'PENDING|Resources'")
    monkeypatch.setattr(probe, "PATIENCE_SECONDS", 1.0)
    (found,) = probe.probe(subject(), lambda text: None)
    assert found.state == "error"
    assert found.what == "job 7: no report within 1 s: pending (waits for free resources)"
    assert "queue" in found.mend
    assert (tmp_path / "cancelled").read_text() == "7\n"
    assert not (tmp_path / "work").exists()


def test_a_job_that_ends_without_a_report_is_an_error(
    subject: MakeSubject, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster(programs, "echo 'NODE_FAIL|None'")
    monkeypatch.setattr(probe, "FAILED_SECONDS", 0.3)
    (found,) = probe.probe(subject(), lambda text: None)
    assert "ended without a report: node_fail" in found.what
    assert not (tmp_path / "cancelled").exists()


def test_an_interruption_takes_the_job_back_and_leaves_nothing(
    subject: MakeSubject, programs: Programs, tmp_path: Path
) -> None:
    cluster(programs, "[ -e cancelled ] && echo 'CANCELLED|None' || echo 'PENDING|Resources'")

    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe.probe(subject(), interrupt)
    assert (tmp_path / "cancelled").read_text() == "7\n"
    assert not (tmp_path / "work").exists()


def test_without_slurm_or_its_controller_nothing_is_submitted(
    subject: MakeSubject, programs: Programs, tmp_path: Path
) -> None:
    (found,) = probe.probe(subject(), lambda text: None)
    assert (found.state, found.what) == ("error", "there is no SLURM here to submit a job to")
    cluster(programs, "", sbatch="touch submitted")
    programs(scontrol="echo 'Slurmctld(primary) at head is DOWN'")
    (found,) = probe.probe(subject(), lambda text: None)
    assert (found.state, "nothing was submitted: Slurmctld(primary) at head is DOWN" in found.what) == ("error", True)
    assert not (tmp_path / "submitted").exists()


def test_the_node_answers_within_the_minute_it_has() -> None:
    from harness.doctor import on_node

    assert on_node.ANSWER_SECONDS + on_node.TORCH_SECONDS < probe.MINUTES * 60
    assert REPORT.endswith(".json")
