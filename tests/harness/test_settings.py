from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.base import Numerics
from harness.cli import options
from harness.settings import load_settings, parse_numerics, parse_overrides, user_settings_file
from results.errors import HarnessError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness.yaml").write_text("suite: from_file\nseeds: 2\ndata: /file\n")
    monkeypatch.setenv("HARNESS_SUITE", "from_environment")
    monkeypatch.setenv("HARNESS_SEEDS", "3")
    settings = load_settings({"suite": "from_flag", "seeds": None})
    assert (settings.suite, settings.seeds, settings.data) == ("from_flag", 3, Path("/file"))


@pytest.fixture
def users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``harness.yaml`` of the user, not yet written."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "config" / "harness" / "harness.yaml"
    path.parent.mkdir(parents=True)
    return path


def test_the_projects_file_wins_over_the_users(tmp_path: Path, users_file: Path) -> None:
    users_file.write_text("suite: of_user\nseeds: 2\nnumerics: {precision: bf16, compile: true}\n")
    (tmp_path / "harness.yaml").write_text("suite: of_project\nnumerics: {compile: false}\n")
    settings = load_settings({})
    assert (settings.suite, settings.seeds) == ("of_project", 2)
    assert (settings.numerics.precision, settings.numerics.compile) == ("bf16", False)


@pytest.mark.parametrize("named", ["", "relative/config"])
def test_without_an_absolute_xdg_folder_the_users_file_lies_in_dot_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_settings_file() == tmp_path / ".config/harness/harness.yaml"


def test_a_user_without_a_home_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")

    def nowhere() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert user_settings_file() is None
    assert load_settings({}).seeds == 1


@pytest.mark.parametrize(
    ("of_user", "of_project", "guilty"),
    [
        ("seeds: many\n", "suite: all\n", "config/harness/harness.yaml"),
        ("suite: all\n", "seeds: many\n", "harness.yaml"),
        ("seeds: 2\n", "seeds: many\n", "harness.yaml"),
        ("numerics: {precision: bf99}\n", "numerics: {compile: true}\n", "config/harness/harness.yaml"),
        ("suit: all\n", "seeds: 2\n", "config/harness/harness.yaml"),
        ("[1, 2\n", "seeds: 2\n", "config/harness/harness.yaml"),
        ("seeds: 2\n", "just text\n", "harness.yaml"),
    ],
)
def test_a_refusal_names_the_file_that_the_value_came_from(
    tmp_path: Path, users_file: Path, of_user: str, of_project: str, guilty: str
) -> None:
    users_file.write_text(of_user)
    (tmp_path / "harness.yaml").write_text(of_project)
    with pytest.raises(HarnessError) as refused:
        load_settings({})
    assert refused.value.where == str(tmp_path / guilty)


def test_numerics_come_from_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "harness.yaml").write_text("numerics:\n  precision: bf16\n")
    assert load_settings({}).numerics.numerics(folds=True).precision == "bf16"


@pytest.mark.parametrize(
    ("flags", "file", "said"),
    [
        ({"profile": "smok"}, "", "'profile' cannot be 'smok'.*--profile.*'full' or 'smoke'"),
        ({"seeds": 0}, "", "'seeds' cannot be 0.*--seeds"),
        ({}, "suit: all\n", "no setting 'suit'.*harness.yaml.*did you mean 'suite'"),
        ({}, "seeds: many\n", "'seeds' cannot be 'many'.*harness.yaml"),
        ({}, "[1, 2\n", "cannot read the settings.*harness.yaml"),
        ({}, "just text\n", "cannot read the settings.*harness.yaml"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, flags: dict[str, object], file: str, said: str
) -> None:
    if file:
        (tmp_path / "harness.yaml").write_text(file)
    with pytest.raises(HarnessError, match=f"(?s){said}"):
        load_settings(flags)


def test_a_bad_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "always")
    with pytest.raises(HarnessError, match="HARNESS_CACHE"):
        load_settings({})


def test_a_misspelt_environment_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SUITES", "all")
    with pytest.raises(HarnessError, match=r"HARNESS_SUITES.*(?s:.)*did you mean 'HARNESS_SUITE'"):
        load_settings({})


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CKPT", '["a.pth", "b.pth"]')
    assert load_settings({}).ckpt == ("a.pth", "b.pth")
    monkeypatch.setenv("HARNESS_CKPT", "a.pth")
    with pytest.raises(HarnessError, match=r"environment variable HARNESS_CKPT(?s:.)*JSON"):
        load_settings({})


def test_verbs_that_only_look_follow_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness.yaml").write_text("workspace: /file/work\ndata: /file/data\n")
    assert options.workspace_of(None).root == Path("/file/work")
    assert options.workspace_of(Path("flag")).root == Path("flag")
    monkeypatch.setenv("HARNESS_DATA", "/environment/data")
    assert options.data_root_of(None) == Path("/environment/data")


def test_numerics_are_read() -> None:
    assert parse_numerics(None) is None
    assert parse_numerics("precision=amp, channels_last=True,compile=false,folded=true") == {
        "precision": "amp",
        "channels_last": True,
        "compile": False,
        "folded": True,
    }


def test_batch_norms_are_folded_only_where_features_are_extracted() -> None:
    numerics = load_settings({"numerics": {"folded": True, "channels_last": True}}).numerics
    assert numerics.numerics(folds=True) == Numerics(channels_last=True, folded=True)
    assert numerics.numerics(folds=False) == Numerics(channels_last=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("precission=bf16", "did you mean 'precision'"),
        ("precision=bf32", "did you mean 'bf16'|did you mean 'fp32'"),
        ("channels_last=yes", "channels_last=true"),
        ("compile", "compile=true"),
    ],
)
def test_bad_numerics_are_refused(text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        parse_numerics(text)


def test_overrides_are_json_or_text() -> None:
    texts = ("a.rate=1e-3", "a.costs=[1, 10]", "b.solver=liblinear", "b.on=true", "b.text=a=b")
    assert parse_overrides(texts) == {
        "a": {"rate": 1e-3, "costs": [1, 10]},
        "b": {"solver": "liblinear", "on": True, "text": "a=b"},
    }


@pytest.mark.parametrize("text", ["", "a", "a.b", "a=1", ".b=1", "a.=1"])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match=r"BENCHMARK\.field=value"):
        parse_overrides((text,))
