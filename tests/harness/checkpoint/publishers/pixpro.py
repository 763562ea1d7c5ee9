"""Files of PixPro."""

from __future__ import annotations

import argparse

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import APEX, batch_norm, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, state_dict


def pixpro(backbone: Tensors, other: Tensors) -> object:
    # zdaxie/PixPro main_pretrain.py, contrast/models/PixPro.py
    head = {"linear1.weight": torch.ones(4, 8, 1, 1), **batch_norm("bn1"), "linear2.weight": torch.ones(4, 4, 1, 1)}
    model = {
        **prefixed("encoder.", counted(backbone)),
        **prefixed("projector.", head),
        **prefixed("encoder_k.", counted(other)),
        **prefixed("projector_k.", head),
        "value_transform.weight": torch.ones(4, 4, 1, 1),
    }
    return {
        "opt": argparse.Namespace(arch="resnet50", model="PixPro", feature_dim=256, amp_opt_level="O1"),
        "model": state_dict(prefixed("module.", model)),
        "optimizer": optimizer(),
        "scheduler": {"last_epoch": 400, "_step_count": 401, "base_lrs": [1.0]},
        "epoch": 400,
        "amp": APEX,
    }


def pixpro_released(backbone: Tensors, other: Tensors) -> object:
    # zdaxie/PixPro publish_model.py leaves nothing but the model.
    return {"model": pixpro(backbone, other)["model"]}  # type: ignore[index]


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("pixpro", "current.pth", "pixpro", "encoder", torch_file(pixpro, cuda=True), ("momentum",)),
    Publisher(
        "pixpro-released",
        "pixpro_base_r50_400ep_md5_919c6612.pth",
        "pixpro",
        "encoder",
        torch_file(pixpro_released),
        ("momentum",),
    ),
)
