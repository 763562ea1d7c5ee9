"""Files of the methods that Facebook published one by one: MoCo, SimSiam, SwAV, DINO, Barlow Twins, VICReg."""

from __future__ import annotations

import argparse
from collections import OrderedDict

import numpy as np
import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import APEX, SCALER, batch_norm, linear, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Build, Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, state_dict


def moco(head: Tensors) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        # facebookresearch/moco main_moco.py, moco/builder.py
        named = {
            "queue": torch.ones(4, 16),
            "queue_ptr": torch.zeros(1, dtype=torch.long),
            **prefixed("encoder_q.", {**counted(backbone), **head}),
            **prefixed("encoder_k.", {**counted(other), **head}),
        }
        named = state_dict(prefixed("module.", named))
        return {"epoch": 200, "arch": "resnet50", "state_dict": named, "optimizer": optimizer()}

    return build


def moco_v3(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/moco-v3 main_moco.py, moco/builder.py (MoCo_ResNet); the predictor ends without a batch norm.
    predictor = linear("0", bias=False) | batch_norm("1") | linear("3", bias=False)
    projector = prefixed("fc.", predictor | batch_norm("4", affine=False))
    named = {
        **prefixed("base_encoder.", {**counted(backbone), **projector}),
        **prefixed("momentum_encoder.", {**counted(other), **projector}),
        **prefixed("predictor.", predictor),
    }
    return {
        "epoch": 1000,
        "arch": "resnet50",
        "state_dict": state_dict(prefixed("module.", named)),
        "optimizer": optimizer("mu"),
        "scaler": SCALER,
    }


def simsiam(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/simsiam main_simsiam.py, simsiam/builder.py
    mlp = linear("0", bias=False) | batch_norm("1") | linear("3", bias=False) | batch_norm("4")
    mlp |= linear("6") | batch_norm("7", affine=False)
    predictor = linear("0", bias=False) | batch_norm("1") | linear("3")
    named = {
        **prefixed("encoder.", {**counted(backbone), **prefixed("fc.", mlp)}),
        **prefixed("predictor.", predictor),
    }
    named = state_dict(prefixed("module.", named))
    return {"epoch": 100, "arch": "resnet50", "state_dict": named, "optimizer": optimizer(fix_lr=False)}


def swav_released(backbone: Tensors, other: Tensors) -> OrderedDict[str, torch.Tensor]:
    # facebookresearch/swav hubconf.py strips the prefix, src/resnet50.py gives the heads.
    head = linear("projection_head.0") | batch_norm("projection_head.1") | linear("projection_head.3")
    prototypes = linear("prototypes", bias=False)
    return state_dict(prefixed("module.", {**counted(backbone), **head, **prototypes}))


def swav_training(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/swav main_swav.py; the learning rate comes out of a NumPy schedule.
    named = swav_released(backbone, other)
    return {"epoch": 400, "state_dict": named, "optimizer": optimizer(lr=np.float64(0.6)), "amp": APEX}


def dino(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/dino main_dino.py, utils.py (MultiCropWrapper), vision_transformer.py (DINOHead). Learning rate
    # and weight decay come out of NumPy schedules.
    head = linear("head.mlp.0") | linear("head.mlp.2") | linear("head.mlp.4")
    head |= {"head.last_layer.weight_g": torch.ones(4, 1), "head.last_layer.weight_v": torch.ones(4, 8)}
    return {
        "student": state_dict(prefixed("module.", {**prefixed("backbone.", counted(other)), **head})),
        "teacher": state_dict(prefixed("module.", {**prefixed("backbone.", counted(backbone)), **head})),
        "optimizer": optimizer(lr=np.float64(0.3), weight_decay=np.float64(1e-4)),
        "epoch": 800,
        "args": argparse.Namespace(arch="resnet50", out_dim=60_000, use_fp16=True, local_crops_scale=(0.05, 0.14)),
        "dino_loss": OrderedDict(center=torch.zeros(1, 4)),
        "fp16_scaler": SCALER,
    }


def barlow_twins(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/barlowtwins main.py
    projector = linear("projector.0", bias=False) | batch_norm("projector.1") | linear("projector.3", bias=False)
    projector |= batch_norm("projector.4") | linear("projector.6", bias=False) | batch_norm("bn", affine=False)
    model = state_dict(prefixed("module.", {**prefixed("backbone.", counted(backbone)), **projector}))
    return {"epoch": 1000, "model": model, "optimizer": optimizer("mu")}


def vicreg(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/vicreg main_vicreg.py
    projector = linear("projector.0") | batch_norm("projector.1") | linear("projector.3") | batch_norm("projector.4")
    projector |= linear("projector.6", bias=False)
    model = state_dict(prefixed("module.", {**prefixed("backbone.", counted(backbone)), **projector}))
    return {"epoch": 1000, "model": model, "optimizer": optimizer("mu")}


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher(
        "moco-v1",
        "moco_v1_200ep_pretrain.pth.tar",
        "moco",
        "query",
        torch_file(moco(linear("fc", 4, 2048)), legacy=True, cuda=True),
        ("key",),
    ),
    Publisher(
        "moco-v2",
        "moco_v2_800ep_pretrain.pth.tar",
        "moco",
        "query",
        torch_file(moco(linear("fc.0", 4, 2048) | linear("fc.2")), cuda=True),
        ("key",),
    ),
    Publisher("moco-v3", "r-50-1000ep.pth.tar", "moco-v3", "base", torch_file(moco_v3, cuda=True), ("momentum",)),
    Publisher("simsiam", "checkpoint_0099.pth.tar", "simsiam", "encoder", torch_file(simsiam, cuda=True)),
    Publisher(
        "swav-released", "swav_800ep_pretrain.pth.tar", "swav", "backbone", torch_file(swav_released, legacy=True)
    ),
    Publisher(
        "swav-training", "checkpoint.pth.tar", "swav", "backbone", torch_file(swav_training, cuda=True, numpy1=True)
    ),
    Publisher(
        "dino",
        "dino_resnet50_pretrain_full_checkpoint.pth",
        "dino",
        "teacher",
        torch_file(dino, cuda=True, numpy1=True),
        ("student",),
    ),
    Publisher("barlow-twins", "checkpoint.pth", "barlow-twins", "backbone", torch_file(barlow_twins, cuda=True)),
    Publisher("vicreg", "model.pth", "vicreg", "backbone", torch_file(vicreg, cuda=True)),
)
