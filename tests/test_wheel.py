"""The wheel: what is in it, and that it works from another folder without this checkout."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness import __version__

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "benchmarks", "results", "pretrain")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
OLDEST_SETUPTOOLS = 77
"""As in ``pyproject.toml``: older ones do not know its form of the licence."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy, with folders beside the packages that must not get in."""
    try:
        present = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        present = "0"
    if int(present.partition(".")[0]) < OLDEST_SETUPTOOLS:
        pytest.skip(f"needs setuptools {OLDEST_SETUPTOOLS} or newer in this environment, not {present}")
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in ("tests", "data/sample", "work_dirs/jobs", "docs"):
        folder = source / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "mine.json").write_text("{}")
    target = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-P", "-c", BUILD, str(target)],
        cwd=source,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked into a folder of its own, which is all that installing a wheel without scripts and compiled code is."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def start(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(installed)},
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_every_module_and_template_is_in_it(names: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files <= names
    assert any(name.startswith("results/pages/templates/") for name in names)


def test_nothing_else_is_in_it(names: set[str]) -> None:
    folders = {name.partition("/")[0] for name in names}
    assert folders == {*PACKAGES, f"transfer_harness-{__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".tmp"))]


def test_it_says_who_it_is(wheel: Path, names: set[str]) -> None:
    information = f"transfer_harness-{__version__}.dist-info"
    assert f"{information}/licenses/LICENSE" in names
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{information}/METADATA").decode()
        scripts = archive.read(f"{information}/entry_points.txt").decode()
    assert f"Version: {__version__}" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "harness = harness.__main__:main" in scripts


def test_it_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    version = start(installed, tmp_path, "-m", "harness", "--version")
    assert (version.returncode, version.stdout.strip()) == (0, f"harness {__version__}"), version.stderr
    listed = start(installed, tmp_path, "-m", "harness", "list", "benchmarks")
    assert listed.returncode == 0, listed.stderr
    assert "voc07_svm" in listed.stdout


def test_everything_comes_from_it_and_nothing_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from harness.cli.main import app\n"
        "from benchmarks.catalogue import catalogue\n"
        "import harness.plan, harness.schedule.local, results.pages.render\n"
        "catalogue()\n"
        "print(json.dumps({name: module.__file__ for name, module in sys.modules.items()\n"
        "    if name.partition('.')[0] in sys.argv[1:] and getattr(module, '__file__', None)}))\n"
    )
    done = start(installed, tmp_path, "-c", program, *PACKAGES)
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)
    assert len(files) > 30
    assert {name: file for name, file in files.items() if not Path(file).is_relative_to(installed)} == {}


def test_its_templates_are_found(installed: Path, tmp_path: Path) -> None:
    program = "from results.pages import markdown; print(markdown._environment().get_template('page.md.j2').filename)"
    done = start(installed, tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed)
