"""A user's own folders and a doubled installation are refused with a sentence, never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.startup import DOUBLED, code_root, doubled_distributions, foreign_modules

ROOT = Path(__file__).resolve().parent.parent


def start(folder: Path, *words: str, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Python in a folder, with our code and some more on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path)))}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, text=True, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize("file", ["results/__init__.py", "benchmarks.py", "pretrain/__init__.py"])
def test_a_users_own_package_is_named_with_the_way_around_it(tmp_path: Path, file: str) -> None:
    own = tmp_path / file
    own.parent.mkdir(exist_ok=True)
    own.write_text("raise RuntimeError('imported')\n")
    refused = start(tmp_path, "-m", "harness", "--version")
    assert refused.returncode == 2
    assert str(own) in refused.stderr
    assert "python -P -m harness" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "imported" not in refused.stderr
    assert start(tmp_path, "-P", "-m", "harness", "--version").returncode == 0


def test_a_users_folder_of_results_does_no_harm(tmp_path: Path) -> None:
    """A folder without ``__init__.py`` is a package to Python only where nothing else is called so."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "table.csv").write_text("a,b\n")
    (tmp_path / "results" / "errors.py").write_text("raise RuntimeError('imported')\n")
    done = start(tmp_path, "-m", "harness", "list", "benchmarks")
    assert done.returncode == 0, done.stderr


def distribution(site: Path, name: str, version: str = "1.0", file: str = "METADATA") -> Path:
    information = site / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / file).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return site


def test_two_distributions_of_the_same_files_are_refused(tmp_path: Path) -> None:
    site = distribution(tmp_path / "site", "left-alone")
    assert start(tmp_path, "-P", "-m", "harness", "--version", path=(site,)).returncode == 0
    distribution(site, "mmdet", "3.3.0")
    refused = start(tmp_path, "-P", "-m", "harness", "--version", path=(site,))
    assert refused.returncode == 2
    assert "onedl-mmdetection and mmdet" in refused.stderr
    assert "pip uninstall -y mmdet onedl-mmdetection" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_broken_distribution_stops_nothing(tmp_path: Path) -> None:
    """As pip leaves one behind where an uninstallation was cut off."""
    site = distribution(tmp_path / "site", "left-over", file="RECORD")
    (site / "~nother-1.0.dist-info").mkdir()
    (site / "file-1.0.dist-info").write_text("")
    done = start(tmp_path, "-P", "-m", "harness", "--version", path=(site,))
    assert done.returncode == 0, done.stderr


def test_nothing_is_foreign_or_doubled_here() -> None:
    assert code_root() == ROOT
    assert foreign_modules() == []
    assert doubled_distributions() == []


def test_what_python_would_import_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "results", raising=False)
    assert foreign_modules() == [("results", str(tmp_path / "results.py"))]


def test_a_package_that_is_missing_is_foreign_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [name for name, _ in foreign_modules()] == ["results", "benchmarks", "pretrain"]


@pytest.mark.parametrize(("maintained", "other"), [(one, other) for one, others in DOUBLED.items() for other in others])
def test_every_pair_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maintained: str, other: str) -> None:
    site = distribution(tmp_path, other)
    monkeypatch.setattr(sys, "path", [str(site)])
    assert doubled_distributions() == []
    distribution(site, maintained)
    assert doubled_distributions() == [(maintained, other)]


@pytest.mark.parametrize("spelling", ["onedl_mmdetection", "Onedl-MMDetection", "onedl.mmdetection"])
def test_a_name_is_the_same_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str) -> None:
    """Names of distributions are compared as the packaging standard says: case, ``-``, ``_`` and ``.`` do not count."""
    site = distribution(distribution(tmp_path, "MMDet"), spelling)
    monkeypatch.setattr(sys, "path", [str(site)])
    assert doubled_distributions() == [("onedl-mmdetection", "mmdet")]
