"""Checkpoints that mmpretrain's runner makes from its shipped configurations."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tests.slow.real_libraries.comparing import Features, randomised, read, same
from tests.slow.real_libraries.training import VIEWS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MM_MODELS: Mapping[str, tuple[str, str | None]] = {
    "mocov2_resnet50_8xb32-coslr-200e_in1k": ("momentum", "encoder_k"),
    "byol_resnet50_16xb256-coslr-200e_in1k": ("target", "target_net"),
    "mocov3_resnet50_8xb512-amp-coslr-100e_in1k": ("momentum", "momentum_encoder"),
    "simclr_resnet50_16xb256-coslr-200e_in1k": ("", None),
    "simsiam_resnet50_8xb32-coslr-100e_in1k": ("", None),
    "barlowtwins_resnet50_8xb256-coslr-300e_in1k": ("", None),
    "densecl_resnet50_8xb32-coslr-200e_in1k": ("momentum", "encoder_k"),
}
"""Its shipped configurations: name of the second encoder, and the model's attribute that holds it."""


def mm_model(name: str) -> Any:
    try:
        import mmpretrain.models  # noqa: F401
    except TypeError as error:
        # Its tests run in the harness's own environment.
        pytest.skip(f"mmpretrain does not go with transformers 5, only without transformers: {error}")
    from mmengine.model import revert_sync_batchnorm
    from mmpretrain import get_model

    torch.manual_seed(0)
    model: Any = revert_sync_batchnorm(get_model(name, pretrained=False))
    # Once only: the runner does not do it again.
    model.init_weights()
    return randomised(model)


def mm_trained(name: str, folder: Path, hooks: list[Any], epochs: int = 1) -> Any:
    """A runner that has trained, for one iteration an epoch, and has saved."""
    model = mm_model(name)
    from mmengine.dataset import default_collate
    from mmengine.runner import Runner
    from mmpretrain.structures import DataSample

    views: Any = [{"inputs": [255 * view for view in each], "data_samples": DataSample()} for each in VIEWS]
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=DataLoader(views, batch_size=2, collate_fn=default_collate),
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "LARS", "lr": 0.1, "momentum": 0.9}},
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 2},
            {"type": "CosineAnnealingLR", "T_max": 2, "by_epoch": True},
        ],
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        custom_hooks=hooks,
        default_scope="mmpretrain",
        experiment_name=uuid.uuid4().hex,
        log_level="WARNING",
    )
    runner.train()
    return runner


def mm_features(backbone: Any) -> Features:
    return lambda images: backbone(images)[-1].mean((2, 3))


@pytest.mark.parametrize("name", MM_MODELS)
def test_mmpretrain(tmp_path: Path, name: str) -> None:
    runner = mm_trained(name, tmp_path, [])
    second, attribute = MM_MODELS[name]
    facts, tensors = read(tmp_path / "epoch_1.pth", "mmpretrain", "backbone")
    same(tensors, runner.model.backbone, mm_features(runner.model.backbone))
    assert facts.encoders == ("backbone", *([second] if attribute else []))
    if attribute:
        _, tensors = read(tmp_path / "epoch_1.pth", "mmpretrain", second, second)
        copy_of_backbone = getattr(runner.model, attribute).module[0]
        same(tensors, copy_of_backbone, mm_features(copy_of_backbone))


def test_mmpretrain_average(tmp_path: Path) -> None:
    # Its hook swaps before it saves: state_dict holds the average.
    hook: dict[str, Any] = {"type": "EMAHook", "momentum": 0.25}
    runner = mm_trained(
        "simclr_resnet50_16xb256-coslr-200e_in1k", tmp_path, [hook], epochs=2
    )  # The first average is a copy.
    (average,) = (hook.ema_model.module for hook in runner.hooks if type(hook).__name__ == "EMAHook")
    assert not torch.equal(average.backbone.conv1.weight, runner.model.backbone.conv1.weight)
    facts, tensors = read(tmp_path / "epoch_2.pth", "mmpretrain", "backbone")
    same(tensors, average.backbone, mm_features(average.backbone))
    assert facts.encoders == ("backbone", "unaveraged")
    _, tensors = read(tmp_path / "epoch_2.pth", "mmpretrain", "unaveraged", "unaveraged")
    same(tensors, runner.model.backbone, mm_features(runner.model.backbone))


def test_mmengine_weights_alone(tmp_path: Path) -> None:
    model = mm_model("resnet50_8xb32_in1k")
    from mmengine.runner import save_checkpoint, weights_to_cpu

    path = tmp_path / "resnet50_8xb32_in1k_20210831-ea4938fc.pth"
    save_checkpoint({"meta": {"epoch": 1}, "state_dict": weights_to_cpu(model.state_dict())}, str(path))
    _, tensors = read(path, "mmpretrain", "backbone")
    same(tensors, model.backbone, mm_features(model.backbone))
