"""Checkpoints that timm makes, and its training."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.checkpoint.intake import examine
from tests.slow.real_libraries.comparing import library, randomised, read, refused, same
from tests.slow.real_libraries.training import PIXELS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("how", ["torch", "safetensors", "hub safetensors", "hub torch"])
def test_timm(tmp_path: Path, how: str) -> None:
    timm = library("timm")
    torch.manual_seed(0)
    model = randomised(timm.create_model("resnet50", pretrained=False))
    path = tmp_path / "model.safetensors"
    if how == "torch":
        path = tmp_path / "resnet50_a1_0-14fe96d1.pth"
        torch.save(model.state_dict(), path)
    elif how == "safetensors":
        save_file(model.state_dict(), path)
    else:
        safe = how == "hub safetensors"
        timm.models.save_for_hf(model, tmp_path, safe_serialization=safe)
        path = path if safe else tmp_path / "pytorch_model.bin"
    _, tensors = read(path, "torchvision", "backbone")
    same(tensors, model, lambda images: model.forward_head(model.forward_features(images), pre_logits=True))


def test_timm_training(tmp_path: Path) -> None:
    # What its train.py keeps: the model, its average, the optimizer, the arguments.
    utils = library("timm.utils")
    optim = library("timm.optim")
    torch.manual_seed(0)
    model = randomised(library("timm").create_model("resnet50", pretrained=False))
    average = utils.ModelEmaV3(randomised(copy.deepcopy(model)))
    model.conv1.weight.data.mul_(2)
    args = argparse.Namespace(model="resnet50", data_dir=tmp_path, lr=0.1, crop_pct=None, mean=(0.5, 0.5, 0.5))
    optimizer = optim.create_optimizer_v2(model, opt="lamb", lr=1e-3)
    model(torch.randn(2, 3, PIXELS, PIXELS)).sum().backward()
    optimizer.step()
    saver = utils.CheckpointSaver(
        model, optimizer, args=args, model_ema=average, checkpoint_dir=str(tmp_path), recovery_dir=str(tmp_path)
    )
    saver.save_checkpoint(epoch=0, metric=1.0)
    path = tmp_path / "model_best.pth.tar"
    _, tensors = read(path, "imagenet-training", "backbone")
    same(tensors, model, lambda images: model.forward_head(model.forward_features(images), pre_logits=True))
    _, averaged = examine(str(path), encoder="state_dict_ema")
    twin = average.module
    same(averaged, twin, lambda images: twin.forward_head(twin.forward_features(images), pre_logits=True))
    assert not torch.equal(averaged["conv1.weight"], tensors["conv1.weight"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet26", "a ResNet of 26 layers"),
        ("resnet50c", "a deep stem of three convolutions"),
        ("resnet50d", "a deep stem of three convolutions"),
        ("resnet101", "ResNet-101"),
        ("wide_resnet50_2", "a wide ResNet-50"),
        ("resnext50_32x4d", "ResNeXt"),
        ("resnetv2_50", "a ResNetV2"),
        ("seresnet50", "layer1.0.se.fc1.weight"),
        ("resnet50_gn", "running_mean"),
        ("resnet50_clip", "CLIP's ResNet"),
    ],
)
def test_other_networks_of_timm_are_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    timm = library("timm")
    torch.manual_seed(0)
    path = tmp_path / f"{name}.safetensors"
    save_file(timm.create_model(name, pretrained=False).state_dict(), path)
    refused(path, said)
