"""Files under torchvision's own names: torchvision's, timm's, a bare backbone, an ImageNet training."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import classifier, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import arrays, counted, state_dict


def flat(backbone: Tensors, other: Tensors) -> object:
    return state_dict(counted(backbone))


def flat_with_classifier(backbone: Tensors, other: Tensors) -> object:
    return state_dict({**counted(backbone), **classifier()})


def old_torchvision(backbone: Tensors, other: Tensors) -> object:
    # The files of torchvision 0.1 hold Parameters for what is trained and no counters.
    trained = {n: v if "running" in n else torch.nn.Parameter(v) for n, v in backbone.items()}
    return OrderedDict(trained | {n: torch.nn.Parameter(v) for n, v in classifier().items()})


def timm(path: Path, backbone: Tensors, other: Tensors) -> None:
    save_file({**counted(backbone), **classifier()}, path, metadata={"format": "pt"})
    config = {"architecture": "resnet50", "num_classes": 1000, "num_features": 2048}
    path.with_name("config.json").write_text(json.dumps(config))


def npz(path: Path, backbone: Tensors, other: Tensors) -> None:
    np.savez(path, **arrays(backbone))  # type: ignore[arg-type,unused-ignore]


def imagenet_training(backbone: Tensors, other: Tensors) -> object:
    # pytorch/examples imagenet/main.py; DataParallel or its distributed kin give the prefix.
    return {
        "epoch": 90,
        "arch": "resnet50",
        "state_dict": state_dict(prefixed("module.", {**counted(backbone), **classifier()})),
        "best_acc1": torch.tensor(76.13),
        "optimizer": optimizer(),
        "scheduler": {"step_size": 30, "gamma": 0.1, "base_lrs": [0.1], "last_epoch": 90, "_step_count": 91},
    }


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("torchvision", "resnet50-11ad3fa6.pth", "torchvision", "backbone", torch_file(flat_with_classifier)),
    Publisher(
        "torchvision-old", "resnet50-19c8e357.pth", "torchvision", "backbone", torch_file(old_torchvision, legacy=True)
    ),
    Publisher("torchvision-pt", "resnet50.pt", "torchvision", "backbone", torch_file(lambda w, _: dict(w))),
    Publisher("timm", "model.safetensors", "torchvision", "backbone", timm),
    Publisher("npz", "resnet50.npz", "torchvision", "backbone", npz),
    Publisher("dino-backbone", "dino_resnet50_pretrain.pth", "torchvision", "backbone", torch_file(flat)),
    Publisher("barlow-twins-backbone", "resnet50.pth", "torchvision", "backbone", torch_file(flat, cuda=True)),
    Publisher("vicreg-backbone", "resnet50.pth", "torchvision", "backbone", torch_file(flat)),
    Publisher(
        "imagenet-training",
        "model_best.pth.tar",
        "imagenet-training",
        "backbone",
        torch_file(imagenet_training, cuda=True),
    ),
    Publisher(
        "imagenet-training-old",
        "model_best.th",
        "imagenet-training",
        "backbone",
        torch_file(imagenet_training, legacy=True, cuda=True),
    ),
)
