"""The wheel: what is in it, and that it works from another folder without this checkout."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness import __version__
from harness.toolboxes import TOOLBOXES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "benchmarks", "results", "pretrain")
BUILD = (
    "import sys; from setuptools import build_meta; target = sys.argv[1]; "  # setuptools changes sys.argv
    "build_meta.build_sdist(target); print(build_meta.build_wheel(target))"
)
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
    for name in (
        "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "requirements.lock", "CHANGELOG.md", "CITATION.cff",
        "CONTRIBUTING.md",
    ):  # fmt: skip
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


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is installed here but OpenMMLab's toolboxes, and nothing of this checkout."""
    target = tmp_path_factory.mktemp("dependencies")
    for name in ("purelib", "platlib"):
        for path in Path(sysconfig.get_path(name)).iterdir():
            ours = path.name.startswith(("onedl_", "transfer_harness", "__editable__")) or path.suffix == ".pth"
            if not ours and path.name not in TOOLBOXES and not (target / path.name).exists():
                (target / path.name).symlink_to(path)
    return target


def alone(installed: Path, dependencies: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb in an environment in which the wheel was installed and nothing else: no toolbox, no checkout."""
    # The interpreter that the environment was made of does not see the environment.
    return start(installed, folder, "-m", "harness", *words, python=sys._base_executable, also=(dependencies,))


def start(
    installed: Path, folder: Path, *words: str, python: str = sys.executable, also: tuple[Path, ...] = ()
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    return subprocess.run(
        [python, "-P", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, (installed, *also)))},
        text=True,
        capture_output=True,
        timeout=240,
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


def test_openmmlab_is_no_dependency_and_the_lock_that_installs_it_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"transfer_harness-{__version__}.dist-info/METADATA").decode()
        lock = archive.read("harness/requirements.lock").decode()
    assert "Requires-Dist: torch" in metadata
    assert "Requires-Dist: onedl" not in metadata
    assert lock == (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert lock.count("\nonedl-") == 5


def test_the_source_distribution_holds_what_a_wheel_is_made_of(wheel: Path) -> None:
    (source,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        lock = archive.extractfile(f"transfer_harness-{__version__}/harness/requirements.lock")
        assert lock is not None
        assert lock.read() == (ROOT / "requirements.lock").read_bytes()
    assert {"pyproject.toml", "requirements.lock", "LICENSE", "CITATION.cff", "harness/cli/main.py"} <= names


def test_twine_accepts_both_distributions(wheel: Path) -> None:
    pytest.importorskip("twine")
    files = [str(path) for path in wheel.parent.iterdir()]
    assert len(files) == 2
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


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


SMALL = ("--profile", "smoke", "--data", "sample", "--ckpt", "random:0")


@pytest.fixture(scope="module")
def place(installed: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample in it, made by the wheel alone; of its ImageNet 16 images a split are listed."""
    folder = tmp_path_factory.mktemp("place")
    done = alone(installed, dependencies, folder, "data", "sample", "--data", "sample")
    assert done.returncode == 0, done.stderr
    for split in ("train", "val"):
        meta = folder / "sample" / "imagenet" / "meta" / f"{split}.txt"
        meta.write_text("".join(meta.read_text(encoding="utf-8").splitlines(keepends=True)[:16]), encoding="utf-8")
    return folder


def test_the_toolboxes_are_away(installed: Path, dependencies: Path, place: Path) -> None:
    program = "from harness.toolboxes import missing_toolboxes; print(*missing_toolboxes())"
    done = start(installed, place, "-c", program, python=sys._base_executable, also=(dependencies,))
    assert tuple(done.stdout.split()) == TOOLBOXES, done.stderr


def test_the_wheel_alone_measures_by_nearest_neighbours_and_shows_it(
    installed: Path, dependencies: Path, place: Path
) -> None:
    suite = ("--suite", "imagenet_knn")
    for words in (
        ("run", *suite, *SMALL, "--executor", "debug"),
        ("inspect", "--ckpt", "random:0"),
        ("plan", *suite, *SMALL),
        ("list", "protocols", "coco_mask_rcnn", "--full"),
        ("status",),
        ("report",),
        ("compare", "random:0", "--published"),
    ):
        done = alone(installed, dependencies, place, *words)
        assert done.returncode == 0, (words, done.stderr)
    found = json.loads(alone(installed, dependencies, place, "doctor", *suite, *SMALL[:4], "--json").stdout)
    assert {each["state"] for each in found["findings"] if each["name"] == "toolboxes"} == {"ok"}


@pytest.mark.slow
def test_the_wheel_alone_measures_by_svm(installed: Path, dependencies: Path, place: Path) -> None:
    done = alone(installed, dependencies, place, "run", "--suite", "voc07_svm", *SMALL, "--executor", "debug")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [("run", "--suite", "imagenet_knn,coco_mask_rcnn", *SMALL), ("pretrain", *SMALL[:4])],
    ids=lambda words: words[0],
)
def test_what_trains_is_refused_with_the_command_before_anything_starts(
    installed: Path, dependencies: Path, place: Path, words: tuple[str, ...]
) -> None:
    refused = alone(installed, dependencies, place, *words, "--workspace", f"refused {words[0]}")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    command = shlex.split(refused.stderr.partition("mend:")[2].partition(" installs")[0])
    assert command[:-1] == ["python", "-m", "pip", "install", "--no-deps", "-r"]
    assert "onedl-mmcv==" in Path(command[-1]).read_text(encoding="utf-8")
    assert Path(command[-1]).is_relative_to(installed)
    for folder in ("jobs", "runs", "pretrain"):
        assert not (place / f"refused {words[0]}" / folder).exists()


def test_a_plan_of_what_cannot_be_run_says_so(installed: Path, dependencies: Path, place: Path) -> None:
    done = alone(installed, dependencies, place, "plan", "--suite", "imagenet_knn,imagenet_linear", *SMALL, "--json")
    (note,) = [note for note in json.loads(done.stdout)["notes"] if "toolboxes" in note]
    assert "imagenet_linear cannot be run: python -m pip install" in note
