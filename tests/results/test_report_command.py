from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    assert [Path(line).name for line in printed] == ["results.csv", "a.md", "b.md", "model_zoo.md"]
    assert all(Path(line).is_file() for line in printed)
    as_json = CliRunner().invoke(command(), ["--workspace", root, "--json", "--label", "b"])
    assert json.loads(as_json.stdout) == {"pages": [printed[0], printed[2], printed[3]]}


def test_an_empty_workspace_is_a_harness_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(command(), ["--workspace", str(tmp_path)])
    assert isinstance(result.exception, HarnessError)


def test_importing_the_command_imports_no_pandas() -> None:
    code = "import sys, harness.cli.report; print(sorted({'pandas', 'torch', 'jinja2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
