"""Checkpoints that Lightning makes, under both of its names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from harness.checkpoint.intake import examine
from tests.slow.real_libraries.comparing import library, randomised, read, same, torchvision_features
from tests.slow.real_libraries.training import VIEWS, fitted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def lightning_module(lightning: Any, hyper_parameters: Any) -> Any:
    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, config: Any, width: int = 2048) -> None:
            super().__init__()
            if isinstance(config, argparse.Namespace):
                self.save_hyperparameters()
            self.save_hyperparameters(config)
            self.encoder = torchvision.models.resnet50()
            self.encoder.fc = nn.Linear(width, 8)

        def training_step(self, batch: list[torch.Tensor], _: int) -> Any:
            loss = self.encoder(batch[0]).square().mean()
            self.log("loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-4)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=4)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    torch.manual_seed(0)
    return randomised(Module(hyper_parameters))


@pytest.mark.parametrize("config", ["Namespace", "omegaconf"])
@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_lightning(tmp_path: Path, package: str, config: str) -> None:
    lightning = library(package)
    if config == "omegaconf":
        hyper_parameters = library("omegaconf").OmegaConf.create(
            {"lr": 0.1, "rate": "${lr}", "name": "x", "steps": [1, 2], "nothing": None, "inner": {"a": True}}
        )
    else:
        hyper_parameters = argparse.Namespace(lr=0.1, data=tmp_path, betas=(0.9, 0.99), inner=argparse.Namespace(a=1))
    model = lightning_module(lightning, hyper_parameters)
    callbacks = [
        lightning.callbacks.ModelCheckpoint(tmp_path, monitor="loss", save_last=True, save_top_k=1),
        lightning.callbacks.EarlyStopping("loss"),
        lightning.callbacks.Timer(),
    ]
    fitted(lightning, model, VIEWS, tmp_path, callbacks)
    for path in (tmp_path / "last.ckpt", Path(callbacks[0].best_model_path)):
        _, tensors = read(path, "lightning", "encoder")
        same(tensors, torchvision_features(model.encoder))


@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_lightning_average(tmp_path: Path, package: str) -> None:
    # Its callback puts the average into state_dict; what was trained goes beside it.
    lightning = library(package)
    if not hasattr(lightning.callbacks, "EMAWeightAveraging"):
        pytest.skip("Lightning is older than 2.6")
    model = lightning_module(lightning, argparse.Namespace(lr=0.1))
    trained: dict[str, torch.Tensor] = {}

    class Keep(lightning.Callback):  # type: ignore[misc, name-defined]
        def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: Any) -> None:
            trained.update({name: value.clone() for name, value in module.state_dict().items()})

    callbacks = [
        Keep(),
        lightning.callbacks.EMAWeightAveraging(decay=0.5),
        lightning.callbacks.ModelCheckpoint(tmp_path, monitor="loss", save_last=True),
    ]
    # Two batches: the first average is a copy.
    fitted(lightning, model, VIEWS * 2, tmp_path, callbacks)
    # When training ends, the callback leaves the average in the module.
    _, tensors = read(tmp_path / "last.ckpt", "lightning", "encoder")
    same(tensors, torchvision_features(model.encoder))
    _, tensors = examine(str(tmp_path / "last.ckpt"), encoder="current_model_state.encoder")
    assert not torch.equal(tensors["conv1.weight"], model.encoder.conv1.weight)
    model.load_state_dict(trained)
    same(tensors, torchvision_features(model.encoder))


def test_lightning_weights_alone(tmp_path: Path) -> None:
    lightning = library("pytorch_lightning")
    model = lightning_module(lightning, argparse.Namespace(lr=0.1))
    fitted(lightning, model, VIEWS, tmp_path).save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    _, tensors = read(tmp_path / "weights.ckpt", "lightning", "encoder")
    same(tensors, torchvision_features(model.encoder))
