from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from harness.cli.init import init
from harness.schedule.slurm.settings import SlurmSettings
from harness.settings import NumericsSettings, Settings, load_settings
from harness.settings_file import EXAMPLES, meanings, settings_text, write_settings_file
from results.errors import HarnessError
from tests.harness.programs import put_on_path


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # A machine without SLURM, whatever this one has.
    put_on_path(monkeypatch, tmp_path / "bin", {})
    return tmp_path


def names_of(model: type[pydantic.BaseModel]) -> set[str]:
    return set(model.model_fields)


def test_the_file_loads_to_the_defaults_and_names_every_setting(tmp_path: Path) -> None:
    defaults = load_settings({})
    init()
    assert load_settings({}) == defaults
    content = yaml.safe_load((tmp_path / "harness.yaml").read_text())
    assert set(content) == names_of(Settings)
    assert set(content["slurm"]) == names_of(SlurmSettings)
    assert set(content["numerics"]) == names_of(NumericsSettings)


def test_a_changed_value_is_read_back(tmp_path: Path) -> None:
    init()
    path = tmp_path / "harness.yaml"
    path.write_text(path.read_text().replace("  partition: null", "  partition: gpu").replace("seeds: 1", "seeds: 3"))
    settings = load_settings({})
    assert (settings.seeds, settings.slurm.partition) == (3, "gpu")


@pytest.mark.parametrize("model", [Settings, NumericsSettings, SlurmSettings])
def test_every_setting_has_its_meaning_in_the_docstring(model: type[pydantic.BaseModel]) -> None:
    assert [name for name, meaning in meanings(model).items() if not meaning] == []


def test_choices_and_limits_are_those_of_the_types() -> None:
    lines = settings_text().splitlines()
    assert lines[lines.index("profile: full") - 1] == "# One of: full, smoke"
    assert lines[lines.index("ranks: 1") - 1] == "# Valid: at least 1, at most 1024"
    assert lines[lines.index("  memory_per_gpu: 32") - 1] == "  # Valid: more than 0, at most 8192"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_value_that_loads(tmp_path: Path, name: str) -> None:
    assert f"# Example: {name.rpartition('.')[2]}: {EXAMPLES[name]}" in settings_text()
    value: Any = yaml.safe_load(EXAMPLES[name])
    outer, dot, inner = name.partition(".")
    (tmp_path / "harness.yaml").write_text(yaml.safe_dump({outer: {inner: value} if dot else value}))
    default = getattr(SlurmSettings(), inner) if dot else Settings.model_fields[outer].default
    found = getattr(load_settings({}), outer)
    assert (getattr(found, inner) if dot else found) != default


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "harness.yaml"
    path.write_text("seeds: 7\n")
    with pytest.raises(HarnessError, match=r"there is a harness\.yaml already") as refused:
        init()
    assert "--force" in refused.value.mend
    assert path.read_text() == "seeds: 7\n"
    init(force=True)
    assert load_settings({}).seeds == 1


def test_a_link_that_leads_nowhere_is_kept_too(tmp_path: Path) -> None:
    (tmp_path / "harness.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(HarnessError, match="already"):
        init()
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError) as refused:
        write_settings_file(tmp_path / "file", force=True)
    assert "folder that you can write" in refused.value.mend


SINFO = """
echo 'gpu*|2-00:00:00|64|512000|gpu:a100:8(S:0-1)'
echo 'gpu*|2-00:00:00|64|512000|gpu:a100:8(S:0-1)'
echo 'cpu|infinite|128|256000|(null)'
"""


def test_partitions_of_the_cluster_stand_as_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = dict.fromkeys(("sbatch", "squeue", "scancel", "scontrol"), "")
    put_on_path(monkeypatch, tmp_path / "bin", {**programs, "sinfo": SINFO})
    init()
    text = (tmp_path / "harness.yaml").read_text()
    assert "  # gpu (default): at most 2880 min, 2 nodes of up to 8 GPUs, 64 CPUs, 500 GiB\n" in text
    assert "  # cpu: no time limit, 1 nodes of up to 0 GPUs, 128 CPUs, 250 GiB\n  partition: null\n" in text
    assert load_settings({}).slurm.partition is None


def test_a_cluster_that_does_not_answer_hinders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = dict.fromkeys(("sbatch", "squeue", "scancel", "scontrol"), "")
    put_on_path(monkeypatch, tmp_path / "bin", {**programs, "sinfo": "echo no controller >&2; exit 1"})
    init()
    assert "partitions are not listed: sinfo failed: no controller" in capsys.readouterr().out
    assert load_settings({}) is not None
