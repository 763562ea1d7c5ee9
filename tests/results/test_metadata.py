from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.main import app
from results.entries import Label
from results.errors import HarnessError
from results.metadata import Metadata, match, read_metadata
from results.record import BackboneStamp

SMALL: dict[str, Any] = {
    "algorithms": [
        {
            "name": "SimCLR",
            "paper": {"title": "T", "url": "https://example.org/a"},
            "models": [
                {"name": "m1", "label": "a", "epochs": 200},
                {"name": "m2", "label": "b", "downstream": {"imagenet_linear": {"config": "configs/x.py"}}},
            ],
        }
    ]
}


def read(raw: Any, tmp_path: Path) -> Metadata:
    path = tmp_path / "META.yaml"
    path.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw, sort_keys=False))
    return read_metadata(path)


def changed(place: str, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(SMALL)
    target: Any = raw
    *parents, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
    for part in parents:
        target = target[part]
    target[last] = value
    return raw


def labels(*names: str, **sha256: str) -> list[Label]:
    stamp = BackboneStamp("d" * 64, "x.pth", "mmselfsup", "backbone", "rgb-mean-std")
    return [Label(name, stamp, sha256.get(name, "")) for name in names]


def test_a_small_file_is_read(tmp_path: Path) -> None:
    (algorithm,) = read(SMALL, tmp_path).algorithms
    assert [model.name for model in algorithm.models] == ["m1", "m2"]
    assert algorithm.models[1].downstream["imagenet_linear"].shown() == (("config", "configs/x.py"),)


@pytest.mark.parametrize(
    ("place", "value", "field", "line"),
    [
        ("algorithms.0.models.0.epochs", "many", r"algorithms\[0\] \(SimCLR\)\.models\[0\] \(m1\)\.epochs", 9),
        ("algorithms.0.models.0.epochs", 0, r"epochs.*greater than 0", 9),
        ("algorithms.0.models.0.epochs", True, "epochs", 9),
        ("algorithms.0.models.0.label", None, r"models\[0\] \(m1\).*give label", 7),
        ("algorithms.0.models.1.label", "a", "label a stands here twice", 1),
        ("algorithms.0.models.1.name", "m1", "model m1 stands here twice", 1),
        ("algorithms.0.models.0.sha256", "15f807a4", "sha256", 10),
        ("algorithms.0.paper.url", "javascript:alert(1)", "not with javascript:", 5),
        ("algorithms.0.paper.url", "/home/me/paper.pdf", "not an absolute path", 5),
        ("algorithms.0.paper.url", "https://a b", "no spaces", 5),
        ("algorithms.0.paper.url", "https://a'onload='x", "no spaces, quotes", 5),
        ("algorithms.0.models", [], "models", 6),
        ("algorithms", [], "algorithms", 1),
        ("algorithms.0.name", "", "name", 2),
    ],
)
def test_a_wrong_field_is_named_with_its_line(place: str, value: Any, field: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=field) as caught:
        read(changed(place, value), tmp_path)
    assert caught.value.where == f"{tmp_path / 'META.yaml'}, line {line}"
    assert caught.value.mend


@pytest.mark.parametrize(
    ("place", "near"),
    [
        ("algoritms", "algorithms"),
        ("algorithms.0.pper", "paper"),
        ("algorithms.0.paper.titel", "title"),
        ("algorithms.0.models.0.batchsize", "batch_size"),
        ("algorithms.0.models.1.downstream.imagenet_linear.confg", "config"),
    ],
)
def test_an_unknown_field_gets_the_nearest(place: str, near: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        read(changed(place, "x"), tmp_path)
    assert caught.value.mend.startswith(f"did you mean '{near}'?")


@pytest.mark.parametrize(
    "text",
    [
        "algorithms: [",
        "",
        "- 1",
        "3",
        "algorithms: !!python/object/apply:os.system [echo]",
        "algorithms: []\nalgorithms: []",
        "a: " + "[" * 2000,
        "x" * 2**21,
        "\x00",
    ],
)
def test_a_file_that_is_no_metadata_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="metadata"):
        read(text, tmp_path)


def test_a_missing_file_and_a_binary_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="No such file"):
        read_metadata(tmp_path / "nowhere.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HarnessError, match="cannot read the metadata"):
        read_metadata(tmp_path / "binary")


def test_a_model_belongs_to_its_label_else_to_the_file_of_its_hash(tmp_path: Path) -> None:
    raw = changed("algorithms.0.models.1.label", "renamed")
    raw["algorithms"][0]["models"][1]["sha256"] = "2" * 64
    found = match(read(raw, tmp_path), labels("a", "c", c="2" * 64))
    assert found.labels == {"m1": "a", "m2": "c"}
    assert found.notes == ()


def test_a_label_counts_more_than_a_hash(tmp_path: Path) -> None:
    raw = changed("algorithms.0.models.0.sha256", "2" * 64)
    assert match(read(raw, tmp_path), labels("a", "b", b="2" * 64)).labels == {"m1": "a", "m2": "b"}


def test_a_model_without_results_is_noted_with_the_nearest_label(tmp_path: Path) -> None:
    found = match(read(changed("algorithms.0.models.0.label", "simcrl"), tmp_path), labels("simclr", "b"))
    assert found.labels == {"m2": "b"}
    (note,) = found.notes
    assert "m1 has no result here; did you mean 'simclr'?" in note


def test_two_models_of_one_label_are_refused(tmp_path: Path) -> None:
    raw = changed("algorithms.0.models.1.label", "unknown")
    raw["algorithms"][0]["models"][1]["sha256"] = "2" * 64
    with pytest.raises(HarnessError, match="belong to 'a'"):
        match(read(raw, tmp_path), labels("a", a="2" * 64))


def test_init_writes_an_example_that_is_valid_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "META.yaml"
    assert CliRunner().invoke(app, ["init", "--meta", str(path)]).exit_code == 0
    (algorithm,) = read_metadata(path).algorithms
    assert (algorithm.name, algorithm.models[0].label) == ("SimCLR", "simclr")
    # Its comments show every field that there is.
    for name in (*type(algorithm).model_fields, *type(algorithm.models[0]).model_fields):
        assert name in ("flops", "parameters") or f"{name}:" in path.read_text(), name
    path.write_text("mine")
    assert isinstance(CliRunner().invoke(app, ["init", "--meta", str(path)]).exception, HarnessError)
    assert path.read_text() == "mine"
