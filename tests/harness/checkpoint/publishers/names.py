"""Every library's names for the tensors of a ResNet-50, each from torchvision's name."""

from __future__ import annotations

import re
import typing


class Place(typing.NamedTuple):
    """Where a tensor stands: stage 0 is the stem; module is conv1 to conv3, bn1 to bn3, downsample.0 or .1."""

    stage: int
    block: int
    module: str
    part: str


def place(name: str) -> Place:
    found = re.fullmatch(r"(?:layer([1-4])\.(\d+)\.)?((?:conv|bn|downsample\.)\d)\.(\w+)", name)
    assert found, name
    return Place(int(found[1] or 0), int(found[2] or 0), found[3], found[4])


def sequential_name(name: str) -> str:
    """nn.Sequential(*list(resnet50().children())[:-1]): 0 conv1, 1 bn1, 2 ReLU, 3 pool, 4 to 7 the stages, 8 pool."""
    head, rest = name.split(".", 1)
    index = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}[head]
    return f"{index}.{rest}"


def hugging_face_name(name: str) -> str:
    """Hugging Face's names: huggingface/transformers src/transformers/models/resnet/modeling_resnet.py."""
    stage, block, module, part = place(name)
    if module.startswith("downsample"):
        kind, inside = ("normalization" if module.endswith("1") else "convolution"), "shortcut"
    else:
        kind, inside = ("normalization" if "bn" in module else "convolution"), f"layer.{int(module[-1]) - 1}"
    if stage == 0:
        return f"embedder.embedder.{kind}.{part}"
    return f"encoder.stages.{stage - 1}.layers.{block}.{inside}.{kind}.{part}"


def pycls_name(name: str) -> str:
    """PyCls' names: facebookresearch/pycls pycls/models/resnet.py and, the same, pycls/models/anynet.py."""
    stage, block, module, part = place(name)
    if stage == 0:
        return f"stem.{'bn' if module == 'bn1' else 'conv'}.{part}"
    if module.startswith("downsample"):
        return f"s{stage}.b{block + 1}.{'bn' if module.endswith('1') else 'proj'}.{part}"
    letter = "abc"[int(module[-1]) - 1]
    return f"s{stage}.b{block + 1}.f.{letter}{'_bn' if 'bn' in module else ''}.{part}"


def detectron2_name(name: str) -> str:
    """Detectron2's names: facebookresearch/detectron2 tools/convert-torchvision-to-d2.py."""
    stage, block, module, part = place(name)
    prefix = "stem" if stage == 0 else f"res{stage + 1}.{block}"
    if module.startswith("downsample"):
        return f"{prefix}.shortcut.{'norm.' if module.endswith('1') else ''}{part}"
    return f"{prefix}.conv{module[-1]}.{'norm.' if 'bn' in module else ''}{part}"


def simclr_v2_name(name: str) -> str:
    """Names of SimCLR v2 in torch: Separius/SimCLRv2-Pytorch resnet.py; BatchNormRelu is a Sequential, hence the .0."""
    stage, block, module, part = place(name)
    if stage == 0:
        return f"net.0.{'1.0' if module == 'bn1' else '0'}.{part}"
    prefix = f"net.{stage}.blocks.{block}"
    if module.startswith("downsample"):
        return f"{prefix}.projection.{'bn.0' if module.endswith('1') else 'shortcut'}.{part}"
    index = 2 * (int(module[-1]) - 1)
    return f"{prefix}.net.{f'{index + 1}.0' if 'bn' in module else index}.{part}"


def haiku_module(name: str, root: str = "res_net50") -> str:
    """Haiku's module names: google-deepmind/deepmind-research byol/utils/networks.py, dm-haiku _src/nets/resnet.py."""
    stage, block, module, _ = place(name)
    batch_norm = "bn" in module or module == "downsample.1"
    if stage == 0:
        return f"{root}/~/initial_{'batchnorm' if batch_norm else 'conv'}"
    prefix = f"{root}/~/block_group_{stage - 1}/~/block_{block}/~"
    if module.startswith("downsample"):
        return f"{prefix}/shortcut_{'batchnorm' if batch_norm else 'conv'}"
    return f"{prefix}/{'batchnorm' if batch_norm else 'conv'}_{int(module[-1]) - 1}"


def msra_name(name: str) -> str | None:
    """Caffe2's blobs: facebookresearch/detectron2 detectron2/checkpoint/c2_model_loading.py. No running statistics."""
    stage, block, module, part = place(name)
    batch_norm = "bn" in module or module == "downsample.1"
    if batch_norm and part not in ("weight", "bias"):
        return None
    suffix = ("_bn_s" if part == "weight" else "_bn_b") if batch_norm else "_w"
    if stage == 0:
        return f"{'res_conv1' if batch_norm else 'conv1'}{suffix}"
    branch = "branch1" if module.startswith("downsample") else f"branch2{'abc'[int(module[-1]) - 1]}"
    return f"res{stage + 1}_{block}_{branch}{suffix}"
