"""Refused: ResNets of other depths, widths, groups and kernels."""

from __future__ import annotations

import typing

import torch

from tests.harness.checkpoint.publishers.beside import linear
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Build, RefusedPublisher, Tensors
from tests.harness.checkpoint.publishers.tensors import blank, counted, state_dict


def batch_norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def resnet_shapes(
    blocks: tuple[int, ...], *, bottleneck: bool = True, base: int = 64, groups: int = 1, per_group: int = 64
) -> dict[str, tuple[int, ...]]:
    """Any ResNet of torchvision's, without its classifier; `base`: channels of the stem."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (base, 3, 7, 7), **batch_norm_shapes("bn1", base)}
    before = base
    for stage, count in enumerate(blocks):
        planes = base * 2**stage
        width = planes * per_group // 64 * groups
        out = 4 * planes if bottleneck else planes
        for block in range(count):
            prefix = f"layer{stage + 1}.{block}"
            kernels: list[tuple[int, ...]] = [(planes, before, 3, 3), (planes, planes, 3, 3)]
            if bottleneck:
                kernels = [(width, before, 1, 1), (width, width // groups, 3, 3), (out, width, 1, 1)]
            for number, kernel in enumerate(kernels, start=1):
                shapes[f"{prefix}.conv{number}.weight"] = kernel
                shapes |= batch_norm_shapes(f"{prefix}.bn{number}", kernel[0])
            if before != out:
                shapes[f"{prefix}.downsample.0.weight"] = (out, before, 1, 1)
                shapes |= batch_norm_shapes(f"{prefix}.downsample.1", out)
            before = out
    return shapes


def other_resnet(blocks: tuple[int, ...], dtype: torch.dtype = torch.float32, **kind: typing.Any) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        shapes = resnet_shapes(blocks, **kind)
        last = list(shapes.values())[-1][0]
        fc = {"fc.weight": (10, last), "fc.bias": (10,)}
        return state_dict(counted(blank({**shapes, **fc}, dtype)))

    return build


def simclr_v2_sk1(backbone: Tensors, other: Tensors) -> object:
    # Separius/SimCLRv2-Pytorch resnet.py with sk_ratio 0.0625
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for index, channels in zip((0, 2, 4), (32, 32, 64), strict=True):
        shapes[f"net.0.{index}.weight"] = (channels, before, 3, 3)
        shapes |= batch_norm_shapes(f"net.0.{index + 1}.0", channels)
        before = channels
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        width = 32 * 2**stage
        for block in range(count):
            prefix = f"net.{stage}.blocks.{block}"
            if block == 0:
                shapes[f"{prefix}.projection.shortcut.2.weight"] = (4 * width, before, 1, 1)
                shapes |= batch_norm_shapes(f"{prefix}.projection.bn.0", 4 * width)
            middle = max(width // 16, 32)
            shapes[f"{prefix}.net.0.weight"] = (width, before, 1, 1)
            shapes |= batch_norm_shapes(f"{prefix}.net.1.0", width)
            shapes[f"{prefix}.net.2.main_conv.0.weight"] = (2 * width, width, 3, 3)
            shapes |= batch_norm_shapes(f"{prefix}.net.2.main_conv.1.0", 2 * width)
            shapes[f"{prefix}.net.2.mixing_conv.0.weight"] = (middle, width, 1, 1)
            shapes |= batch_norm_shapes(f"{prefix}.net.2.mixing_conv.1.0", middle)
            shapes[f"{prefix}.net.2.mixing_conv.2.weight"] = (2 * width, middle, 1, 1)
            shapes[f"{prefix}.net.3.weight"] = (4 * width, width, 1, 1)
            shapes |= batch_norm_shapes(f"{prefix}.net.4.0", 4 * width)
            before = 4 * width
    shapes |= {"fc.weight": (10, 2048), "fc.bias": (10,)}
    return {"resnet": state_dict(counted(blank(shapes), 0)), "head": state_dict(linear("layers.0", bias=False))}


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("simclr-v2-sk1", "r50_1x_sk1.pth", torch_file(simclr_v2_sk1), ("selective kernel",)),
    RefusedPublisher(
        "resnet18",
        "resnet18-f37072fd.pth",
        torch_file(other_resnet((2, 2, 2, 2), bottleneck=False)),
        ("ResNet-18",),
    ),
    RefusedPublisher(
        "resnet34",
        "resnet34-b627a593.pth",
        torch_file(other_resnet((3, 4, 6, 3), bottleneck=False)),
        ("ResNet-34",),
    ),
    RefusedPublisher("resnet101", "resnet101-63fe2227.pth", torch_file(other_resnet((3, 4, 23, 3))), ("ResNet-101",)),
    # "wid" is what "width" and "wide" share.
    RefusedPublisher(
        "wide-resnet50-2",
        "wide_resnet50_2-95faca4d.pth",
        torch_file(other_resnet((3, 4, 6, 3), torch.float16, per_group=128)),
        ("wid",),
    ),
    RefusedPublisher(
        "resnet50w2",
        "swav_RN50w2_400ep_pretrain.pth.tar",
        torch_file(other_resnet((3, 4, 6, 3), torch.float16, base=128)),
        ("wid",),
    ),
    RefusedPublisher(
        "resnext50",
        "resnext50_32x4d-7cdf4587.pth",
        torch_file(other_resnet((3, 4, 6, 3), groups=32, per_group=4)),
        ("ResNeXt",),
    ),
)
