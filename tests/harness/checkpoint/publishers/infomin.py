"""Files of InfoMin, which PyContrast trains."""

from __future__ import annotations

from collections import OrderedDict

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import APEX, linear, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, state_dict


def infomin(backbone: Tensors, other: Tensors) -> object:
    # HobbitLong/PyContrast pycontrast/learning/contrast_trainer.py, pycontrast/networks/build_backbone.py
    heads = linear("head.0") | linear("head.2") | linear("head_jig.fc1.0") | linear("head_jig.fc2.0")
    model = state_dict(prefixed("module.", {**prefixed("encoder.", counted(backbone)), **heads}))
    contrast = OrderedDict(memory=torch.ones(16, 4), memory_jig=torch.ones(16, 4))
    return {"model": model, "contrast": contrast, "optimizer": optimizer(), "epoch": 800}


def infomin_ema(backbone: Tensors, other: Tensors) -> object:
    # The same with the memory of MoCo: model_ema is not wrapped by the distributed module.
    heads = linear("head.0") | linear("head.2")
    model_ema = state_dict({**prefixed("encoder.", counted(other)), **heads})
    return {**infomin(backbone, other), "model_ema": model_ema, "amp": APEX}  # type: ignore[dict-item]


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("infomin", "InfoMin_800.pth", "infomin", "encoder", torch_file(infomin, legacy=True)),
    Publisher("infomin-ema", "current.pth", "infomin", "encoder", torch_file(infomin_ema, cuda=True), ("ema",)),
)
