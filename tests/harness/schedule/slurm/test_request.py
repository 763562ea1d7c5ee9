"""What jobs ask for, and the script that asks it, as bash and sbatch read it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import World
from harness.ledger import JobFolder
from harness.schedule.slurm.request import ask_of, controller_ask, draft, preview, refuse_unusable_path, script
from harness.schedule.slurm.settings import SlurmSettings
from harness.schedule.slurm.submissions import JOBS
from harness.settings import Settings, load_settings
from results.errors import HarnessError
from results.workspace import Workspace
from tests.harness.hand_made import make_job, planned


def settings_in(folder: Path, **slurm: Any) -> Settings:
    return Settings(workspace=folder, executor="slurm", slurm=SlurmSettings(**slurm))


def lines_of(folder: Path, dependency: str = "", **slurm: Any) -> list[str]:
    settings = settings_in(folder, **slurm)
    workspace = Workspace(folder)
    world = World()
    ask = ask_of(planned(make_job()), world, settings)
    made = draft(workspace, settings, "run", "counting", JOBS, [JobFolder(workspace.jobs / "counting-1")], ask, world)
    return script(ask, made, settings, dependency).splitlines()


def directive(lines: list[str], name: str) -> str | None:
    found = [line.partition(" ")[2] for line in lines if line.startswith(f"#SBATCH --{name}")]
    return found[0].partition("=")[2] if found else None


def test_a_job_asks_for_one_gpu_with_its_cpus_and_memory(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, cpus_per_gpu=6, memory_per_gpu=40)
    asked = [directive(lines, name) for name in ("gpus-per-node", "cpus-per-task", "mem", "nodes", "ntasks-per-node")]
    assert asked == ["1", "6", "40960M", "1", "1"]
    assert directive(lines, "time") == "60"
    assert any("srun" in line and "--cpus-per-task=6" in line for line in lines), "srun does not inherit it since 22.05"


def test_ranks_are_spread_over_nodes(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, gpus_per_node=4)
    ask = ask_of(planned(make_job()), World(ranks=8), settings)
    assert (ask.nodes, ask.tasks_per_node, ask.gpus_per_node) == (2, 4, 4)
    assert ask.memory == 4 * 32
    with pytest.raises(HarnessError, match="cannot be spread evenly"):
        ask_of(planned(make_job()), World(ranks=7), settings)


def test_smoke_asks_for_next_to_nothing(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, cpus_per_gpu=16).model_copy(update={"profile": "smoke"})
    ask = ask_of(planned(make_job()), World(), settings)
    assert (ask.nodes, ask.tasks_per_node, ask.cpus_per_task, ask.gpus_per_node, ask.memory) == (1, 1, 1, 0, 8.0)


def test_on_cpus_no_gpu_is_asked_for(tmp_path: Path) -> None:
    settings = settings_in(tmp_path).model_copy(update={"device": "cpu"})
    assert ask_of(planned(make_job()), World(), settings).gpus_per_node == 0


def test_what_a_benchmark_asks_otherwise_replaces_and_tables_are_merged(tmp_path: Path) -> None:
    lines = lines_of(
        tmp_path,
        partition="gpu",
        account="vision",
        extra={"reservation": "a", "nice": 3},
        environment={"A": "1"},
        benchmarks={
            "counting": {"partition": "long", "minutes": 90, "extra": {"nice": 5}, "environment": {"B": "2 3"}}
        },
    )
    assert [directive(lines, name) for name in ("partition", "account", "time", "reservation", "nice")] == [
        "long",
        "vision",
        "90",
        "a",
        "5",
    ]
    assert "export A=1" in lines
    assert "export B='2 3'" in lines


def test_a_short_job_is_told_late_enough_to_have_worked(tmp_path: Path) -> None:
    assert directive(lines_of(tmp_path, minutes=2), "signal") == "USR2@30"
    assert directive(lines_of(tmp_path, minutes=600), "signal") == "USR2@120"


def test_requeueing_is_a_setting(tmp_path: Path) -> None:
    assert "#SBATCH --requeue" in lines_of(tmp_path)
    assert "#SBATCH --no-requeue" in lines_of(tmp_path, requeue=False)


def test_what_can_never_start_leaves_the_queue(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, dependency="afterok:7_0")
    assert (directive(lines, "dependency"), directive(lines, "kill-on-invalid-dep")) == ("afterok:7_0", "yes")


@pytest.mark.parametrize(
    "name", ["plain", "with space", "quo'te", 'dou"ble', "$(touch hacked)", "umläut", "semi;colon"]
)
def test_hostile_paths_stay_paths(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    folder.mkdir()
    text = "\n".join(lines_of(folder, setup=["module() { :; }", "module load cuda"]))
    # bash with an srun that prints its arguments, one a line.
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (bin_ / "srun").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", text],
        env={"PATH": f"{bin_}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    assert words[-1].startswith(f"{folder}/submissions/")
    assert words[-2] == "harness.node"
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("name", ["50%", "a\nb", "back\\slash"])
def test_paths_that_slurm_would_change_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match="SLURM takes for something else"):
        refuse_unusable_path(tmp_path / name)


@pytest.mark.parametrize(
    "slurm",
    [
        {"partition": "two words"},
        {"partition": "a\nb"},
        {"setup": ["one\n#SBATCH --uid=0"]},
        {"extra": {"nice\n": "1"}},
        {"environment": {"A B": "1"}},
        {"gpus_per_node": 0},
        {"minutes": 0},
        {"partitoin": "gpu"},
    ],
)
def test_settings_that_would_be_read_as_something_else_are_refused(slurm: dict[str, Any]) -> None:
    with pytest.raises(HarnessError):
        load_settings({"slurm": slurm})


def test_the_controller_needs_no_gpu_and_little_memory(tmp_path: Path) -> None:
    ask = controller_ask(
        settings_in(tmp_path, partition="gpu", memory_per_gpu=200, benchmarks={"controller": {"partition": "cpu"}})
    )
    assert (ask.gpus_per_node, ask.cpus_per_task, ask.memory, ask.request.partition) == (0, 1, 4.0, "cpu")


def test_a_preview_is_the_script_and_writes_nothing(tmp_path: Path) -> None:
    text = preview(planned(make_job()), settings_in(tmp_path), Workspace(tmp_path))
    assert "#SBATCH --gpus-per-node=1" in text
    assert list(tmp_path.iterdir()) == []
