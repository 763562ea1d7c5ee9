"""Files of VISSL, which trains under ClassyVision."""

from __future__ import annotations

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import linear, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, state_dict


def vissl_file(trunk: Tensors, heads: Tensors, loss: Tensors) -> dict[str, object]:
    """facebookresearch/vissl vissl/hooks/log_hooks.py; ClassyVision classy_vision/tasks/classification_task.py."""
    meter = {
        "name": "accuracy_list_meter",
        "num_meters": 1,
        "topk_values": [1, 5],
        "meters": [{"name": "accuracy", "top_k": [1, 5], "total_sample_count": torch.tensor([64])}],
    }
    return {
        "phase_idx": 199,
        "iteration": 1_000_800,
        "loss": state_dict(loss),
        "iteration_num": 5003,
        "train_phase_idx": 199,
        "classy_state_dict": {
            "train": True,
            "base_model": {
                "model": {"trunk": state_dict(trunk), "heads": state_dict(heads)},
                "meta": {"trunk": {}, "heads": []},
            },
            "meters": [meter],
            "optimizer": {"optim": optimizer()},
            "phase_idx": 199,
            "train_phase_idx": 199,
            "num_updates": 1_000_800,
            "losses": [0.5, 0.25],
            "hooks": {"log_loss_lr_eta": {}, "checkpoint_model": {}},
            "loss": state_dict(loss),
            "train_dataset_iterator": None,
            "amp": {},
        },
        "type": "consolidated",
    }


def vissl(backbone: Tensors, other: Tensors) -> object:
    # Blocks are named in vissl/models/trunks/resnext.py, heads in vissl/models/heads/mlp.py.
    trunk = prefixed("_feature_blocks.", counted(backbone))
    return vissl_file(trunk, linear("0.clf.0") | linear("1.clf.0"), {"num_iteration": torch.zeros(1)})


def vissl_linear(backbone: Tensors, other: Tensors) -> object:
    # A linear evaluation wraps the trunk in vissl/models/trunks/feature_extractor.py.
    trunk = prefixed("base_model._feature_blocks.", counted(backbone))
    heads = {"0.channel_bn.running_mean": torch.zeros(4), **linear("0.clf.0")}
    return vissl_file(trunk, heads, {})


def vissl_moco(backbone: Tensors, other: Tensors) -> object:
    # vissl/losses/moco_loss.py and vissl/hooks/moco_hooks.py: the momentum model is a member of the loss.
    loss = {
        "queue": torch.ones(4, 16),
        "queue_ptr": torch.zeros(1, dtype=torch.long),
        **prefixed("moco_encoder.trunk._feature_blocks.", counted(other)),
        **prefixed("moco_encoder.heads.", linear("0.clf.0")),
    }
    return vissl_file(prefixed("_feature_blocks.", counted(backbone)), linear("0.clf.0"), loss)


def vissl_old(backbone: Tensors, other: Tensors) -> object:
    # extra_scripts/convert_classy_vision_to_vissl_resnet.py
    return {"model_state_dict": prefixed("_feature_blocks.", counted(backbone))}


def vissl_flat(backbone: Tensors, other: Tensors) -> object:
    # The model zoo's converted_vissl_*.torch, as extra_scripts/convert_vissl_to_torchvision.py takes them.
    return prefixed("_feature_blocks.", counted(backbone))


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("vissl", "model_final_checkpoint_phase199.torch", "vissl", "trunk", torch_file(vissl, cuda=True)),
    Publisher("vissl-linear", "model_phase27.torch", "vissl", "trunk", torch_file(vissl_linear)),
    Publisher(
        "vissl-moco",
        "model_final_checkpoint_phase199.torch",
        "vissl",
        "trunk",
        torch_file(vissl_moco, cuda=True),
        ("momentum",),
    ),
    Publisher("vissl-old", "resnet50.torch", "vissl", "trunk", torch_file(vissl_old, legacy=True)),
    Publisher("vissl-flat", "converted_vissl_rn50_jigsaw_in1k_goyal19.torch", "vissl", "trunk", torch_file(vissl_flat)),
)
