"""Checkpoints that torchvision makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from tests.slow.real_libraries.comparing import randomised, read, refused, same, torchvision_features

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def torchvision_resnet() -> Any:
    torch.manual_seed(0)
    return randomised(torchvision.models.resnet50())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", ["plain", "DataParallel", "compile"])
def test_torchvision(tmp_path: Path, wrap: str, zipped: bool) -> None:
    model = torchvision_resnet()
    wrappers: Mapping[str, Any] = {"plain": lambda m: m, "DataParallel": nn.DataParallel, "compile": torch.compile}
    wrapped = wrappers[wrap](model)
    path = tmp_path / "resnet50-0676ba61.pth"
    torch.save(wrapped.state_dict(), path, _use_new_zipfile_serialization=zipped)
    _, tensors = read(path, "torchvision", "backbone")
    same(tensors, torchvision_features(model))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", "ResNet-18"),
        ("resnet34", "ResNet-34"),
        ("resnet101", "ResNet-101"),
        ("wide_resnet50_2", "a wide ResNet-50"),
        ("resnext50_32x4d", "ResNeXt"),
    ],
)
def test_other_networks_of_torchvision_are_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    torch.manual_seed(0)
    path = tmp_path / f"{name}.pth"
    torch.save(randomised(torchvision.models.get_model(name, weights=None)).state_dict(), path)
    refused(path, said, "not a plain ResNet-50")


def test_torchvision_ready_for_quantisation(tmp_path: Path) -> None:
    # Its blocks have FloatFunctional and stubs of quantisation, none of which holds a tensor.
    torch.manual_seed(0)
    model = randomised(torchvision.models.quantization.resnet50(weights=None, quantize=False))
    path = tmp_path / "resnet50_float.pth"
    torch.save(model.state_dict(), path)
    _, tensors = read(path, "torchvision", "backbone")
    same(tensors, torchvision_features(model))


def test_torchvision_quantised_is_refused(tmp_path: Path) -> None:
    try:
        model = torchvision.models.quantization.resnet50(weights=None, quantize=True)
    except (RuntimeError, ImportError, AttributeError) as error:
        pytest.skip(f"torch does not quantise here: {error}")
    path = tmp_path / "resnet50_fbgemm.pth"
    torch.save(model.state_dict(), path)
    refused(path, "a quantised network")


def test_a_pickled_module_is_refused_with_its_class(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    torch.save(torchvision_resnet(), path)
    refused(path, "torchvision.models.resnet.ResNet", "nothing was run")
