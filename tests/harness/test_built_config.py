"""``list protocols NAME --config`` prints the config that a job would build, without data and without a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.catalogue import catalogue
from harness.cli.list import app
from results.errors import HarnessError

BUILT = sorted(
    name
    for name, each in catalogue().items()
    if type(each).built_config is not type(catalogue()["imagenet_knn"]).built_config
)


def config(*words: str) -> Any:
    result = CliRunner().invoke(app, ["protocols", *words, "--config"])
    if isinstance(result.exception, HarnessError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from items(item)
    elif isinstance(value, list):
        for item in value:
            yield from items(item)


def test_all_trained_benchmarks_have_one() -> None:
    assert set(catalogue()) - set(BUILT) == {"voc07_svm", "imagenet_knn"}


@pytest.mark.parametrize("name", BUILT)
def test_the_config_of_every_trained_benchmark(name: str) -> None:
    found = config(name)
    assert {"model", "train_dataloader", "val_dataloader", "optim_wrapper", "train_cfg"} <= found.keys()
    assert not any(value for key, value in items(found) if key in ("pretrained", "load_from"))


def test_variants_and_profiles_are_followed() -> None:
    assert config("imagenet_mhead")["train_cfg"]["max_epochs"] == 90
    assert config("imagenet_mhead@vissl")["train_cfg"]["max_epochs"] == 28
    assert config("imagenet_mhead", "--profile", "smoke")["train_cfg"]["max_epochs"] == 5
    assert config("voc0712_faster_rcnn")["model"]["roi_head"]["bbox_head"]["num_classes"] == 20
    assert config("coco_mask_rcnn")["model"]["roi_head"]["mask_head"]["num_classes"] == 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no benchmark was named"),
        (["imagenet_mheads"], "there is no benchmark 'imagenet_mheads'"),
        (["voc07_svm"], "uses no toolbox"),
        (["imagenet_mhead@nobody"], "has no variant 'nobody'"),
    ],
)
def test_what_has_no_config(words: list[str], said: str) -> None:
    with pytest.raises(HarnessError, match=said) as caught:
        config(*words)
    assert caught.value.mend
