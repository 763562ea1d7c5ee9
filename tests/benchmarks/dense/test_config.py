"""The built configs hold what the protocols say, and change with every field of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.base import JobContext
from benchmarks.catalogue import find_benchmark
from benchmarks.toolbox.config import config_digest
from tests.benchmarks.dense.conftest import DENSE, Dense, build

DESCRIBED = {"ranks", "batch_size_per_rank", "norm", "optimizer", "decoder", "test_mode", "classes"}
"""Fields that describe the published run or have one possible value, and classes, which follow from the data or are
fixed."""


WORDS = {
    "11points": "area",
    "cv2": "pillow",
    "pillow": "cv2",
    "ignored": "positive",
    "positive": "ignored",
    "bgr-mean": "rgb-unit",
}
"""Another word for each that a field may have."""

CORNERS = (("xmin", "ymin"), ("xmin", "ymin", "xmax", "ymax"))
"""The two values of ``shifted_corners``."""

OTHERS = {
    "slide_stride": 400,
    "norm_weight_decay": 1e-5,
    "ious": (0.5, 0.75),
}
"""Other values of fields for which not every other one is possible."""


def full(dense: Dense, name: str, **fields: Any) -> JobContext:
    """A job of the full protocol, or of a variant, with some fields replaced."""
    base, _, variant = name.partition("@")
    return dataclasses.replace(
        dense.job(name), protocol=find_benchmark(base).protocol(variant or None, overrides=fields)
    )


def another(value: Any) -> Any:
    """A value of the same kind that is not the same."""
    if isinstance(value, bool):
        return not value
    if value in CORNERS:
        return CORNERS[1 - CORNERS.index(value)]
    if isinstance(value, tuple):
        return tuple(another(item) for item in value)
    if isinstance(value, str):
        return WORDS[value]
    return value + 1 if isinstance(value, int) else value / 2


@pytest.mark.parametrize("name", [*DENSE, "voc0712_faster_rcnn@moco", "voc0712_faster_rcnn@1x"])
def test_every_field_reaches_the_config(dense: Dense, name: str) -> None:
    published = full(dense, name)
    table, digest = published.protocol.fields, config_digest(build(published))
    for field in sorted(table.keys() - DESCRIBED):
        changes = {field: OTHERS[field] if field in OTHERS else another(table[field].value)}
        if field == "batch_size":
            changes = {"batch_size": 2 * table[field].value, "ranks": 2 * table["ranks"].value}
        assert config_digest(build(full(dense, name, **changes))) != digest, field


def test_faster_rcnn(dense: Dense) -> None:
    config = build(full(dense, "voc0712_faster_rcnn"))
    model = config["model"]
    assert model["data_preprocessor"]["mean"] == [123.675, 116.28, 103.53]
    assert model["data_preprocessor"]["bgr_to_rgb"] is True
    assert model["roi_head"]["shared_head"]["type"] == "ResLayerExtraNorm"
    for part in (model["backbone"], model["roi_head"]["shared_head"]):
        assert part["norm_cfg"] == {"type": "SyncBN", "requires_grad": True}
        assert part["style"] == "pytorch"
        assert "init_cfg" not in part
    assert model["backbone"]["frozen_stages"] == -1
    assert model["train_cfg"]["rpn"]["allowed_border"] == 0
    assert config["param_scheduler"][0]["end"] == 101
    assert config["param_scheduler"][1]["milestones"] == [18_000, 22_000]
    train = config["train_dataloader"]
    assert train["batch_size"] == 16
    assert train["batch_sampler"] == {"type": "SeededBatches", "endless": True, "by_aspect": True}
    sets = train["dataset"]["dataset"]["datasets"]
    assert [each["ann_file"] for each in sets] == [f"VOC{year}/ImageSets/Main/trainval.txt" for year in (2007, 2012)]
    assert [edge for _, edge in sets[0]["pipeline"][2]["scales"]] == list(range(480, 801, 32))
    assert config["val_evaluator"][0]["eval_mode"] == "11points"


def test_mask_rcnn(dense: Dense) -> None:
    config = build(full(dense, "coco_mask_rcnn"))
    head = config["model"]["roi_head"]
    assert head["bbox_head"]["type"] == "Shared4Conv1FCBBoxHead"
    for part in (config["model"]["neck"], head["bbox_head"], head["mask_head"], config["model"]["backbone"]):
        assert part["norm_cfg"]["type"] == "SyncBN"
    assert head["bbox_head"]["num_classes"] == head["mask_head"]["num_classes"] == 10
    assert config["param_scheduler"][0]["end"] == 1001
    assert config["train_cfg"]["max_epochs"] == 12


@pytest.mark.parametrize(("name", "aligned"), [("voc12aug_fcn", False), ("cityscapes_fcn", True)])
def test_fcn(dense: Dense, name: str, aligned: bool) -> None:
    config = build(full(dense, name))
    model = config["model"]
    assert model["backbone"]["type"] == "ResNet"
    assert "pretrained" not in model
    assert model["decode_head"]["align_corners"] is model["auxiliary_head"]["align_corners"] is aligned
    assert config["param_scheduler"][0]["eta_min"] == 1e-4
    assert config["optim_wrapper"]["optimizer"]["weight_decay"] == 5e-4
