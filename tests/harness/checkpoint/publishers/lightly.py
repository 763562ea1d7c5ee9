"""Files of lightly's examples and benchmarks, which train under Lightning."""

from __future__ import annotations

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import SCALER, batch_norm, classifier, linear
from tests.harness.checkpoint.publishers.lightning import lightning_file
from tests.harness.checkpoint.publishers.names import sequential_name
from tests.harness.checkpoint.publishers.pickling import pretends, torch_file
from tests.harness.checkpoint.publishers.publisher import Build, Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, renamed


@pretends("pytorch_lightning.callbacks.model_checkpoint")
class ModelCheckpoint:
    pass


def lightly_simclr(backbone: Tensors, other: Tensors) -> object:
    # lightly-ai/lightly examples/pytorch_lightning/simclr.py, lightly/models/modules/heads.py
    head = linear("projection_head.layers.0", bias=False) | batch_norm("projection_head.layers.1")
    head |= linear("projection_head.layers.3", bias=False) | batch_norm("projection_head.layers.4")
    return lightning_file({**prefixed("backbone.", renamed(sequential_name, counted(backbone))), **head})


def lightly_moco(backbone: Tensors, other: Tensors) -> object:
    # examples/pytorch_lightning/moco.py. Lightning before 1.5 filed the state of a callback under its class.
    named = {
        **prefixed("backbone.", renamed(sequential_name, counted(backbone))),
        **linear("projection_head.layers.0"),
        **linear("projection_head.layers.2"),
        **prefixed("backbone_momentum.", renamed(sequential_name, counted(other))),
        **linear("projection_head_momentum.layers.0"),
        **linear("projection_head_momentum.layers.2"),
    }
    best = {"monitor": None, "best_model_score": None, "best_model_path": "a.ckpt", "current_score": None}
    return lightning_file(named, "1.2.10", callbacks={ModelCheckpoint: best}, native_amp_scaling_state=SCALER)


def lightly_dino(backbone: Tensors, other: Tensors) -> object:
    # examples/pytorch_lightning/dino.py: there is no `backbone`.
    def head(name: str) -> dict[str, torch.Tensor]:
        weight_norm = {f"{name}.last_layer.weight_g": torch.ones(4, 1), f"{name}.last_layer.weight_v": torch.ones(4, 8)}
        return linear(f"{name}.layers.0") | linear(f"{name}.layers.2") | weight_norm

    named = {
        **prefixed("student_backbone.", renamed(sequential_name, counted(other))),
        **head("student_head"),
        **prefixed("teacher_backbone.", renamed(sequential_name, counted(backbone))),
        **head("teacher_head"),
        "criterion.center": torch.zeros(1, 1, 4),
    }
    return lightning_file(named)


def lightly_benchmark(second: str | None) -> Build:
    """benchmarks/imagenet/resnet50: a plain resnet50 whose fc is an Identity."""

    def build(backbone: Tensors, other: Tensors) -> object:
        named = {
            **prefixed("backbone.", counted(backbone)),
            **linear("projection_head.layers.0", bias=False),
            **batch_norm("projection_head.layers.1"),
            **(prefixed(f"{second}_backbone.", counted(other)) if second else {}),
            **(linear(f"{second}_projection_head.layers.0") if second else {}),
            **classifier("online_classifier.classification_head"),
        }
        hyper = {"batch_size_per_device": 128, "num_classes": 1000}
        return lightning_file(named, hparams_name="kwargs", hyper_parameters=hyper)

    return build


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("lightly-simclr", "epoch=99-step=19500.ckpt", "lightly", "backbone", torch_file(lightly_simclr)),
    Publisher(
        "lightly-moco", "epoch=99-step=19500.ckpt", "lightly", "backbone", torch_file(lightly_moco), ("momentum",)
    ),
    Publisher("lightly-dino", "epoch=99-step=19500.ckpt", "lightly", "teacher", torch_file(lightly_dino), ("student",)),
    Publisher(
        "lightly-benchmark", "epoch=99-step=500400.ckpt", "lightly", "backbone", torch_file(lightly_benchmark(None))
    ),
    # benchmarks/imagenet/resnet50/mocov2.py, byol.py and dino.py: in the last one `backbone` is the teacher.
    Publisher(
        "lightly-benchmark-moco",
        "epoch=99-step=500400.ckpt",
        "lightly",
        "backbone",
        torch_file(lightly_benchmark("key")),
        ("key",),
    ),
    Publisher(
        "lightly-benchmark-byol",
        "epoch=99-step=500400.ckpt",
        "lightly",
        "backbone",
        torch_file(lightly_benchmark("teacher")),
        ("teacher",),
    ),
    Publisher(
        "lightly-benchmark-dino",
        "epoch=99-step=500400.ckpt",
        "lightly",
        "backbone",
        torch_file(lightly_benchmark("student")),
        ("student",),
    ),
)
