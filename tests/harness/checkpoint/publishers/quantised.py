"""Refused: torchvision's quantised ResNet-50."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path

import torch

from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import RefusedPublisher, Tensors


def quantised(backbone: Tensors, other: Tensors) -> object:
    # pytorch/vision torchvision/models/quantization/resnet.py: the batch norms are folded into the convolutions.
    found: OrderedDict[str, torch.Tensor] = OrderedDict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in backbone.items():
            if value.ndim == 4:
                module = name.removesuffix(".weight")
                found[name] = torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)
                found[f"{module}.bias"] = torch.zeros(len(value))
                found[f"{module}.scale"] = torch.tensor(0.1)
                found[f"{module}.zero_point"] = torch.tensor(0)
    return found


def quantised_file(path: Path, backbone: Tensors, other: Tensors) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch_file(quantised)(path, backbone, other)


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("quantised", "resnet50_fbgemm-bf931d71.pth", quantised_file, ("quantised",)),
)
