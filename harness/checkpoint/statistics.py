"""How far weights are from a fresh initialisation: what ``inspect`` shows, and how an untrained network is noticed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.backbone import tensor_shapes

if TYPE_CHECKING:
    import torch

GROUPS = ("stem", "layer1", "layer2", "layer3", "layer4")
LIKE_FRESH = 0.05
"""Relative difference of a standard deviation that chance explains: 4.5 sigma for the 4,096 weights of the smallest."""

UNTOUCHED = (
    "batch norm statistics are untouched in {count} of {total} layers (mean 0, variance 1): the network was not "
    "trained, or its statistics were not saved"
)
FRESH = "all {total} convolutions have the spread of a fresh initialisation: the network looks untrained"


@dataclasses.dataclass(frozen=True)
class GroupStatistics:
    """Averages over the layers of the stem or of one stage.

    Args:
        spread: Standard deviation of the convolutions, over that of He initialisation, sqrt(2 / fan-out)
            (He et al. 2015, arXiv:1502.01852; torchvision ``models/resnet.py``). 1 where nothing was trained.
        gain: Weight of the batch norms; 1 at the start.
        shift: Absolute bias of the batch norms; 0 at the start.
        mean: Absolute running mean; 0 at the start.
        variance: Running variance; 1 at the start.
    """

    spread: float
    gain: float
    shift: float
    mean: float
    variance: float


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What the weights say of their training.

    Args:
        groups: By name: ``stem``, ``layer1`` to ``layer4``.
        warnings: One sentence each, where the network looks untrained.
    """

    groups: Mapping[str, GroupStatistics]
    warnings: tuple[str, ...]


def statistics(tensors: Mapping[str, torch.Tensor]) -> Statistics:
    """Compares weights with a fresh initialisation.

    Args:
        tensors: Canonical backbone, float32.
    """
    values: dict[str, dict[str, list[float]]] = {}
    fresh = untouched = 0
    shapes = tensor_shapes()
    norms = [name.removesuffix(".running_mean") for name in shapes if name.endswith(".running_mean")]
    convolutions = [name for name, shape in shapes.items() if len(shape) == 4]
    for name in convolutions:
        out, _, height, width = shapes[name]
        spread = float(tensors[name].std()) / math.sqrt(2 / (out * height * width))
        fresh += abs(spread - 1) < LIKE_FRESH
        values.setdefault(_group(name), {}).setdefault("spread", []).append(spread)
    for norm in norms:
        weight, bias, mean, variance = (
            tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        untouched += not bool(mean.any()) and bool((variance == 1).all())
        group = values.setdefault(_group(norm), {})
        group.setdefault("gain", []).append(float(weight.mean()))
        group.setdefault("shift", []).append(float(bias.abs().mean()))
        group.setdefault("mean", []).append(float(mean.abs().mean()))
        group.setdefault("variance", []).append(float(variance.mean()))
    warnings = []
    if untouched:
        warnings.append(UNTOUCHED.format(count=untouched, total=len(norms)))
    if fresh == len(convolutions):
        warnings.append(FRESH.format(total=len(convolutions)))
    groups = {
        name: GroupStatistics(**{kind: sum(each) / len(each) for kind, each in values[name].items()})
        for name in GROUPS
        if name in values
    }
    return Statistics(groups, tuple(warnings))


def _group(name: str) -> str:
    first = name.partition(".")[0]
    return first if first.startswith("layer") else "stem"
