"""Files of SimCLR: both versions converted from TensorFlow, and one trained in torch."""

from __future__ import annotations

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import batch_norm, classifier, linear, optimizer
from tests.harness.checkpoint.publishers.names import simclr_v2_name
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, downsample_first, hwio_strides, renamed, state_dict


def simclr_v1(backbone: Tensors, other: Tensors) -> object:
    # tonylins/simclr-converter convert.py and resnet_wider.py; README: trained without normalisation.
    return {"state_dict": state_dict({**counted(hwio_strides(downsample_first(backbone)), 0), **classifier()})}


def simclr_v2(backbone: Tensors, other: Tensors) -> object:
    # Separius/SimCLRv2-Pytorch convert.py; verify.py feeds ToTensor without normalisation.
    weights = renamed(simclr_v2_name, hwio_strides(downsample_first(backbone)))
    head = linear("layers.0", bias=False) | batch_norm("layers.1") | linear("layers.3", bias=False)
    head |= batch_norm("layers.4") | linear("layers.6", bias=False) | batch_norm("layers.7")
    return {"resnet": state_dict({**counted(weights, 0), **classifier()}), "head": state_dict(head)}


def simclr_pytorch(backbone: Tensors, other: Tensors) -> object:
    # sthalles/SimCLR simclr.py, models/resnet_simclr.py; data_aug/contrastive_learning_dataset.py ends in ToTensor.
    projection = linear("fc.0", 4, 2048) | linear("fc.2")
    named = state_dict(prefixed("backbone.", {**counted(backbone), **projection}))
    return {"epoch": 200, "arch": "resnet50", "state_dict": named, "optimizer": optimizer("exp_avg")}


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("simclr-v1", "resnet50-1x.pth", "simclr-v1", "backbone", torch_file(simclr_v1), input="rgb-unit"),
    Publisher("simclr-v2", "r50_1x_sk0.pth", "simclr-v2", "resnet", torch_file(simclr_v2), input="rgb-unit"),
    Publisher(
        "simclr-pytorch",
        "checkpoint_0200.pth.tar",
        "simclr-pytorch",
        "backbone",
        torch_file(simclr_pytorch, cuda=True),
        input="rgb-unit",
    ),
)
