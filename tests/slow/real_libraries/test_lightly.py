"""Checkpoints of lightly's examples and benchmarks, trained under Lightning."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from tests.slow.real_libraries.comparing import library, randomised, read, same
from tests.slow.real_libraries.training import VIEWS, fitted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def children() -> nn.Sequential:
    return nn.Sequential(*list(torchvision.models.resnet50().children())[:-1])


def headless() -> Any:
    resnet = torchvision.models.resnet50()
    resnet.fc = nn.Identity()
    return resnet


def copied(network: nn.Module) -> nn.Module:
    twin = copy.deepcopy(network)
    library("lightly.models.utils").deactivate_requires_grad(twin)
    return twin


# As its examples/pytorch_lightning and benchmarks/imagenet/resnet50 build them; named is what is trained.
def simclr(module: Any, modules: Any) -> tuple[str, str]:
    module.backbone = children()
    module.projection_head = modules.SimCLRProjectionHead(2048, 256, 128)
    return "backbone", "projection_head"


def moco(module: Any, modules: Any) -> tuple[str, str]:
    module.backbone = children()
    module.projection_head = modules.MoCoProjectionHead(2048, 256, 128)
    module.backbone_momentum = copied(module.backbone)
    module.projection_head_momentum = copied(module.projection_head)
    return "backbone", "projection_head"


def byol(module: Any, modules: Any) -> tuple[str, str]:
    module.backbone = children()
    module.projection_head = modules.BYOLProjectionHead(2048, 256, 128)
    module.prediction_head = modules.BYOLPredictionHead(128, 256, 128)
    module.backbone_momentum = copied(module.backbone)
    module.projection_head_momentum = copied(module.projection_head)
    return "backbone", "projection_head"


def dino(module: Any, modules: Any) -> tuple[str, str]:
    module.student_backbone = children()
    module.student_head = modules.DINOProjectionHead(2048, 256, 64, 128, freeze_last_layer=1)
    module.teacher_backbone = copied(module.student_backbone)
    module.teacher_head = modules.DINOProjectionHead(2048, 256, 64, 128)
    return "student_backbone", "student_head"


def moco_benchmark(module: Any, modules: Any) -> tuple[str, str]:
    module.save_hyperparameters()
    module.backbone = headless()
    module.projection_head = modules.MoCoProjectionHead(2048, 256, 128)
    module.key_backbone = copied(module.backbone)
    module.key_projection_head = modules.MoCoProjectionHead(2048, 256, 128)
    module.online_classifier = library("lightly.utils.benchmarking").OnlineLinearClassifier(num_classes=1000)
    return "backbone", "projection_head"


def dino_benchmark(module: Any, modules: Any) -> tuple[str, str]:
    module.save_hyperparameters()
    module.backbone = headless()
    module.projection_head = modules.DINOProjectionHead(2048, 256, 64, 128)
    module.student_backbone = copy.deepcopy(module.backbone)
    module.student_projection_head = modules.DINOProjectionHead(2048, 256, 64, 128, freeze_last_layer=1)
    module.online_classifier = library("lightly.utils.benchmarking").OnlineLinearClassifier(num_classes=1000)
    return "student_backbone", "student_projection_head"


def lightly_module(lightning: Any, build: Callable[[Any, Any], tuple[str, str]]) -> Any:
    modules = library("lightly.models.modules")
    loss = library("lightly.loss")

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, batch_size_per_device: int = 2, num_classes: int = 1000) -> None:
            super().__init__()
            self.trained = build(self, modules)
            self.criterion = loss.NTXentLoss(memory_bank_size=(64, 128))

        def training_step(self, batch: list[torch.Tensor], _: int) -> Any:
            network, head = (getattr(self, name) for name in self.trained)
            return self.criterion(*(head(network(view).flatten(1)) for view in batch))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.06, momentum=0.9)

    torch.manual_seed(0)
    return randomised(Module())


@pytest.mark.parametrize(
    ("build", "encoders"),
    [
        (simclr, {"backbone": "backbone"}),
        (moco, {"backbone": "backbone", "momentum": "backbone_momentum"}),
        (byol, {"backbone": "backbone", "momentum": "backbone_momentum"}),
        (dino, {"teacher": "teacher_backbone", "student": "student_backbone"}),
        (moco_benchmark, {"backbone": "backbone", "key": "key_backbone"}),
        (dino_benchmark, {"backbone": "backbone", "student": "student_backbone"}),
    ],
)
def test_lightly(
    tmp_path: Path, build: Callable[[Any, Any], tuple[str, str]], encoders: Mapping[str, str]
) -> None:  # fmt: skip
    library("lightly")
    lightning = library("pytorch_lightning")
    model = lightly_module(lightning, build)
    path = tmp_path / "epoch=0-step=1.ckpt"
    fitted(lightning, model, VIEWS, tmp_path).save_checkpoint(path)
    default, *_ = encoders
    for choose, encoder in ((None, default), *((name, name) for name in encoders)):
        facts, tensors = read(path, "lightly", encoder, choose)
        assert facts.encoders == tuple(encoders)
        same(tensors, getattr(model, encoders[encoder]))
