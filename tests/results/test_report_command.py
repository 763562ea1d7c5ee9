from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.report import report
from results.errors import HarnessError

ROOT = Path(__file__).parents[2]


def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(report)
    return app


def test_the_paths_of_the_pages_are_printed(builder: Any) -> None:
    builder.finish()
    builder.run({"a": "simclr", "b": "simclr"})
    root = str(builder.workspace.root)
    plain = CliRunner().invoke(command(), ["--workspace", root])
    assert plain.exit_code == 0
    printed = plain.stdout.splitlines()
    assert [Path(line).name for line in printed] == [
        "results.csv",
        "results.parquet",
        "a.md",
        "b.md",
        "model_zoo.md",
        "results.html",
    ]
    assert all(Path(line).is_file() for line in printed)
    as_json = CliRunner().invoke(command(), ["--workspace", root, "--json", "--label", "b"])
    assert json.loads(as_json.stdout) == {"pages": [*printed[:2], *printed[3:]]}


def test_metadata_makes_pages_metafiles_and_cards(builder: Any, tmp_path: Path) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    meta = tmp_path / "META.yaml"
    meta.write_text("algorithms: [{name: SimCLR, models: [{name: m, label: a}, {name: n, label: b}]}]")
    result = CliRunner().invoke(command(), ["--workspace", str(builder.workspace.root), "--meta", str(meta)])
    assert result.exit_code == 0
    names = [str(Path(line).relative_to(builder.workspace.pages)) for line in result.stdout.splitlines()]
    assert names[4:] == [
        "zoo/SimCLR/README.md",
        "zoo/SimCLR/metafile.yml",
        "zoo/SimCLR/metafile-mmpretrain.yml",
        "cards/m/README.md",
        "zoo/model-index.yml",
    ]
    assert "note: the metadata's n has no result here" in result.stderr


def test_formats_can_be_chosen_and_an_unknown_one_gets_the_nearest(builder: Any) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    root = str(builder.workspace.root)
    result = CliRunner().invoke(command(), ["--workspace", root, "--format", "latex, csv"])
    assert [Path(line).name for line in result.stdout.splitlines()] == ["results.csv", "results.tex"]
    wrong = CliRunner().invoke(command(), ["--workspace", root, "--format", "latx"])
    assert "did you mean 'latex'" in str(wrong.exception)


def test_a_readme_is_refreshed_or_nothing_is_written(builder: Any, tmp_path: Path) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    words = ["--workspace", str(builder.workspace.root), "--refresh", str(tmp_path / "README.md")]
    (tmp_path / "README.md").write_text("<!-- harness:begin imagenet_knn -->")
    assert isinstance(CliRunner().invoke(command(), words).exception, HarnessError)
    assert not builder.workspace.pages.exists()
    (tmp_path / "README.md").write_text("<!-- harness:begin imagenet_knn -->\n<!-- harness:end -->")
    assert CliRunner().invoke(command(), words).stdout.splitlines()[-1] == str(tmp_path / "README.md")
    assert "| a |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("content", ['{"key": ', '{"schema": 7}', "[]", '{"name": "of another program"}'])
def test_a_file_that_is_no_record_is_named_left_out_and_told_by_the_exit_status(content: str, builder: Any) -> None:
    builder.finish(seed=0)
    bad = builder.finish(seed=1)
    builder.run({"a": "simclr"})
    path = builder.workspace.job(bad.benchmark, bad.key) / "result.json"
    path.write_text(content)
    result = CliRunner().invoke(command(), ["--workspace", str(builder.workspace.root)])
    assert result.exit_code == 1
    assert f"left out: {path}: " in result.stderr
    assert "| a |" in (builder.workspace.pages / "a.md").read_text()


def test_an_empty_workspace_is_a_harness_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(command(), ["--workspace", str(tmp_path)])
    assert isinstance(result.exception, HarnessError)


def test_importing_the_command_imports_no_pandas() -> None:
    code = "import sys, harness.cli.report; print(sorted({'pandas', 'torch', 'jinja2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
