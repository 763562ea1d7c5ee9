"""Checkpoints that Hugging Face's transformers makes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.slow.real_libraries.comparing import library, randomised, read, refused, same

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def saved_by_transformers(model: Any, folder: Path, safe: bool) -> Path:
    if safe:
        model.save_pretrained(folder)
        return folder / "model.safetensors"
    if "safe_serialization" in inspect.signature(model.save_pretrained).parameters:
        model.save_pretrained(folder, safe_serialization=False)
    else:
        # Version 5 writes safetensors only; it still reads the torch files of earlier ones.
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("kind", ["ResNetModel", "ResNetForImageClassification", "ResNetBackbone"])
def test_transformers(tmp_path: Path, kind: str, safe: bool) -> None:
    transformers = library("transformers")
    torch.manual_seed(0)
    model = randomised(getattr(transformers, kind)(transformers.ResNetConfig()))
    path = saved_by_transformers(model, tmp_path, safe)
    _, tensors = read(path, "hugging-face", "backbone")
    network = getattr(model, "resnet", model)
    if kind == "ResNetBackbone":
        same(tensors, network, lambda images: network(images).feature_maps[-1].mean((2, 3)))
    else:
        same(tensors, network, lambda images: network(images).pooler_output)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"downsample_in_bottleneck": True}, "1x1"),
        ({"depths": [3, 4, 23, 3]}, "ResNet-101"),
        ({"depths": [2, 2, 2, 2], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}, "ResNet-18"),
    ],
)
def test_other_networks_of_transformers_are_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    transformers = library("transformers")
    torch.manual_seed(0)
    model = randomised(transformers.ResNetModel(transformers.ResNetConfig(**config)))
    refused(saved_by_transformers(model, tmp_path, True), said)
