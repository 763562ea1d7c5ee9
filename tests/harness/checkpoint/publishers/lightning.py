"""Files of Lightning, and one of a module that no publisher wrote."""

from __future__ import annotations

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import SCALER, classifier, optimizer
from tests.harness.checkpoint.publishers.omegaconf import DictConfig, omega
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, state_dict


def lightning_file(tensors: Tensors, version: str = "2.1.2", **more: object) -> dict[str, object]:
    """Lightning-AI/pytorch-lightning .../trainer/connectors/checkpoint_connector.py, dump_checkpoint."""
    best = {"monitor": None, "best_model_score": torch.tensor(0.5), "best_model_path": "a.ckpt", "dirpath": "/tmp"}
    progress = {"total": {"ready": 5004, "completed": 5004}, "current": {"ready": 0, "completed": 0}}
    return {
        "epoch": 99,
        "global_step": 500_400,
        "pytorch-lightning_version": version,
        "state_dict": state_dict(tensors),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": progress}, "validate_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None, 'mode': 'min', 'every_n_epochs': 1}": best},
        "optimizer_states": [optimizer()],
        "lr_schedulers": [{"last_epoch": 99, "_step_count": 100, "base_lrs": [0.3], "_last_lr": [0.01]}],
        "MixedPrecision": SCALER,
        **more,
    }


def lightning_generic(backbone: Tensors, other: Tensors) -> object:
    # A module of one's own that keeps torchvision's network as `model` and was given a config of Hydra's.
    named = {**prefixed("model.", {**counted(backbone), **classifier()}), "criterion.weight": torch.ones(10)}
    config = omega({"model": {"name": "resnet50", "milestones": [30, 60, 90]}, "lr": 0.1})
    return lightning_file(named, hparams_name="cfg", hyper_parameters=config, hparams_type=DictConfig)


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("lightning", "last.ckpt", "lightning", "model", torch_file(lightning_generic)),
)
