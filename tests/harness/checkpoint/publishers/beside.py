"""What lies in a file beside the backbone: layers of heads, optimizers, the scalers of mixed precision."""

from __future__ import annotations

from collections import OrderedDict

import torch


def linear(name: str, out: int = 4, inputs: int = 8, bias: bool = True) -> dict[str, torch.Tensor]:
    weight = {f"{name}.weight": torch.ones(out, inputs)}
    return weight | ({f"{name}.bias": torch.ones(out)} if bias else {})


def batch_norm(name: str, channels: int = 4, affine: bool = True) -> dict[str, torch.Tensor]:
    scale = {f"{name}.weight": torch.ones(channels), f"{name}.bias": torch.zeros(channels)} if affine else {}
    statistics = {f"{name}.running_mean": torch.zeros(channels), f"{name}.running_var": torch.ones(channels)}
    return scale | statistics | {f"{name}.num_batches_tracked": torch.tensor(7)}


def classifier(name: str = "fc", classes: int = 10) -> dict[str, torch.Tensor]:
    return linear(name, classes, 2048)


def optimizer(buffer: str = "momentum_buffer", lr: object = 0.03, **group: object) -> dict[str, object]:
    return {
        "state": {0: {buffer: torch.ones(3)}, 1: {buffer: torch.ones(2, 2)}},
        "param_groups": [{"lr": lr, "momentum": 0.9, "weight_decay": 1e-4, **group, "params": [0, 1]}],
    }


SCALER = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 9}
APEX = OrderedDict(loss_scaler0={"loss_scale": 65536.0, "unskipped": 12})
