"""Files of solo-learn, which trains under Lightning."""

from __future__ import annotations

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import linear
from tests.harness.checkpoint.publishers.lightning import lightning_file
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted


def solo_learn(backbone: Tensors, other: Tensors) -> object:
    # vturrisi/solo-learn solo/methods/base.py, solo/methods/simclr.py; solo/utils/checkpointer.py saves .ckpt
    heads = linear("classifier", 10, 2048) | linear("projector.0") | linear("projector.2")
    return lightning_file({**prefixed("backbone.", counted(backbone)), **heads})


def solo_learn_old(backbone: Tensors, other: Tensors) -> object:
    # solo-learn before December 2021 said `encoder`; main_linear.py still renames it.
    heads = linear("classifier", 10, 2048) | linear("projector.0") | linear("projector.2")
    return lightning_file({**prefixed("encoder.", counted(backbone)), **heads}, "1.4.1")


def solo_learn_momentum(backbone: Tensors, other: Tensors) -> object:
    # solo/methods/base.py (BaseMomentumMethod), solo/methods/mocov2plus.py
    heads = linear("classifier", 10, 2048) | linear("projector.0") | linear("projector.2")
    heads |= linear("momentum_classifier", 10, 2048) | linear("momentum_projector.0") | linear("momentum_projector.2")
    queue = {"queue": torch.ones(2, 4, 16), "queue_ptr": torch.zeros(1, dtype=torch.long)}
    backbones = {
        **prefixed("backbone.", counted(backbone)),
        **prefixed("momentum_backbone.", counted(other)),
    }
    return lightning_file({**queue, **backbones, **heads})


def solo_learn_momentum_old(backbone: Tensors, other: Tensors) -> object:
    heads = linear("classifier", 10, 2048) | linear("projector.0") | linear("momentum_projector.0")
    backbones = {**prefixed("encoder.", counted(backbone)), **prefixed("momentum_encoder.", counted(other))}
    return lightning_file({**backbones, **heads}, "1.4.1")


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("solo-learn", "simclr-imagenet-ep=99.ckpt", "solo-learn", "backbone", torch_file(solo_learn)),
    Publisher("solo-learn-old", "simclr-imagenet-ep=99.ckpt", "solo-learn", "backbone", torch_file(solo_learn_old)),
    Publisher(
        "solo-learn-momentum",
        "mocov2plus-imagenet-ep=99.ckpt",
        "solo-learn",
        "backbone",
        torch_file(solo_learn_momentum),
        ("momentum",),
    ),
    Publisher(
        "solo-learn-momentum-old",
        "byol-imagenet-ep=99.ckpt",
        "solo-learn",
        "backbone",
        torch_file(solo_learn_momentum_old),
        ("momentum",),
    ),
)
