"""Refused: ResNet-50 with another stem, and what goes with it (pooled shortcuts, CLIP's attention pooling)."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import batch_norm, classifier, linear
from tests.harness.checkpoint.publishers.lightning import lightning_file
from tests.harness.checkpoint.publishers.openmmlab import mmengine_file
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import RefusedPublisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, renamed, state_dict


def without_stem(backbone: Tensors) -> dict[str, torch.Tensor]:
    return {name: value for name, value in backbone.items() if name.startswith("layer")}


def deep_stem(convolutions: tuple[str, ...], norms: tuple[str, ...]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    before = 3
    for convolution, norm, channels in zip(convolutions, norms, (32, 32, 64), strict=True):
        found[f"{convolution}.weight"] = torch.zeros(channels, before, 3, 3)
        found |= batch_norm(norm, channels)
        before = channels
    return found


def pooled_shortcut(backbone: Tensors) -> dict[str, torch.Tensor]:
    """Shortcuts that pool before they project: convolution and batch norm move up by one."""
    move = {"downsample.0": "downsample.1", "downsample.1": "downsample.2"}
    return renamed(lambda n: re.sub(r"downsample\.[01]", lambda found: move[found[0]], n), backbone)


def mmcls_v1c(backbone: Tensors, other: Tensors) -> object:
    # mmpretrain/models/backbones/resnet.py: the deep stem is made of ConvModules.
    numbers = ("0", "1", "2")
    stem = deep_stem(tuple(f"stem.{n}.conv" for n in numbers), tuple(f"stem.{n}.bn" for n in numbers))
    return mmengine_file({**prefixed("backbone.", {**stem, **counted(without_stem(backbone))}), **linear("head.fc")})


def mmcls_v1d(backbone: Tensors, other: Tensors) -> object:
    # Shortcuts pool where they stride: from layer2 on.
    plain = {name: value for name, value in backbone.items() if name.startswith("layer1.")}
    strided = {name: value for name, value in without_stem(backbone).items() if name not in plain}
    return mmcls_v1c(plain | pooled_shortcut(strided), other)


def mmseg_v1c(backbone: Tensors, other: Tensors) -> object:
    # mmseg/models/backbones/resnet.py, mmdet/models/backbones/resnet.py: layers, counted with their ReLUs.
    stem = deep_stem(tuple(f"stem.{n}" for n in (0, 3, 6)), tuple(f"stem.{n}" for n in (1, 4, 7)))
    head = {"decode_head.conv_seg.weight": torch.zeros(19, 8, 1, 1)}
    return mmengine_file({**prefixed("backbone.", {**stem, **counted(without_stem(backbone))}), **head})


def timm_resnet50d(path: Path, backbone: Tensors, other: Tensors) -> None:
    # huggingface/pytorch-image-models timm/models/resnet.py: the third batch norm of the stem is bn1.
    stem = deep_stem(("conv1.0", "conv1.3", "conv1.6"), ("conv1.1", "conv1.4", "bn1"))
    named = {**stem, **counted(pooled_shortcut(without_stem(backbone))), **classifier()}
    save_file(named, path, metadata={"format": "pt"})


def solo_learn_cifar(backbone: Tensors, other: Tensors) -> object:
    # vturrisi/solo-learn solo/methods/base.py replaces conv1 and takes the pooling away.
    weights = {**backbone, "conv1.weight": torch.zeros(64, 3, 3, 3)}
    return lightning_file({**prefixed("backbone.", counted(weights)), **linear("classifier", 10, 2048)})


def clip(backbone: Tensors, other: Tensors) -> object:
    # openai/CLIP clip/model.py, ModifiedResNet; the pooling of a shortcut is called -1 and has no tensors.
    stem = deep_stem(("conv1", "conv2", "conv3"), ("bn1", "bn2", "bn3"))
    attention = {"attnpool.positional_embedding": torch.zeros(50, 2048)}
    for name in ("k_proj", "q_proj", "v_proj", "c_proj"):
        attention |= linear(f"attnpool.{name}", 1024 if name == "c_proj" else 2048, 2048)
    text = {
        "positional_embedding": torch.zeros(77, 512),
        "text_projection": torch.zeros(512, 1024),
        "logit_scale": torch.tensor(4.6),
        "token_embedding.weight": torch.zeros(16, 512),
        "transformer.resblocks.0.attn.in_proj_weight": torch.zeros(1536, 512),
        "ln_final.weight": torch.zeros(512),
    }
    visual = {**stem, **counted(without_stem(backbone)), **attention}
    return state_dict({n: v.half() for n, v in {**prefixed("visual.", visual), **text}.items()})


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("mmcls-v1c", "resnetv1c50_8xb32_in1k.pth", torch_file(mmcls_v1c), ("deep stem",)),
    RefusedPublisher("mmcls-v1d", "resnetv1d50_b32x8_imagenet.pth", torch_file(mmcls_v1d), ("deep stem",)),
    RefusedPublisher("mmseg-v1c", "fcn_r50-d8.pth", torch_file(mmseg_v1c), ("deep stem",)),
    RefusedPublisher("timm-resnet50d", "model.safetensors", timm_resnet50d, ("deep stem",)),
    RefusedPublisher("solo-learn-cifar", "simclr-cifar10-ep=999.ckpt", torch_file(solo_learn_cifar), ("3x3 stem",)),
    RefusedPublisher("clip", "RN50.pt", torch_file(clip), ("CLIP",)),
)
