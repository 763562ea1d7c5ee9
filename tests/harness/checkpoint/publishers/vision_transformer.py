"""Refused: DINO's Vision Transformer."""

from __future__ import annotations

import argparse
import typing
from collections import OrderedDict

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import linear, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import RefusedPublisher, Tensors
from tests.harness.checkpoint.publishers.tensors import blank, state_dict


def vision_transformer(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/dino main_dino.py: a teacher without batch norms is not wrapped, the student always is.
    width = 384
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 197, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in range(12):
        for layer, (out, inputs) in layers.items():
            shapes[f"blocks.{block}.{layer}.weight"] = (out * width, inputs * width)
            shapes[f"blocks.{block}.{layer}.bias"] = (out * width,)
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{block}.{norm}.{part}": (width,) for part in ("weight", "bias")}
    network = blank(shapes)
    wrapped = {**prefixed("backbone.", network), **linear("head.mlp.0")}
    return {
        "student": state_dict(prefixed("module.", wrapped)),
        "teacher": state_dict(wrapped),
        "optimizer": optimizer("exp_avg"),
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small", patch_size=16),
        "dino_loss": OrderedDict(center=torch.zeros(1, 4)),
    }


def vision_transformer_flat(backbone: Tensors, other: Tensors) -> object:
    content = typing.cast("dict[str, dict[str, torch.Tensor]]", vision_transformer(backbone, other))
    teacher = content["teacher"]
    return {n.removeprefix("backbone."): v for n, v in teacher.items() if n.startswith("backbone.")}


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher(
        "dino-vit",
        "dino_deitsmall16_pretrain_full_checkpoint.pth",
        torch_file(vision_transformer),
        ("Vision Transformer",),
    ),
    RefusedPublisher(
        "dino-vit-backbone",
        "dino_deitsmall16_pretrain.pth",
        torch_file(vision_transformer_flat),
        ("Vision Transformer",),
    ),
)
