from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.datasets.layout import DATA_SETS
from harness.cli.data import app, data_sets_of
from results.errors import HarnessError


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_suites() -> None:
    assert data_sets_of("all") == list(DATA_SETS)
    assert data_sets_of("coco, imagenet,coco") == ["coco", "imagenet"]
    assert data_sets_of("imagenet_knn,voc07_svm,imagenet_mhead") == ["imagenet", "voc07_classification"]
    assert set(data_sets_of("classification")) >= {"imagenet", "voc07_classification"}
    with pytest.raises(HarnessError, match="did you mean 'cityscapes'"):
        data_sets_of("cityscape")


def test_other_counts_need_the_flag(root: Path) -> None:
    refused = invoke("check", "--data", root, "--suite", "imagenet")
    assert refused.exit_code == 2
    assert "ImageNet-1k has 10 classes, not 1,000." in refused.output
    assert "--allow-nonstandard-data" in refused.output
    accepted = invoke("check", "--data", root, "--suite", "imagenet", "--allow-nonstandard-data")
    assert accepted.exit_code == 0
    assert "mend" not in accepted.output


def test_a_broken_image_is_named_whatever_flag(root: Path) -> None:
    path = root / "coco/val2017/000000000007.jpg"
    path.write_bytes(path.read_bytes()[:100])
    found = invoke("check", "--data", root, "--allow-nonstandard-data")
    assert found.exit_code == 2
    assert "coco: broken: coco/val2017/000000000007.jpg: cannot be decoded" in found.output
    assert "1 broken" in found.output
    assert invoke("check", "--data", root, "--allow-nonstandard-data", "--no-decode").exit_code == 0


def test_missing_data_names_the_command_that_mends_it(tmp_path: Path) -> None:
    place = tmp_path / "data"
    found = invoke("check", "--data", place)
    assert found.exit_code == 2
    assert "imagenet: missing: imagenet/meta/train.txt" in found.output
    assert f"python -m harness data sample --data {place}\n" in found.output


def test_json(root: Path) -> None:
    (root / "imagenet/meta/val.txt").unlink()
    found = invoke("check", "--data", root, "--suite", "imagenet,coco", "--allow-nonstandard-data", "--json")
    assert found.exit_code == 2
    content = json.loads(found.stdout)
    assert content["ok"] is False
    assert [one["sound"] for one in content["data_sets"]] == [False, True]
    assert content["data_sets"][0]["missing"] == ["imagenet/meta/val.txt"]


def test_control_characters_in_names_do_not_reach_the_terminal(root: Path) -> None:
    with (root / "imagenet/meta/val.txt").open("a") as stream:
        stream.write("\x1b[2Jx.JPEG 0\n")
    found = invoke("check", "--data", root, "--suite", "imagenet")
    assert "\x1b" not in found.output
    assert r"\x1b[2Jx.JPEG" in found.output


def test_sample_is_the_default_tree_and_refuses_other_data(sample: Path, tmp_path: Path) -> None:
    assert invoke("sample", "--data", sample).exit_code == 0
    (tmp_path / "mine").touch()
    refused = invoke("sample", "--data", tmp_path)
    assert isinstance(refused.exception, HarnessError)
