from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from benchmarks.backbone import read_backbone
from benchmarks.base import JobContext
from benchmarks.input_convention import CONVENTIONS, input_convention
from benchmarks.proof import TOLERANCES
from benchmarks.toolbox import runner as toolbox
from benchmarks.toolbox.frozen import evaluation_pixels, frozen_config
from benchmarks.toolbox.runner import Training
from results.errors import HarnessError

NOTHING: Callable[..., None] = lambda *_: None  # noqa: E731


@pytest.fixture
def context(tiny: Any) -> Any:
    tiny.write_images(train=3, val=1)
    return tiny.job()


def config_of(context: JobContext) -> dict[str, Any]:
    return frozen_config(context, "imagenet")


def train(context: JobContext, config: dict[str, Any] | None = None, frozen: bool = True) -> Training:
    return toolbox.train(config or config_of(context), context, evaluation_pixels(context.protocol), frozen=frozen)


def test_a_sound_job_passes_every_proof_and_leaves_nothing_behind(context: JobContext) -> None:
    managers = (MMLogger, MessageHub, DefaultScope)
    before = [set(manager._instance_dict) for manager in managers]
    threads = torch.get_num_threads()
    training = train(dataclasses.replace(context, threads=2))
    assert [epoch for epoch, _ in training.evaluations] == [1]
    assert training.resumed_from == 0
    assert [set(manager._instance_dict) for manager in managers] == before
    assert torch.get_num_threads() == threads
    assert "Epoch(train)" in (context.attempt / "toolbox" / "train.log").read_text()


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
def test_every_convention_passes(context: JobContext, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Jobs allow more, for GPUs; in float32 on a CPU only the order of sums differs.
    monkeypatch.setitem(TOLERANCES, "fp32", 1e-5)
    changed = dataclasses.replace(context, input=input_convention(name))
    with toolbox.session(config_of(changed), changed, changed.digest) as built:
        tensors = read_backbone(changed.backbone, changed.digest)
        toolbox.load_backbone(built, tensors)
        toolbox.prove_pipeline(built, tensors, changed, evaluation_pixels(changed.protocol))


def spoil_a_weight(runner: Any, tensors: Any) -> None:
    changed = dict(tensors)
    changed["layer3.0.conv2.weight"] = changed["layer3.0.conv2.weight"] * (1 + 1e-6)
    REAL_LOAD(runner, changed)


REAL_LOAD = toolbox.load_backbone


def test_wrong_weights_are_refused(context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolbox, "load_backbone", spoil_a_weight)
    with pytest.raises(HarnessError, match="before training"):
        train(context)


def test_wrong_weights_are_seen_by_the_first_proof_alone(context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolbox, "load_backbone", spoil_a_weight)
    monkeypatch.setattr(toolbox, "prove_loaded", NOTHING)
    with pytest.raises(HarnessError, match="after training"):
        train(context)


def wrong_resize(config: dict[str, Any]) -> None:
    config["val_dataloader"]["dataset"]["dataset"]["pipeline"][1]["scale"] = 38


def wrong_backend(config: dict[str, Any]) -> None:
    config["val_dataloader"]["dataset"]["dataset"]["pipeline"][1]["backend"] = "cv2"


def wrong_channels(config: dict[str, Any]) -> None:
    config["data_preprocessor"]["to_rgb"] = False


@pytest.mark.parametrize("spoil", [wrong_resize, wrong_backend, wrong_channels])
def test_a_wrong_test_pipeline_is_refused(context: JobContext, spoil: Callable[[dict[str, Any]], None]) -> None:
    config = config_of(context)
    spoil(config)
    with pytest.raises(HarnessError, match="does not reproduce"):
        train(context, config)


def test_a_wrong_pipeline_is_seen_by_the_second_proof_alone(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolbox, "prove_pipeline", NOTHING)
    config = config_of(context)
    wrong_channels(config)
    assert train(context, config).evaluations


def unfrozen(config: dict[str, Any]) -> None:
    config["model"]["backbone"]["frozen_stages"] = 3


def batch_norm_in_training(config: dict[str, Any]) -> None:
    # Frozen weights whose BatchNorm still moves its running statistics.
    config["model"]["backbone"].update(frozen_stages=-1, norm_eval=False)
    config["optim_wrapper"]["optimizer"].update(lr=0.0, weight_decay=0.0)


@pytest.mark.parametrize("spoil", [unfrozen, batch_norm_in_training])
def test_a_backbone_that_moved_is_refused_after_training(
    context: JobContext, spoil: Callable[[dict[str, Any]], None]
) -> None:
    config = config_of(context)
    spoil(config)
    with pytest.raises(HarnessError, match="after training"):
        train(context, config)


def test_a_backbone_that_moved_is_seen_by_the_third_proof_alone(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolbox, "prove_frozen", NOTHING)
    config = config_of(context)
    unfrozen(config)
    assert train(context, config).evaluations


def test_a_backbone_may_move_where_it_is_not_frozen(context: JobContext) -> None:
    config = config_of(context)
    unfrozen(config)
    assert train(context, config, frozen=False).evaluations


@pytest.mark.parametrize(
    ("split", "content", "workers"), [("train", b"", 0), ("val", None, 0), ("train", b"\xff\xd8\xff\xe0", 2)]
)
def test_an_unreadable_image_is_named(context: JobContext, split: str, content: bytes | None, workers: int) -> None:
    path = context.data_root / "imagenet" / split / "n00000001" / "0.JPEG"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    config = config_of(context)
    for loader in ("train_dataloader", "val_dataloader"):
        config[loader].update(num_workers=workers, persistent_workers=workers > 0)
    with pytest.raises(HarnessError, match="cannot be read") as caught:
        train(context, config)
    assert caught.value.where == str(path)


def test_labels_beyond_the_planned_classes_are_refused(context: JobContext) -> None:
    listing = context.data_root / "imagenet" / "meta" / "train.txt"
    listing.write_text(listing.read_text() + "n00000000/0.JPEG 3\n")
    with pytest.raises(HarnessError, match="label 3"):
        train(context)


def test_a_config_cannot_make_the_runner_load_a_checkpoint(context: JobContext, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    torch.save({"state_dict": {}}, weights)
    with toolbox.session(config_of(context), context, context.digest) as built:
        with pytest.raises(RuntimeError, match="only checkpoints of earlier attempts"):
            built.load_checkpoint(str(weights))
        built._load_from, built._resume = str(weights), True
        built.load_or_resume()
        assert not built._has_loaded
