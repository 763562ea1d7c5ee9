"""Files of BYOL-PyTorch."""

from __future__ import annotations

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import APEX, batch_norm, linear, optimizer
from tests.harness.checkpoint.publishers.names import sequential_name
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Build, Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, renamed, state_dict


def byol_pytorch(wrapper: str) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        # yaox12/BYOL-PyTorch trainer/byol_trainer.py, model/byol_model.py, model/basic_modules.py (`projetion`).
        mlp = linear("l1") | batch_norm("bn1") | linear("l2")
        model = {
            **prefixed("online_network.encoder.", renamed(sequential_name, counted(backbone))),
            **prefixed("online_network.projetion.", mlp),
            **prefixed("target_network.encoder.", renamed(sequential_name, counted(other))),
            **prefixed("target_network.projetion.", mlp),
            **prefixed("predictor.predictor.", mlp),
        }
        return {
            "config": {"model": {"backbone": {"type": "resnet50", "pretrained": False}}, "stage": "train"},
            "epoch": 300,
            "steps": 93_600,
            "model": state_dict(prefixed(wrapper, model)),
            "optimizer": optimizer(),
            "amp": APEX,
        }

    return build


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher(
        "byol-pytorch",
        "resnet50_300.pth.tar",
        "byol-pytorch",
        "online",
        torch_file(byol_pytorch("module."), cuda=True),
        ("target",),
    ),
    Publisher(
        "byol-pytorch-one-gpu",
        "resnet50_300.pth.tar",
        "byol-pytorch",
        "online",
        torch_file(byol_pytorch(""), legacy=True),
        ("target",),
    ),
)
