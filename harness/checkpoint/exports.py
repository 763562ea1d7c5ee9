"""A backbone in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.backbone import tensor_shapes, write_backbone
from results.files import write_whole

if TYPE_CHECKING:
    import torch


def write_mmpretrain(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes canonical tensors as a full checkpoint of mmselfsup or mmpretrain.

    Args:
        path: The target, written whole.
        tensors: Canonical backbone.
    """
    _save(path, {"meta": {}, "state_dict": {f"backbone.{name}": tensors[name] for name in tensor_shapes()}})


def write_torchvision(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes canonical tensors as a flat state dict. Arguments as :func:`write_mmpretrain`."""
    _save(path, {name: tensors[name] for name in tensor_shapes()})


WRITERS: Mapping[str, Callable[[Path, Mapping[str, torch.Tensor]], None]] = {
    "mmpretrain": write_mmpretrain,
    "torchvision": write_torchvision,
    "safetensors": write_backbone,
}
"""What ``--export`` can write, by name."""


def _save(path: Path, content: Mapping[str, Any]) -> None:
    import torch

    write_whole(path, lambda stream: torch.save(content, stream))
