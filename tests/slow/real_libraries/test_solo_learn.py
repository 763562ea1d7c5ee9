"""Checkpoints that solo-learn makes, of today's and of 2021's version."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.slow.real_libraries.comparing import library, randomised, read, same
from tests.slow.real_libraries.training import VIEWS, fitted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SOLO_BATCHES = [(index, views, index) for index, views in enumerate(VIEWS)]
"""As its loaders give them: index, views, class."""

SIMSIAM = {"proj_hidden_dim": 64, "proj_output_dim": 32, "pred_hidden_dim": 64}
SIMCLR = {"proj_hidden_dim": 64, "proj_output_dim": 32, "temperature": 0.2}
LARS = {"clip_lr": True, "eta": 0.02, "exclude_bias_n_norm": True}
SOLO_METHODS: Mapping[str, tuple[str, dict[str, Any], str, bool]] = {
    "simclr": ("SimCLR", SIMCLR, "lars", False),
    # The learning rate of its predictor stands still, which puts a function into the state of its schedule.
    "simsiam": ("SimSiam", SIMSIAM, "sgd", False),
    "mocov2plus": ("MoCoV2Plus", {**SIMCLR, "queue_size": 64}, "sgd", True),
    "byol": ("BYOL", SIMSIAM, "lars", True),
}
"""Class, arguments, optimizer as in its scripts/pretrain, and whether there is a momentum network."""


def solo_config(method: str) -> Any:
    _, arguments, optimizer, momentum = SOLO_METHODS[method]
    config = {
        "name": "test",
        "method": method,
        "backbone": {"name": "resnet50"},
        "method_kwargs": arguments,
        "data": {"dataset": "imagenet", "num_large_crops": 2, "num_small_crops": 0, "num_classes": 10},
        "optimizer": {
            "name": optimizer, "batch_size": 2, "lr": 0.01, "classifier_lr": 0.1, "weight_decay": 1e-4,
            "kwargs": LARS if optimizer == "lars" else {"momentum": 0.9},
        },
        "scheduler": {"name": "warmup_cosine", "warmup_epochs": 0.5},
        "max_epochs": 1,
    }  # fmt: skip
    if momentum:
        config["momentum"] = {"base_tau": 0.99, "final_tau": 1.0, "classifier": True}
    made = library("omegaconf").OmegaConf.create(config)
    made.set_struct = False
    return made


@pytest.mark.parametrize("method", SOLO_METHODS)
def test_solo_learn(tmp_path: Path, method: str) -> None:
    methods = library("solo.methods")
    if "cfg" not in inspect.signature(methods.BaseMethod).parameters:
        pytest.skip("solo-learn is older than 1.0.5")
    config = solo_config(method)
    torch.manual_seed(0)
    model = randomised(getattr(methods, SOLO_METHODS[method][0])(config))
    checkpointer = library("solo.utils.checkpointer").Checkpointer(config, logdir=tmp_path)
    fitted(library("lightning.pytorch"), model, SOLO_BATCHES, tmp_path, [checkpointer])
    (path,) = tmp_path.glob("*/*.ckpt")
    solo_read(path, model, "backbone", "momentum_backbone", method)


@pytest.mark.parametrize("method", SOLO_METHODS)
def test_old_solo_learn(tmp_path: Path, method: str) -> None:
    methods = library("solo.methods")
    if "cfg" in inspect.signature(methods.BaseMethod).parameters:
        pytest.skip("solo-learn is newer than 1.0.2")
    kind, arguments, optimizer, momentum = SOLO_METHODS[method]
    if momentum:
        arguments = {**arguments, "base_tau_momentum": 0.99, "final_tau_momentum": 1.0, "momentum_classifier": True}
    torch.manual_seed(0)
    model: Any = getattr(methods, kind)(
        encoder="resnet50", num_classes=10, backbone_args={}, max_epochs=2, batch_size=2, optimizer="sgd",
        lars=optimizer == "lars", lr=0.01, weight_decay=1e-4, classifier_lr=0.1, exclude_bias_n_norm=True,
        accumulate_grad_batches=1, extra_optimizer_args={"momentum": 0.9}, scheduler="warmup_cosine", min_lr=0.0,
        warmup_start_lr=0.003, warmup_epochs=1, num_large_crops=2, num_small_crops=0, **arguments,
    )  # fmt: skip
    if momentum:
        # Its Lightning still gave the number of the loader.
        model.on_train_batch_end = functools.partial(model.on_train_batch_end, dataloader_idx=0)
    randomised(model)
    path = tmp_path / f"{method}-imagenet-ep=0.ckpt"
    fitted(library("pytorch_lightning"), model, SOLO_BATCHES, tmp_path).save_checkpoint(path)
    solo_read(path, model, "encoder", "momentum_encoder", method)


def solo_read(path: Path, model: Any, backbone: str, momentum: str, method: str) -> None:
    facts, tensors = read(path, "solo-learn", "backbone")
    same(tensors, getattr(model, backbone))
    assert facts.encoders == (("backbone", "momentum") if SOLO_METHODS[method][3] else ("backbone",))
    if SOLO_METHODS[method][3]:
        _, tensors = read(path, "solo-learn", "momentum", "momentum")
        same(tensors, getattr(model, momentum))
