"""The verb: every check in its order, whatever is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli.doctor import doctor
from harness.doctor import data, disk, examine, gpus, probe, python, slurm
from harness.doctor.findings import ok
from results.errors import HarnessError
from tests.harness.conftest import make_tiny_imagenet
from tests.harness.doctor.conftest import MakeSubject, Programs

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick(package: Callable[[str, str], None]) -> None:
    """Children that import nothing heavy."""
    package("torch.py", "class Tensor: pass\nclass cuda:\n    is_available = bool\nclass version: cuda = None\n"
            "float16 = bfloat16 = None\n__version__ = '2'\n")  # fmt: skip
    package("torchvision.py", "__version__ = '0'\n")
    for name in python.TOOLBOXES:
        package(f"{name}/__init__.py", "__version__ = '1'\n")


def ask(capsys: Capture, **flags: Any) -> tuple[int, dict[str, dict[str, str]]]:
    status = 0
    try:
        doctor(json=True, **flags)
    except typer.Exit as end:
        status = end.exit_code
    content = json.loads(capsys.readouterr().out)
    assert content["ok"] == (status == 0)
    return status, {each["name"]: each for each in content["findings"]}


def test_a_machine_that_is_well(capsys: Capture, tmp_path: Path) -> None:
    make_tiny_imagenet(tmp_path / "data")
    status, found = ask(capsys, suite="imagenet_knn", profile="smoke", data=tmp_path / "data")
    assert status == 0, found
    assert list(found) == [
        "settings", "python", "packages", "installed twice", "gpus", "torch", "toolboxes", "operations", "compiler",
        "data root", "data imagenet", "space", "hard links", "locks", "slurm commands",
    ]  # fmt: skip
    assert {each["state"] for each in found.values()} == {"ok"}
    assert not (tmp_path / "work_dirs").exists()


def test_people_get_a_table_and_a_sum(capsys: Capture, tmp_path: Path) -> None:
    with pytest.raises(typer.Exit) as end:
        doctor(suite="imagenet_knn", profile="smoke", data=tmp_path / "nowhere")
    said = capsys.readouterr().out
    assert end.value.exit_code == 1
    assert "data root" in said
    assert "data sample --data data/sample" in said
    assert said.strip().endswith("1 errors, 0 warnings")


def test_settings_that_cannot_be_read_are_an_error_and_the_rest_is_looked_at(capsys: Capture, tmp_path: Path) -> None:
    make_tiny_imagenet(tmp_path / "data")
    (tmp_path / "harness.yaml").write_text("sed: 3\n")
    status, found = ask(capsys, suite="imagenet_knn", profile="smoke", data=tmp_path / "data")
    assert status == 1
    assert found["settings"]["state"] == "error"
    assert "no setting 'sed'" in found["settings"]["what"]
    assert "did you mean" in found["settings"]["mend"]
    assert found["data imagenet"]["state"] == "ok"


def test_a_suite_of_the_file_that_is_unknown_is_an_error_of_the_settings(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "harness.yaml").write_text("suite: imagenet_kn\n")
    status, found = ask(capsys, profile="smoke")
    assert (status, found["settings"]["state"]) == (1, "error")
    assert "imagenet_kn" in found["settings"]["what"]


@pytest.mark.parametrize("flags", [{"suite": "imagenet_kn"}, {"profile": "smok"}])
def test_a_wrong_flag_is_refused(flags: dict[str, str]) -> None:
    with pytest.raises(HarnessError) as refused:
        doctor(**flags)
    assert refused.value.where == f"--{next(iter(flags))}"


def test_settings_say_where_they_come_from(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness.yaml").write_text("seeds: 3\n")
    monkeypatch.setenv("HARNESS_PROFILE", "smoke")
    _, found = ask(capsys, suite="imagenet_knn")
    assert found["settings"]["what"] == f"{tmp_path}/harness.yaml; HARNESS_PROFILE"


def test_a_third_partys_benchmark_that_cannot_be_loaded_hinders_nothing(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise HarnessError("x cannot be loaded", "entry point group harness.benchmarks", "uninstall it")

    monkeypatch.setattr("benchmarks.catalogue.catalogue", broken)
    status, found = ask(capsys, profile="smoke")
    assert status == 1
    assert found["settings"]["what"].startswith("x cannot be loaded")
    assert found["locks"]["state"] == "ok"


CHECKS = [
    (python, "python"), (python, "packages"), (python, "installed_twice"), (gpus, "gpus"), (gpus, "torch"),
    (python, "toolboxes"), (python, "compiler"), (data, "data_root"), (data, "data"), (disk, "space"),
    (disk, "hard_links"), (disk, "locks"), (slurm, "slurm_commands"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), CHECKS)
def test_no_check_can_crash_the_doctor(
    subject: MakeSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    make_tiny_imagenet(tmp_path / "data")
    for each, other in CHECKS:
        if (each, other) != (module, name):
            monkeypatch.setattr(each, other, lambda *words: ok("quiet", "fine"))

    def broken(*words: Any) -> Any:
        raise RuntimeError("broken on purpose")

    broken.__name__ = name
    monkeypatch.setattr(module, name, broken)
    found = list(examine.examine(subject(), with_probe=False))
    wrong = [each for each in found if each.state != "ok"]
    assert [each.what for each in wrong] == ["the check failed: RuntimeError: broken on purpose"]
    assert wrong[0].name == name.replace("_", " ")


def test_a_probe_that_fails_is_a_finding_too(
    subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    monkeypatch.setattr(examine, "checks", lambda subject: iter(()))

    def broken(*words: Any) -> Any:
        raise HarnessError("there is no command sbatch here", "SLURM", "use --executor local")

    monkeypatch.setattr(probe, "probe", broken)
    (found,) = examine.examine(subject(), with_probe=True)
    assert (found.name, found.state) == ("probe", "error")
