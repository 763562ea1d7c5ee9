"""The tensors of a backbone as publishers keep them: renamed, counted, reordered, with other strides, as arrays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch

from tests.harness.checkpoint.publishers.names import place
from tests.harness.checkpoint.publishers.publisher import Array, Tensors

Shapes = Mapping[str, tuple[int, ...]]


def renamed(rename: Callable[[str], str], tensors: Tensors) -> dict[str, torch.Tensor]:
    return {rename(name): value for name, value in tensors.items()}


def counted(tensors: Tensors, steps: int = 7) -> OrderedDict[str, torch.Tensor]:
    """With the counter that every batch norm of torch has had since 0.4.1, after its running variance."""
    found: OrderedDict[str, torch.Tensor] = OrderedDict()
    for name, value in tensors.items():
        found[name] = value
        if name.endswith("running_var"):
            found[name.removesuffix("running_var") + "num_batches_tracked"] = torch.tensor(steps)
    return found


def state_dict(tensors: Tensors) -> OrderedDict[str, torch.Tensor]:
    """As nn.Module.state_dict() gives it: the versions of the modules are an attribute, and pickled with it."""
    found = OrderedDict(tensors)
    modules = dict.fromkeys(["", *(name.rpartition(".")[0] for name in tensors)])
    found._metadata = OrderedDict((name, {"version": 1}) for name in modules)  # type: ignore[attr-defined]
    return found


def downsample_first(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Blocks that register their shortcut before everything else."""

    def order(name: str) -> tuple[int, int, bool]:
        found = place(name)
        return (found.stage, found.block, not found.module.startswith("downsample"))

    return {name: tensors[name] for name in sorted(tensors, key=order)}


def hwio_strides(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Convolutions that were permuted from TensorFlow's layout and never made contiguous; torch.save keeps strides."""
    return {
        name: value.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1) if value.ndim == 4 else value
        for name, value in tensors.items()
    }


def bgr(backbone: Tensors) -> dict[str, torch.Tensor]:
    return {name: value.flip(1) if name == "conv1.weight" else value for name, value in backbone.items()}


def arrays(tensors: Tensors) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in tensors.items()}


def blank(shapes: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Zeros of these shapes that share one storage, which torch.save writes once: the file stays small."""
    storage = torch.zeros(max(int(np.prod(shape)) for shape in shapes.values()), dtype=dtype)
    return {name: storage[: int(np.prod(shape))].view(shape) for name, shape in shapes.items()}
