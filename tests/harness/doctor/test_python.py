from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.doctor import python
from harness.doctor.child import ask_python
from harness.toolboxes import LOCK, TOOLBOXES
from tests.harness.doctor.conftest import MakeSubject, Programs
from tests.slurm.cluster.processes import wait_until

Package = Callable[[str, str], None]


def test_this_python_is_new_enough_and_an_old_one_is_not() -> None:
    assert python.python().state == "ok"
    old = python.python((3, 10, 14))
    assert (old.state, "3.11" in old.mend) == ("error", True)


def distribution(site: Path, name: str, version: str, *needs: str) -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {each}" for each in needs),
    ]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")


def test_packages_are_held_against_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ("numpy>=2.2,<2.3", "torch>=2", 'colorama; sys_platform == "win32"')
    distribution(tmp_path, "transfer-harness", "0.1.0", *needs)
    distribution(tmp_path, "numpy", "2.2.6")
    distribution(tmp_path, "torch", "2.14.1+cu130")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert python.packages().state == "ok"


def test_another_version_and_a_missing_package_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "transfer-harness", "0.1.0", "numpy>=2.2,<2.3", "torch>=2")
    distribution(tmp_path, "numpy", "1.26.4")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    found = python.packages()
    assert found.state == "error"
    assert "numpy is 1.26.4, not" in found.what
    assert "torch is missing" in found.what
    assert "requirements.lock" in found.mend


def test_a_harness_that_is_not_installed_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert python.packages().state == "warning"


def test_rivals_and_foreign_packages_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert python.installed_twice().state == "ok"
    monkeypatch.setattr(python, "doubled_distributions", lambda: [("onedl-mmcv", "mmcv-lite")])
    found = python.installed_twice()
    assert found.state == "error"
    assert "uninstall -y mmcv-lite onedl-mmcv" in found.mend
    monkeypatch.setattr(python, "foreign_modules", lambda: [("results", "/home/me/results.py")])
    assert "/home/me/results.py" in python.installed_twice().what


TORCH = "class Tensor: pass\nfloat16 = bfloat16 = None\n"


def stand_in_toolboxes(package: Package) -> None:
    package("torch.py", TORCH)
    package("torchvision.py", "__version__ = '0'\n")
    for name in TOOLBOXES:
        package(f"{name}/__init__.py", f"__version__ = '1.{len(name)}'\n")


def test_toolboxes_are_named_with_their_versions(package: Package, subject: MakeSubject) -> None:
    stand_in_toolboxes(package)
    first, second = python.toolboxes(subject("imagenet_linear"))
    assert (first.state, second.state) == ("ok", "ok")
    assert first.what == "mmengine 1.8, mmcv 1.4, mmpretrain 1.10, mmdet 1.5, mmseg 1.5"
    assert "torchvision's" in second.what
    package("mmcv/_ext.py", "")
    assert python.toolboxes(subject("imagenet_linear"))[1].what == "mmcv's own, compiled"


def test_a_toolbox_that_cannot_be_imported_is_named_with_the_reason(package: Package, subject: MakeSubject) -> None:
    stand_in_toolboxes(package)
    package("mmdet/__init__.py", "raise ImportError('libGL.so.1: cannot open')\n")
    first, second = python.toolboxes(subject("imagenet_linear"))
    assert (first.state, second.state) == ("error", "ok")
    assert first.what == "mmdet: ImportError: libGL.so.1: cannot open"


def test_operations_that_are_not_there_are_an_error_of_their_own(package: Package, subject: MakeSubject) -> None:
    stand_in_toolboxes(package)
    package("torchvision.py", "raise ImportError('no operator nms')\n")
    first, second = python.toolboxes(subject("imagenet_linear"))
    assert (first.state, second.state) == ("ok", "error")
    assert "no operator nms" in second.what


def test_a_toolbox_that_kills_its_process_is_an_error(package: Package, subject: MakeSubject) -> None:
    stand_in_toolboxes(package)
    package("mmseg/__init__.py", "import os\nos._exit(70)\n")
    (found,) = python.toolboxes(subject("imagenet_linear"))
    assert found.state == "error"
    assert "exit status 70" in found.what


def test_toolboxes_are_missed_only_where_the_suite_trains(
    package: Package, subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "missing_toolboxes", lambda: TOOLBOXES)
    (found,) = python.toolboxes(subject("imagenet_knn,voc07_svm"))
    assert (found.state, found.mend) == ("ok", "")
    package("mmcv/__init__.py", "raise ModuleNotFoundError('no mmcv')\n")
    first, *_ = python.toolboxes(subject("imagenet_knn,imagenet_linear"))
    assert first.state == "error"
    assert shlex.split(first.mend) == ["python", "-m", "pip", "install", "--no-deps", "-r", str(LOCK)]


def test_a_compiler_is_needed_where_numerics_compile(subject: MakeSubject, programs: Programs) -> None:
    assert python.compiler(subject()).state == "ok"
    compiles = {"numerics": {"compile": True}}
    missing = python.compiler(subject(**compiles))
    assert (missing.state, "there is no g++" in missing.what) == ("error", True)
    programs(**{"g++": "echo 'g++ (GCC) 14.2'"})
    found = python.compiler(subject(**compiles))
    assert (found.state, "g++ (GCC) 14.2" in found.what) == ("ok", True)
    programs(**{"g++": "exit 1"})
    assert python.compiler(subject(**compiles)).state == "error"
    assert python.compiler(subject()).state == "warning"


def test_the_compiler_is_the_one_of_the_environment(
    subject: MakeSubject, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(clang="echo 'clang 19'")
    monkeypatch.setenv("CXX", "clang -O2")
    assert "clang 19" in python.compiler(subject()).what


def test_a_child_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    program = "import os, sys, time; os.fork(); open(f'{sys.argv[1]}/{os.getpid()}', 'w').close(); time.sleep(60)"
    (tmp_path / "pids").mkdir()
    said = ask_python(program, 2, [str(tmp_path / "pids")])
    assert said.content is None
    assert said.problem == "did not end within 2 s"
    pids = [path.name for path in (tmp_path / "pids").iterdir()]
    assert len(pids) == 2
    wait_until("both are gone", lambda: not any(is_alive(pid) for pid in pids), 10)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_fails_is_quoted_with_its_last_line() -> None:
    assert ask_python("raise ValueError('no way')", 20).problem == "ValueError: no way"
    assert ask_python("print('noise'); print('[1]')", 20).content == [1]
