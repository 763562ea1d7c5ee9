"""Files of OpenMMLab: mmpretrain under mmengine, and OpenSelfSup under mmcv."""

from __future__ import annotations

from collections import OrderedDict

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import batch_norm, classifier, linear, optimizer
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import counted, state_dict


def mm_neck(name: str = "neck") -> dict[str, torch.Tensor]:
    return linear(f"{name}.fc0") | batch_norm(f"{name}.bn0") | linear(f"{name}.fc1", bias=False)


def mmengine_file(tensors: Tensors, **more: object) -> dict[str, object]:
    """What mmengine's Runner.save_checkpoint writes, mmengine/runner/runner.py; the history is the library's own."""
    from mmengine.logging import HistoryBuffer

    history = HistoryBuffer([0.5, 0.25], [1, 1])
    return {
        "meta": {
            "epoch": 200,
            "iter": 1_000_800,
            "cfg": "model = dict(\n    type='SimCLR')\n",
            "seed": 0,
            "experiment_name": "simclr_resnet50_16xb256-coslr-200e_in1k_20230101_000000",
            "time": "20230101_000000",
            "mmengine_version": "0.10.4",
            "dataset_meta": {"classes": ("tench", "goldfish")},
        },
        "state_dict": state_dict(tensors),
        "message_hub": {
            "log_scalars": OrderedDict({"train/loss": history, "train/lr": history}),
            "runtime_info": OrderedDict(epoch=199, iter=1_000_799, max_epochs=200, last_ckpt="epoch_190.pth"),
            "resumed_keys": OrderedDict({"train/loss": True, "epoch": True}),
        },
        "optimizer": optimizer(),
        "param_schedulers": [{"param_name": "lr", "begin": 0, "end": 10, "_global_step": 10, "_last_value": [0.3]}],
        **more,
    }


def mm_simclr(backbone: Tensors, other: Tensors) -> object:
    return mmengine_file({**prefixed("backbone.", counted(backbone)), **mm_neck()})


def mm_moco(backbone: Tensors, other: Tensors) -> object:
    # mmpretrain/models/selfsup/moco.py: encoder_k averages nn.Sequential(backbone, neck).
    neck = linear("0") | linear("2")
    return mmengine_file(
        {
            "queue": torch.ones(4, 16),
            "queue_ptr": torch.zeros(1, dtype=torch.long),
            **prefixed("backbone.", counted(backbone)),
            **prefixed("neck.mlp.", neck),
            "encoder_k.steps": torch.tensor(9),
            **prefixed("encoder_k.module.0.", counted(other)),
            **prefixed("encoder_k.module.1.mlp.", neck),
        }
    )


def mm_byol(backbone: Tensors, other: Tensors) -> object:
    # mmpretrain/models/selfsup/byol.py
    return mmengine_file(
        {
            **prefixed("backbone.", counted(backbone)),
            **mm_neck(),
            **mm_neck("head.predictor"),
            "target_net.steps": torch.tensor(9),
            **prefixed("target_net.module.0.", counted(other)),
            **mm_neck("target_net.module.1"),
        }
    )


def mm_moco_v3(backbone: Tensors, other: Tensors) -> object:
    # mmpretrain/models/selfsup/mocov3.py; the predictor ends in a batch norm that is also called bn1.
    return mmengine_file(
        {
            **prefixed("backbone.", counted(backbone)),
            **mm_neck(),
            **mm_neck("head.predictor"),
            **batch_norm("head.predictor.bn1"),
            "momentum_encoder.steps": torch.tensor(9),
            **prefixed("momentum_encoder.module.0.", counted(other)),
            **mm_neck("momentum_encoder.module.1"),
        }
    )


def mm_ema_hook(backbone: Tensors, other: Tensors) -> object:
    # mmengine/hooks/ema_hook.py swaps before it saves: state_dict holds the average, and ema_state_dict the weights as
    # trained, under the averaged model's names.
    head = classifier("head.fc")
    beside = {"steps": torch.tensor(9), **prefixed("module.backbone.", counted(other)), **prefixed("module.", head)}
    average = {**prefixed("backbone.", counted(backbone)), **head}
    return mmengine_file(average, ema_state_dict=state_dict(beside))


def mmcv_file(tensors: Tensors) -> dict[str, object]:
    """What mmcv's runner wrote before mmengine, mmcv/runner/checkpoint.py."""
    meta = {"mmcv_version": "1.0.3", "time": "Thu Jun 25 03:00:00 2020", "config": "", "epoch": 200, "iter": 1_000_800}
    return {"meta": meta, "state_dict": state_dict(tensors), "optimizer": optimizer()}


def openselfsup_moco(backbone: Tensors, other: Tensors) -> object:
    # open-mmlab/OpenSelfSup openselfsup/models/moco.py: backbone is another name of encoder_q[0], both are saved.
    neck = linear("0") | linear("2")
    return mmcv_file(
        {
            "queue": torch.ones(4, 16),
            "queue_ptr": torch.zeros(1, dtype=torch.long),
            **prefixed("encoder_q.0.", counted(backbone)),
            **prefixed("encoder_q.1.mlp.", neck),
            **prefixed("encoder_k.0.", counted(other)),
            **prefixed("encoder_k.1.mlp.", neck),
            **prefixed("backbone.", counted(backbone)),
        }
    )


def openselfsup_ddp(backbone: Tensors, other: Tensors) -> object:
    neck = linear("neck.mlp.0") | linear("neck.mlp.2")
    return mmcv_file(prefixed("module.", {**prefixed("backbone.", counted(backbone)), **neck}))


def mmselfsup_extracted(backbone: Tensors, other: Tensors) -> object:
    # open-mmlab/OpenSelfSup tools/extract_backbone_weights.py
    return {"state_dict": dict(counted(backbone)), "author": "OpenSelfSup"}


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("mmpretrain-simclr", "epoch_200.pth", "mmpretrain", "backbone", torch_file(mm_simclr)),
    Publisher(
        "mmpretrain-simclr-numpy1", "epoch_200.pth", "mmpretrain", "backbone", torch_file(mm_simclr, numpy1=True)
    ),
    Publisher("mmpretrain-moco-v2", "epoch_200.pth", "mmpretrain", "backbone", torch_file(mm_moco), ("momentum",)),
    Publisher("mmpretrain-byol", "epoch_200.pth", "mmpretrain", "backbone", torch_file(mm_byol), ("target",)),
    Publisher("mmpretrain-moco-v3", "epoch_300.pth", "mmpretrain", "backbone", torch_file(mm_moco_v3), ("momentum",)),
    Publisher(
        "mmpretrain-ema-hook", "epoch_100.pth", "mmpretrain", "backbone", torch_file(mm_ema_hook), ("unaveraged",)
    ),
    Publisher(
        "openselfsup-moco",
        "epoch_200.pth",
        "mmpretrain",
        "backbone",
        torch_file(openselfsup_moco, legacy=True),
        ("momentum",),
    ),
    Publisher("openselfsup-ddp", "epoch_200.pth", "mmpretrain", "backbone", torch_file(openselfsup_ddp, legacy=True)),
    Publisher(
        "mmselfsup-extracted", "simclr_backbone.pth", "mmpretrain-backbone", "backbone", torch_file(mmselfsup_extracted)
    ),
)
