"""One file of every publisher of ResNet-50 checkpoints, as the publisher's own code saves it, from one given backbone.

The names are written here from the publishers' sources and not taken from the reader under test. Beside the backbone a
file holds what its publisher's files hold: optimizer, arguments, heads, queues, the momentum copy (`other`). All that
is small; the backbone keeps the size it is given.

Files of libraries that are not installed here name their classes all the same: `FakePickler` writes the names of
classes marked by `pretends` and needs no such module. What is written so can be read only by a reader that does
without those libraries.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import pickle
import re
import types
import typing
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file

Tensors = Mapping[str, torch.Tensor]
Writer = Callable[[Path, Tensors, Tensors], None]
Build = Callable[[Tensors, Tensors], object]
Shapes = Mapping[str, tuple[int, ...]]
Array = np.ndarray[typing.Any, np.dtype[typing.Any]]


@dataclasses.dataclass(frozen=True)
class Publisher:
    """One publisher's file.

    `write(path, backbone, other)`: `other` is a second, different ResNet-50 and becomes the momentum copy, the teacher
    or whatever second encoder the file holds; `others` names those encoders.
    """

    name: str
    file_name: str
    format: str
    encoder: str
    write: Writer
    others: tuple[str, ...] = ()
    input: str = "rgb-mean-std"


@dataclasses.dataclass(frozen=True)
class RefusedPublisher:
    """A file that is no plain ResNet-50, or one whose strides lie elsewhere; `said`: words of the refusal."""

    name: str
    file_name: str
    write: Writer
    said: tuple[str, ...]


# ------------------------------------------------------------------------------------------------------------ pickling

_FAKES: set[int] = set()
_Named = typing.TypeVar("_Named", bound=Callable[..., object])


def pretends(module: str) -> Callable[[_Named], _Named]:
    """The class or function is pickled by its own name as a member of `module`, which need not exist."""

    def mark(named: _Named) -> _Named:
        named.__module__ = module
        named.__qualname__ = named.__name__
        _FAKES.add(id(named))
        return named

    return mark


_Pickler: typing.Any = pickle._Pickler


class FakePickler(_Pickler):  # type: ignore[misc]
    """The interpreter's pickler in Python, which lets a global's name be written without importing it."""

    numpy1 = False
    dispatch: typing.ClassVar[dict[type, object]] = dict(_Pickler.dispatch)

    def save_global(self, obj: typing.Any, name: str | None = None) -> None:
        module = str(getattr(obj, "__module__", ""))
        if id(obj) in _FAKES:
            self._name(obj, module, obj.__qualname__)
        elif self.numpy1 and module.startswith("numpy._core"):
            # Files written before NumPy 2 name numpy.core.
            self._name(obj, module.replace("numpy._core", "numpy.core", 1), name or obj.__qualname__)
        else:
            super().save_global(obj, name)

    dispatch[types.FunctionType] = save_global

    def _name(self, obj: object, module: str, name: str) -> None:
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)


class FakePicklerNumpy1(FakePickler):
    numpy1 = True


def _pickle_module(pickler: type[FakePickler]) -> types.SimpleNamespace:
    def dump(value: object, file: typing.Any, protocol: int = 2) -> None:
        pickler(file, protocol=protocol).dump(value)

    return types.SimpleNamespace(__name__="pickle", Pickler=pickler, dump=dump)


def torch_file(build: Build, *, legacy: bool = False, cuda: bool = False, numpy1: bool = False) -> Writer:
    """A file of torch.save.

    Args:
        build: Makes the content from the two backbones.
        legacy: One stream instead of a zip archive, as torch wrote before 1.6.
        cuda: The storages say that they were on the first GPU, as most training scripts leave them.
        numpy1: NumPy's globals have their names of NumPy 1.
    """

    def write(path: Path, backbone: Tensors, other: Tensors) -> None:
        module = _pickle_module(FakePicklerNumpy1 if numpy1 else FakePickler)
        with mock.patch.object(torch.serialization, "location_tag", return_value="cuda:0" if cuda else "cpu"):
            torch.save(build(backbone, other), path, pickle_module=module, _use_new_zipfile_serialization=not legacy)

    return write


def pickle_file(build: Build, *, protocol: int, numpy1: bool = False) -> Writer:
    """A plain pickle, without torch."""

    def write(path: Path, backbone: Tensors, other: Tensors) -> None:
        with path.open("wb") as file:
            _pickle_module(FakePicklerNumpy1 if numpy1 else FakePickler).dump(build(backbone, other), file, protocol)

    return write


# --------------------------------------------------------------------------------------------------------------- names


class Place(typing.NamedTuple):
    """Where a tensor stands: stage 0 is the stem; module is conv1 to conv3, bn1 to bn3, downsample.0 or .1."""

    stage: int
    block: int
    module: str
    part: str


def place(name: str) -> Place:
    found = re.fullmatch(r"(?:layer([1-4])\.(\d+)\.)?((?:conv|bn|downsample\.)\d)\.(\w+)", name)
    assert found, name
    return Place(int(found[1] or 0), int(found[2] or 0), found[3], found[4])


def prefixed(prefix: str, tensors: Tensors) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in tensors.items()}


def renamed(rename: Callable[[str], str], tensors: Tensors) -> dict[str, torch.Tensor]:
    return {rename(name): value for name, value in tensors.items()}


def counted(tensors: Tensors, steps: int = 7) -> OrderedDict[str, torch.Tensor]:
    """With the counter that every batch norm of torch has had since 0.4.1, after its running variance."""
    found: OrderedDict[str, torch.Tensor] = OrderedDict()
    for name, value in tensors.items():
        found[name] = value
        if name.endswith("running_var"):
            found[name.removesuffix("running_var") + "num_batches_tracked"] = torch.tensor(steps)
    return found


def state_dict(tensors: Tensors) -> OrderedDict[str, torch.Tensor]:
    """As nn.Module.state_dict() gives it: the versions of the modules are an attribute, and pickled with it."""
    found = OrderedDict(tensors)
    modules = dict.fromkeys(["", *(name.rpartition(".")[0] for name in tensors)])
    found._metadata = OrderedDict((name, {"version": 1}) for name in modules)  # type: ignore[attr-defined]
    return found


def sequential_name(name: str) -> str:
    """nn.Sequential(*list(resnet50().children())[:-1]): 0 conv1, 1 bn1, 2 ReLU, 3 pool, 4 to 7 the stages, 8 pool."""
    head, rest = name.split(".", 1)
    index = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}[head]
    return f"{index}.{rest}"


def hugging_face_name(name: str) -> str:
    """Hugging Face's names: huggingface/transformers src/transformers/models/resnet/modeling_resnet.py."""
    stage, block, module, part = place(name)
    if module.startswith("downsample"):
        kind, inside = ("normalization" if module.endswith("1") else "convolution"), "shortcut"
    else:
        kind, inside = ("normalization" if "bn" in module else "convolution"), f"layer.{int(module[-1]) - 1}"
    if stage == 0:
        return f"embedder.embedder.{kind}.{part}"
    return f"encoder.stages.{stage - 1}.layers.{block}.{inside}.{kind}.{part}"


def pycls_name(name: str) -> str:
    """PyCls' names: facebookresearch/pycls pycls/models/resnet.py and, the same, pycls/models/anynet.py."""
    stage, block, module, part = place(name)
    if stage == 0:
        return f"stem.{'bn' if module == 'bn1' else 'conv'}.{part}"
    if module.startswith("downsample"):
        return f"s{stage}.b{block + 1}.{'bn' if module.endswith('1') else 'proj'}.{part}"
    letter = "abc"[int(module[-1]) - 1]
    return f"s{stage}.b{block + 1}.f.{letter}{'_bn' if 'bn' in module else ''}.{part}"


def detectron2_name(name: str) -> str:
    """Detectron2's names: facebookresearch/detectron2 tools/convert-torchvision-to-d2.py."""
    stage, block, module, part = place(name)
    prefix = "stem" if stage == 0 else f"res{stage + 1}.{block}"
    if module.startswith("downsample"):
        return f"{prefix}.shortcut.{'norm.' if module.endswith('1') else ''}{part}"
    return f"{prefix}.conv{module[-1]}.{'norm.' if 'bn' in module else ''}{part}"


def simclr_v2_name(name: str) -> str:
    """Names of SimCLR v2 in torch: Separius/SimCLRv2-Pytorch resnet.py; BatchNormRelu is a Sequential, hence the .0."""
    stage, block, module, part = place(name)
    if stage == 0:
        return f"net.0.{'1.0' if module == 'bn1' else '0'}.{part}"
    prefix = f"net.{stage}.blocks.{block}"
    if module.startswith("downsample"):
        return f"{prefix}.projection.{'bn.0' if module.endswith('1') else 'shortcut'}.{part}"
    index = 2 * (int(module[-1]) - 1)
    return f"{prefix}.net.{f'{index + 1}.0' if 'bn' in module else index}.{part}"


def haiku_module(name: str, root: str = "res_net50") -> str:
    """Haiku's module names: google-deepmind/deepmind-research byol/utils/networks.py, dm-haiku _src/nets/resnet.py."""
    stage, block, module, _ = place(name)
    batch_norm = "bn" in module or module == "downsample.1"
    if stage == 0:
        return f"{root}/~/initial_{'batchnorm' if batch_norm else 'conv'}"
    prefix = f"{root}/~/block_group_{stage - 1}/~/block_{block}/~"
    if module.startswith("downsample"):
        return f"{prefix}/shortcut_{'batchnorm' if batch_norm else 'conv'}"
    return f"{prefix}/{'batchnorm' if batch_norm else 'conv'}_{int(module[-1]) - 1}"


def msra_name(name: str) -> str | None:
    """Caffe2's blobs: facebookresearch/detectron2 detectron2/checkpoint/c2_model_loading.py. No running statistics."""
    stage, block, module, part = place(name)
    batch_norm = "bn" in module or module == "downsample.1"
    if batch_norm and part not in ("weight", "bias"):
        return None
    suffix = ("_bn_s" if part == "weight" else "_bn_b") if batch_norm else "_w"
    if stage == 0:
        return f"{'res_conv1' if batch_norm else 'conv1'}{suffix}"
    branch = "branch1" if module.startswith("downsample") else f"branch2{'abc'[int(module[-1]) - 1]}"
    return f"res{stage + 1}_{block}_{branch}{suffix}"


def downsample_first(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Blocks that register their shortcut before everything else."""

    def order(name: str) -> tuple[int, int, bool]:
        found = place(name)
        return (found.stage, found.block, not found.module.startswith("downsample"))

    return {name: tensors[name] for name in sorted(tensors, key=order)}


def hwio_strides(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Convolutions that were permuted from TensorFlow's layout and never made contiguous; torch.save keeps strides."""
    return {
        name: value.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1) if value.ndim == 4 else value
        for name, value in tensors.items()
    }


def arrays(tensors: Tensors) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in tensors.items()}


# ----------------------------------------------------------------------------------------------- what lies beside it


def linear(name: str, out: int = 4, inputs: int = 8, bias: bool = True) -> dict[str, torch.Tensor]:
    weight = {f"{name}.weight": torch.ones(out, inputs)}
    return weight | ({f"{name}.bias": torch.ones(out)} if bias else {})


def batch_norm(name: str, channels: int = 4, affine: bool = True) -> dict[str, torch.Tensor]:
    scale = {f"{name}.weight": torch.ones(channels), f"{name}.bias": torch.zeros(channels)} if affine else {}
    statistics = {f"{name}.running_mean": torch.zeros(channels), f"{name}.running_var": torch.ones(channels)}
    return scale | statistics | {f"{name}.num_batches_tracked": torch.tensor(7)}


def classifier(name: str = "fc", classes: int = 10) -> dict[str, torch.Tensor]:
    return linear(name, classes, 2048)


def optimizer(buffer: str = "momentum_buffer", lr: object = 0.03, **group: object) -> dict[str, object]:
    return {
        "state": {0: {buffer: torch.ones(3)}, 1: {buffer: torch.ones(2, 2)}},
        "param_groups": [{"lr": lr, "momentum": 0.9, "weight_decay": 1e-4, **group, "params": [0, 1]}],
    }


SCALER = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 9}
APEX = OrderedDict(loss_scaler0={"loss_scale": 65536.0, "unskipped": 12})


# ------------------------------------------------------------------------------------------------- torchvision, timm


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


# ---------------------------------------------------------------------------------------------------------- OpenMMLab


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


# ------------------------------------------------------------------------------------------------------ Facebook's own


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


def flat(backbone: Tensors, other: Tensors) -> object:
    return state_dict(counted(backbone))


def flat_with_classifier(backbone: Tensors, other: Tensors) -> object:
    return state_dict({**counted(backbone), **classifier()})


# -------------------------------------------------------------------------------------------------------------- VISSL


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


# ------------------------------------------------------------------------------------------------------------- SimCLR


def simclr_v1(backbone: Tensors, other: Tensors) -> object:
    # tonylins/simclr-converter convert.py and resnet_wider.py; README: trained without normalisation.
    return {"state_dict": state_dict({**counted(hwio_strides(downsample_first(backbone)), 0), **classifier()})}


def simclr_v2(backbone: Tensors, other: Tensors) -> object:
    # Separius/SimCLRv2-Pytorch convert.py; verify.py feeds ToTensor without normalisation.
    weights = renamed(simclr_v2_name, hwio_strides(downsample_first(backbone)))
    head = linear("layers.0", bias=False) | batch_norm("layers.1") | linear("layers.3", bias=False)
    head |= batch_norm("layers.4") | linear("layers.6", bias=False) | batch_norm("layers.7")
    return {"resnet": state_dict({**counted(weights, 0), **classifier()}), "head": state_dict(head)}


def simclr_pytorch(backbone: Tensors, other: Tensors) -> object:
    # sthalles/SimCLR simclr.py, models/resnet_simclr.py; data_aug/contrastive_learning_dataset.py ends in ToTensor.
    projection = linear("fc.0", 4, 2048) | linear("fc.2")
    named = state_dict(prefixed("backbone.", {**counted(backbone), **projection}))
    return {"epoch": 200, "arch": "resnet50", "state_dict": named, "optimizer": optimizer("exp_avg")}


# ------------------------------------------------------------------------------------------ Lightning and its children


@pretends("omegaconf.base")
@dataclasses.dataclass
class Metadata:
    ref_type: object = typing.Any
    object_type: object = None
    optional: bool = True
    key: object = None
    flags: dict[str, bool] = dataclasses.field(default_factory=dict)
    flags_root: bool = False
    resolver_cache: object = dataclasses.field(default_factory=lambda: collections.defaultdict(dict))


@pretends("omegaconf.base")
@dataclasses.dataclass
class ContainerMetadata(Metadata):
    key_type: object = typing.Any
    element_type: object = typing.Any


class _Node:
    def __init__(self, **state: object) -> None:
        self.__dict__.update(state)


@pretends("omegaconf.nodes")
class AnyNode(_Node):
    pass


@pretends("omegaconf.dictconfig")
class DictConfig(_Node):
    pass


@pretends("omegaconf.listconfig")
class ListConfig(_Node):
    pass


def omega(value: object, key: object = None, parent: object = None) -> _Node:
    """A node with the state that omegaconf 2.x pickles, cycles between parent and child included."""
    if isinstance(value, dict):
        node: _Node = DictConfig(_metadata=ContainerMetadata(key=key, object_type=dict), _parent=parent)
        node.__dict__["_content"] = {name: omega(inner, name, node) for name, inner in value.items()}
    elif isinstance(value, list):
        node = ListConfig(_metadata=ContainerMetadata(key=key, object_type=list, key_type=int), _parent=parent)
        node.__dict__["_content"] = [omega(inner, index, node) for index, inner in enumerate(value)]
    else:
        node = AnyNode(_metadata=Metadata(key=key), _parent=parent, _val=value)
    return node


@pretends("pytorch_lightning.callbacks.model_checkpoint")
class ModelCheckpoint:
    pass


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


# --------------------------------------------------------------------------------------------------------------- BYOL


def byol_pytorch(wrapper: str) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        # yaox12/BYOL-PyTorch trainer/byol_trainer.py, model/byol_model.py, model/basic_modules.py (`projetion`).
        mlp = linear("l1") | batch_norm("bn1") | linear("l2")
        model = {
            **prefixed("online_network.encoder.", renamed(sequential_name, counted(backbone))),
            **prefixed("online_network.projetion.", mlp),
            **prefixed("target_network.encoder.", renamed(sequential_name, counted(other))),
            **prefixed("target_network.projetion.", mlp),
            **prefixed("predictor.predictor.", mlp),
        }
        return {
            "config": {"model": {"backbone": {"type": "resnet50", "pretrained": False}}, "stage": "train"},
            "epoch": 300,
            "steps": 93_600,
            "model": state_dict(prefixed(wrapper, model)),
            "optimizer": optimizer(),
            "amp": APEX,
        }

    return build


@pretends("byol.byol_experiment")
class _ByolExperimentState(typing.NamedTuple):
    online_params: object
    target_params: object
    online_state: object
    target_state: object
    opt_state: object


@pretends("byol.utils.optimizers")
class ScaleByLarsState(typing.NamedTuple):
    mu: object


@pretends("byol.utils.optimizers")
class AddWeightDecayState(typing.NamedTuple):
    pass


@pretends("optax._src.transform")
class ScaleState(typing.NamedTuple):
    pass


@pretends("haiku._src.data_structures")
class frozendict(dict[str, object]):
    def __reduce__(self) -> tuple[object, ...]:
        return (frozendict, (dict(self),))


@pretends("haiku._src.data_structures")
class FlatMapping(dict[str, object]):
    def __reduce__(self) -> tuple[object, ...]:
        return (FlatMapping, (dict(self),))


@pretends("jax._src.array")
def _reconstruct_array(*arguments: object) -> object:
    raise NotImplementedError


class JaxArray:
    """Pickled as jax 0.4 and later pickle an array: NumPy's own recipe and, beside it, what jax knows."""

    def __init__(self, value: Array) -> None:
        self.value = value

    def __reduce__(self) -> tuple[object, ...]:
        function, arguments, state = typing.cast("tuple[object, ...]", self.value.__reduce__())
        return (_reconstruct_array, (function, arguments, state, {"weak_type": False}))


def haiku_trees(tensors: Tensors, tree: type[dict[str, object]]) -> tuple[object, object]:
    """Parameters and state: convolutions HWIO, batch norms 1x1x1xC.

    google-deepmind/dm-haiku haiku/_src/batch_norm.py and moving_averages.py: inference takes `average`; `hidden` is
    the same before its bias is corrected and differs.
    """
    parameters: dict[str, dict[str, Array]] = {}
    state: dict[str, dict[str, Array]] = {}
    for name, value in tensors.items():
        module, part = haiku_module(name), name.rsplit(".", 1)[1]
        if value.ndim == 4:
            parameters[module] = {"w": np.ascontiguousarray(value.permute(2, 3, 1, 0).numpy())}
        elif part in ("weight", "bias"):
            named = "scale" if part == "weight" else "offset"
            parameters.setdefault(module, {})[named] = value.numpy().reshape(1, 1, 1, -1)
        else:
            average = value.numpy().reshape(1, 1, 1, -1)
            state[f"{module}/~/{'mean' if part == 'running_mean' else 'var'}_ema"] = {
                "counter": np.array(7, dtype=np.int32),
                "hidden": 0.5 * average,
                "average": average,
            }
    for head in ("projector", "predictor"):
        parameters[f"{head}/linear"] = {"b": np.zeros(4, np.float32), "w": np.ones((8, 4), np.float32)}
        parameters[f"{head}/batch_norm"] = {
            "offset": np.zeros((1, 4), np.float32),
            "scale": np.ones((1, 4), np.float32),
        }
        parameters[f"{head}/linear_1"] = {"w": np.ones((4, 4), np.float32)}
        for average_name in ("mean_ema", "var_ema"):
            moving = {key: np.ones((1, 4), np.float32) for key in ("hidden", "average")}
            state[f"{head}/batch_norm/~/{average_name}"] = {"counter": np.array(7, dtype=np.int32), **moving}
    parameters["classifier"] = {"b": np.zeros(10, np.float32), "w": np.ones((2048, 10), np.float32)}

    def sorted_tree(nested: dict[str, dict[str, Array]]) -> object:
        return tree({module: tree(dict(sorted(nested[module].items()))) for module in sorted(nested)})

    return sorted_tree(parameters), sorted_tree(state)


def byol_deepmind(tree: type[dict[str, object]], jax_arrays: bool) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        # google-deepmind/deepmind-research byol/byol_experiment.py, byol/utils/checkpointing.py (dill, protocol 2; the
        # state comes as NumPy arrays, the random key as jax pickles it), byol/utils/dataset.py (mean and std).
        online, online_state = haiku_trees(backbone, tree)
        target, target_state = haiku_trees(other, tree)
        momentum = ScaleByLarsState(mu=tree({"classifier": tree({"b": np.zeros(10, np.float32)})}))
        state = _ByolExperimentState(
            online, target, online_state, target_state, (AddWeightDecayState(), momentum, ScaleState())
        )
        key = np.array([0, 1], dtype=np.uint32)
        return {"experiment_state": state, "step": 312_500, "rng": JaxArray(key) if jax_arrays else key}

    return build


# --------------------------------------------------------------------------------------------------- PixPro, InfoMin


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


# -------------------------------------------------------------------------------------- Hugging Face, PyCls, Detectron2

HUGGING_FACE = {
    "depths": [3, 4, 6, 3],
    "downsample_in_first_stage": False,
    "embedding_size": 64,
    "hidden_act": "relu",
    "hidden_sizes": [256, 512, 1024, 2048],
    "layer_type": "bottleneck",
    "model_type": "resnet",
    "num_channels": 3,
}


def hugging_face(prefix: str, **config: object) -> Writer:
    """huggingface/transformers modeling_resnet.py; config.json lies beside the file."""

    def write(path: Path, backbone: Tensors, other: Tensors) -> None:
        weights = prefixed(prefix, renamed(hugging_face_name, backbone))
        named: dict[str, torch.Tensor] = {**counted(weights), **(classifier("classifier.1") if prefix else {})}
        architecture = "ResNetForImageClassification" if prefix else "ResNetModel"
        content = {"architectures": [architecture], **HUGGING_FACE, **config, "torch_dtype": "float32"}
        path.with_name("config.json").write_text(json.dumps(content, indent=2))
        if path.suffix == ".safetensors":
            save_file(named, path, metadata={"format": "pt"})
        else:
            torch_file(lambda *_: state_dict(named))(path, backbone, other)

    return write


def bgr(backbone: Tensors) -> dict[str, torch.Tensor]:
    return {name: value.flip(1) if name == "conv1.weight" else value for name, value in backbone.items()}


def pycls(model: str, loader: str | None = "pytorch") -> Build:
    """facebookresearch/pycls pycls/core/checkpoint.py; `cfg` is the text of the whole configuration.

    pycls/datasets/imagenet.py normalises in RGB and then feeds the network BGR, so a network that computes what the
    given one computes has conv1's input channels reversed. With DATA_LOADER.MODE ffcv it feeds RGB.
    """

    def build(backbone: Tensors, other: Tensors) -> object:
        ordered = bgr if loader != "ffcv" else dict
        head = classifier("head.fc")
        config = [model, *([f"DATA_LOADER:\n  MODE: {loader}\n"] if loader else []), "OUT_DIR: /tmp\n"]
        return {
            "epoch": 99,
            "test_err": 22.9,
            "ema_err": 22.7,
            "model_state": state_dict({**counted(renamed(pycls_name, ordered(backbone))), **head}),
            "ema_state": state_dict({**counted(renamed(pycls_name, ordered(other))), **head}),
            "optimizer_state": optimizer(nesterov=True),
            "cfg": "".join(config),
        }

    return build


PYCLS_RESNET = """\
MODEL:
  DEPTH: 50
  NUM_CLASSES: 1000
  TYPE: resnet
RESNET:
  NUM_GROUPS: 1
  STRIDE_1X1: {stride}
  TRANS_FUN: bottleneck_transform
  WIDTH_PER_GROUP: 64
"""

# The model zoo's ResNet-50 is an AnyNet (configs/dds_baselines/resnet/R-50-1x64d_dds_8gpu.yaml). AnyNet strides in the
# 3x3 convolution (pycls/models/anynet.py) and never looks at RESNET, whose default is dumped nevertheless.
PYCLS_ANYNET = """\
ANYNET:
  BLOCK_TYPE: res_bottleneck_block
  BOT_MULS: [0.25, 0.25, 0.25, 0.25]
  DEPTHS: [3, 4, 6, 3]
  GROUP_WS: [64, 128, 256, 512]
  STEM_TYPE: res_stem_in
  STEM_W: 64
  STRIDES: [1, 2, 2, 2]
  WIDTHS: [256, 512, 1024, 2048]
MODEL:
  DEPTH: 0
  NUM_CLASSES: 1000
  TYPE: anynet
RESNET:
  NUM_GROUPS: 1
  STRIDE_1X1: true
  TRANS_FUN: basic_transform
  WIDTH_PER_GROUP: 64
"""


def pycls_old(backbone: Tensors, other: Tensors) -> object:
    # Before the averaged model there was no ema_state; pycls/core/checkpoint.py still reads such files.
    content = typing.cast("dict[str, object]", pycls(PYCLS_RESNET.format(stride="false"), None)(backbone, other))
    return {name: value for name, value in content.items() if "ema" not in name}


def detectron2_converted(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/detectron2 tools/convert-torchvision-to-d2.py turns the counters into arrays, too.
    named = renamed(detectron2_name, counted(backbone)) | prefixed("stem.", classifier())
    return {"model": arrays(named), "__author__": "torchvision", "matching_heuristics": True}


def detectron2_trained(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/fvcore fvcore/common/checkpoint.py, Checkpointer.save; Detectron2 GeneralizedRCNN with FPN. The
    # means of older versions lie in the file and say RGB here.
    return {
        "model": state_dict(
            {
                "pixel_mean": torch.tensor([123.675, 116.28, 103.53]).reshape(3, 1, 1),
                "pixel_std": torch.tensor([58.395, 57.12, 57.375]).reshape(3, 1, 1),
                "backbone.fpn_lateral2.weight": torch.ones(4, 8, 1, 1),
                "backbone.fpn_output2.weight": torch.ones(4, 4, 3, 3),
                **prefixed("backbone.bottom_up.", renamed(detectron2_name, counted(backbone))),
                "proposal_generator.rpn_head.conv.weight": torch.ones(4, 4, 3, 3),
                **linear("roi_heads.box_head.fc1"),
                **linear("roi_heads.box_predictor.cls_score"),
            }
        ),
        "optimizer": optimizer(),
        "scheduler": {"max_iter": 90_000, "last_epoch": 90_000, "base_lrs": [0.02]},
        "iteration": 89_999,
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
    Publisher("simclr-v1", "resnet50-1x.pth", "simclr-v1", "backbone", torch_file(simclr_v1), input="rgb-unit"),
    Publisher("simclr-v2", "r50_1x_sk0.pth", "simclr-v2", "resnet", torch_file(simclr_v2), input="rgb-unit"),
    Publisher(
        "simclr-pytorch",
        "checkpoint_0200.pth.tar",
        "simclr-pytorch",
        "backbone",
        torch_file(simclr_pytorch, cuda=True),
        input="rgb-unit",
    ),
    Publisher("lightning", "last.ckpt", "lightning", "model", torch_file(lightning_generic)),
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
    Publisher(
        "byol-pytorch",
        "resnet50_300.pth.tar",
        "byol-pytorch",
        "online",
        torch_file(byol_pytorch("module."), cuda=True),
        ("target",),
    ),
    Publisher(
        "byol-pytorch-one-gpu",
        "resnet50_300.pth.tar",
        "byol-pytorch",
        "online",
        torch_file(byol_pytorch(""), legacy=True),
        ("target",),
    ),
    Publisher(
        "byol-deepmind",
        "pretrain_res50x1.pkl",
        "byol-deepmind",
        "online",
        pickle_file(byol_deepmind(frozendict, False), protocol=2, numpy1=True),
        ("target",),
    ),
    Publisher(
        "byol-deepmind-flat-mapping",
        "pretrain.pkl",
        "byol-deepmind",
        "online",
        pickle_file(byol_deepmind(FlatMapping, False), protocol=2, numpy1=True),
        ("target",),
    ),
    Publisher(
        "byol-deepmind-jax-array",
        "pretrain.pkl",
        "byol-deepmind",
        "online",
        pickle_file(byol_deepmind(dict, True), protocol=2),
        ("target",),
    ),
    Publisher("pixpro", "current.pth", "pixpro", "encoder", torch_file(pixpro, cuda=True), ("momentum",)),
    Publisher(
        "pixpro-released",
        "pixpro_base_r50_400ep_md5_919c6612.pth",
        "pixpro",
        "encoder",
        torch_file(pixpro_released),
        ("momentum",),
    ),
    Publisher("infomin", "InfoMin_800.pth", "infomin", "encoder", torch_file(infomin, legacy=True)),
    Publisher("infomin-ema", "current.pth", "infomin", "encoder", torch_file(infomin_ema, cuda=True), ("ema",)),
    Publisher("hugging-face", "model.safetensors", "hugging-face", "backbone", hugging_face("resnet.")),
    Publisher(
        "hugging-face-model",
        "model.safetensors",
        "hugging-face",
        "backbone",
        hugging_face("", downsample_in_bottleneck=False),
    ),
    Publisher("hugging-face-bin", "pytorch_model.bin", "hugging-face", "backbone", hugging_face("resnet.")),
    Publisher(
        "pycls",
        "model_epoch_0100.pyth",
        "pycls",
        "model",
        torch_file(pycls(PYCLS_RESNET.format(stride="false")), cuda=True),
        ("ema",),
    ),
    Publisher("pycls-old", "R-50-1x64d_dds_8gpu.pyth", "pycls", "model", torch_file(pycls_old, legacy=True)),
    Publisher("pycls-anynet", "model.pyth", "pycls", "model", torch_file(pycls(PYCLS_ANYNET)), ("ema",)),
    Publisher("pycls-ffcv", "model.pyth", "pycls", "model", torch_file(pycls(PYCLS_ANYNET, "ffcv")), ("ema",)),
    Publisher("detectron2", "r50.pkl", "detectron2", "backbone", pickle_file(detectron2_converted, protocol=4)),
    Publisher(
        "detectron2-protocol-2",
        "r50.pkl",
        "detectron2",
        "backbone",
        pickle_file(detectron2_converted, protocol=2, numpy1=True),
    ),
    Publisher("detectron2-trained", "model_final.pth", "detectron2", "backbone", torch_file(detectron2_trained)),
)


# ------------------------------------------------------------------------------------------------------------ refusals


def blank(shapes: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Zeros of these shapes that share one storage, which torch.save writes once: the file stays small."""
    storage = torch.zeros(max(int(np.prod(shape)) for shape in shapes.values()), dtype=dtype)
    return {name: storage[: int(np.prod(shape))].view(shape) for name, shape in shapes.items()}


def batch_norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def resnet_shapes(
    blocks: tuple[int, ...], *, bottleneck: bool = True, base: int = 64, groups: int = 1, per_group: int = 64
) -> dict[str, tuple[int, ...]]:
    """Any ResNet of torchvision's, without its classifier; `base`: channels of the stem."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (base, 3, 7, 7), **batch_norm_shapes("bn1", base)}
    before = base
    for stage, count in enumerate(blocks):
        planes = base * 2**stage
        width = planes * per_group // 64 * groups
        out = 4 * planes if bottleneck else planes
        for block in range(count):
            prefix = f"layer{stage + 1}.{block}"
            kernels: list[tuple[int, ...]] = [(planes, before, 3, 3), (planes, planes, 3, 3)]
            if bottleneck:
                kernels = [(width, before, 1, 1), (width, width // groups, 3, 3), (out, width, 1, 1)]
            for number, kernel in enumerate(kernels, start=1):
                shapes[f"{prefix}.conv{number}.weight"] = kernel
                shapes |= batch_norm_shapes(f"{prefix}.bn{number}", kernel[0])
            if before != out:
                shapes[f"{prefix}.downsample.0.weight"] = (out, before, 1, 1)
                shapes |= batch_norm_shapes(f"{prefix}.downsample.1", out)
            before = out
    return shapes


def other_resnet(blocks: tuple[int, ...], dtype: torch.dtype = torch.float32, **kind: typing.Any) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        shapes = resnet_shapes(blocks, **kind)
        last = list(shapes.values())[-1][0]
        fc = {"fc.weight": (10, last), "fc.bias": (10,)}
        return state_dict(counted(blank({**shapes, **fc}, dtype)))

    return build


def without_stem(backbone: Tensors) -> dict[str, torch.Tensor]:
    return {name: value for name, value in backbone.items() if name.startswith("layer")}


def deep_stem(convolutions: tuple[str, ...], norms: tuple[str, ...]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    before = 3
    for convolution, norm, channels in zip(convolutions, norms, (32, 32, 64), strict=True):
        found[f"{convolution}.weight"] = torch.zeros(channels, before, 3, 3)
        found |= batch_norm(norm, channels)
        before = channels
    return found


def pooled_shortcut(backbone: Tensors) -> dict[str, torch.Tensor]:
    """Shortcuts that pool before they project: convolution and batch norm move up by one."""
    move = {"downsample.0": "downsample.1", "downsample.1": "downsample.2"}
    return renamed(lambda n: re.sub(r"downsample\.[01]", lambda found: move[found[0]], n), backbone)


def mmcls_v1c(backbone: Tensors, other: Tensors) -> object:
    # mmpretrain/models/backbones/resnet.py: the deep stem is made of ConvModules.
    numbers = ("0", "1", "2")
    stem = deep_stem(tuple(f"stem.{n}.conv" for n in numbers), tuple(f"stem.{n}.bn" for n in numbers))
    return mmengine_file({**prefixed("backbone.", {**stem, **counted(without_stem(backbone))}), **linear("head.fc")})


def mmcls_v1d(backbone: Tensors, other: Tensors) -> object:
    # Shortcuts pool where they stride: from layer2 on.
    plain = {name: value for name, value in backbone.items() if name.startswith("layer1.")}
    strided = {name: value for name, value in without_stem(backbone).items() if name not in plain}
    return mmcls_v1c(plain | pooled_shortcut(strided), other)


def mmseg_v1c(backbone: Tensors, other: Tensors) -> object:
    # mmseg/models/backbones/resnet.py, mmdet/models/backbones/resnet.py: layers, counted with their ReLUs.
    stem = deep_stem(tuple(f"stem.{n}" for n in (0, 3, 6)), tuple(f"stem.{n}" for n in (1, 4, 7)))
    head = {"decode_head.conv_seg.weight": torch.zeros(19, 8, 1, 1)}
    return mmengine_file({**prefixed("backbone.", {**stem, **counted(without_stem(backbone))}), **head})


def timm_resnet50d(path: Path, backbone: Tensors, other: Tensors) -> None:
    # huggingface/pytorch-image-models timm/models/resnet.py: the third batch norm of the stem is bn1.
    stem = deep_stem(("conv1.0", "conv1.3", "conv1.6"), ("conv1.1", "conv1.4", "bn1"))
    named = {**stem, **counted(pooled_shortcut(without_stem(backbone))), **classifier()}
    save_file(named, path, metadata={"format": "pt"})


def solo_learn_cifar(backbone: Tensors, other: Tensors) -> object:
    # vturrisi/solo-learn solo/methods/base.py replaces conv1 and takes the pooling away.
    weights = {**backbone, "conv1.weight": torch.zeros(64, 3, 3, 3)}
    return lightning_file({**prefixed("backbone.", counted(weights)), **linear("classifier", 10, 2048)})


def clip(backbone: Tensors, other: Tensors) -> object:
    # openai/CLIP clip/model.py, ModifiedResNet; the pooling of a shortcut is called -1 and has no tensors.
    stem = deep_stem(("conv1", "conv2", "conv3"), ("bn1", "bn2", "bn3"))
    attention = {"attnpool.positional_embedding": torch.zeros(50, 2048)}
    for name in ("k_proj", "q_proj", "v_proj", "c_proj"):
        attention |= linear(f"attnpool.{name}", 1024 if name == "c_proj" else 2048, 2048)
    text = {
        "positional_embedding": torch.zeros(77, 512),
        "text_projection": torch.zeros(512, 1024),
        "logit_scale": torch.tensor(4.6),
        "token_embedding.weight": torch.zeros(16, 512),
        "transformer.resblocks.0.attn.in_proj_weight": torch.zeros(1536, 512),
        "ln_final.weight": torch.zeros(512),
    }
    visual = {**stem, **counted(without_stem(backbone)), **attention}
    return state_dict({n: v.half() for n, v in {**prefixed("visual.", visual), **text}.items()})


def simclr_v2_sk1(backbone: Tensors, other: Tensors) -> object:
    # Separius/SimCLRv2-Pytorch resnet.py with sk_ratio 0.0625
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for index, channels in zip((0, 2, 4), (32, 32, 64), strict=True):
        shapes[f"net.0.{index}.weight"] = (channels, before, 3, 3)
        shapes |= batch_norm_shapes(f"net.0.{index + 1}.0", channels)
        before = channels
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        width = 32 * 2**stage
        for block in range(count):
            prefix = f"net.{stage}.blocks.{block}"
            if block == 0:
                shapes[f"{prefix}.projection.shortcut.2.weight"] = (4 * width, before, 1, 1)
                shapes |= batch_norm_shapes(f"{prefix}.projection.bn.0", 4 * width)
            middle = max(width // 16, 32)
            shapes[f"{prefix}.net.0.weight"] = (width, before, 1, 1)
            shapes |= batch_norm_shapes(f"{prefix}.net.1.0", width)
            shapes[f"{prefix}.net.2.main_conv.0.weight"] = (2 * width, width, 3, 3)
            shapes |= batch_norm_shapes(f"{prefix}.net.2.main_conv.1.0", 2 * width)
            shapes[f"{prefix}.net.2.mixing_conv.0.weight"] = (middle, width, 1, 1)
            shapes |= batch_norm_shapes(f"{prefix}.net.2.mixing_conv.1.0", middle)
            shapes[f"{prefix}.net.2.mixing_conv.2.weight"] = (2 * width, middle, 1, 1)
            shapes[f"{prefix}.net.3.weight"] = (4 * width, width, 1, 1)
            shapes |= batch_norm_shapes(f"{prefix}.net.4.0", 4 * width)
            before = 4 * width
    shapes |= {"fc.weight": (10, 2048), "fc.bias": (10,)}
    return {"resnet": state_dict(counted(blank(shapes), 0)), "head": state_dict(linear("layers.0", bias=False))}


def quantised(backbone: Tensors, other: Tensors) -> object:
    # pytorch/vision torchvision/models/quantization/resnet.py: the batch norms are folded into the convolutions.
    found: OrderedDict[str, torch.Tensor] = OrderedDict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in backbone.items():
            if value.ndim == 4:
                module = name.removesuffix(".weight")
                found[name] = torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)
                found[f"{module}.bias"] = torch.zeros(len(value))
                found[f"{module}.scale"] = torch.tensor(0.1)
                found[f"{module}.zero_point"] = torch.tensor(0)
    return found


def quantised_file(path: Path, backbone: Tensors, other: Tensors) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch_file(quantised)(path, backbone, other)


def vision_transformer(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/dino main_dino.py: a teacher without batch norms is not wrapped, the student always is.
    width = 384
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 197, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in range(12):
        for layer, (out, inputs) in layers.items():
            shapes[f"blocks.{block}.{layer}.weight"] = (out * width, inputs * width)
            shapes[f"blocks.{block}.{layer}.bias"] = (out * width,)
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{block}.{norm}.{part}": (width,) for part in ("weight", "bias")}
    network = blank(shapes)
    wrapped = {**prefixed("backbone.", network), **linear("head.mlp.0")}
    return {
        "student": state_dict(prefixed("module.", wrapped)),
        "teacher": state_dict(wrapped),
        "optimizer": optimizer("exp_avg"),
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small", patch_size=16),
        "dino_loss": OrderedDict(center=torch.zeros(1, 4)),
    }


def vision_transformer_flat(backbone: Tensors, other: Tensors) -> object:
    content = typing.cast("dict[str, dict[str, torch.Tensor]]", vision_transformer(backbone, other))
    teacher = content["teacher"]
    return {n.removeprefix("backbone."): v for n, v in teacher.items() if n.startswith("backbone.")}


def big_transfer(path: Path, backbone: Tensors, other: Tensors) -> None:
    # google-research/big_transfer bit_pytorch/models.py, load_from
    found: dict[str, Array] = {
        "resnet/root_block/standardized_conv2d/kernel": np.zeros((7, 7, 3, 64), np.float32),
        "resnet/group_norm/gamma": np.ones(2048, np.float32),
        "resnet/group_norm/beta": np.ones(2048, np.float32),
        "resnet/head/conv2d/kernel": np.zeros((1, 1, 2048, 10), np.float32),
        "resnet/head/conv2d/bias": np.zeros(10, np.float32),
    }
    before = 64
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        width = 32 * 2**stage
        for unit in range(1, count + 1):
            prefix = f"resnet/block{stage}/unit{unit:02d}"
            shapes = {"a": (1, 1, before, width), "b": (3, 3, width, width), "c": (1, 1, width, 4 * width)}
            for letter, shape in shapes.items():
                found[f"{prefix}/{letter}/standardized_conv2d/kernel"] = np.zeros(shape, np.float32)
                for part in ("gamma", "beta"):
                    found[f"{prefix}/{letter}/group_norm/{part}"] = np.ones(shape[2], np.float32)
            if unit == 1:
                found[f"{prefix}/a/proj/standardized_conv2d/kernel"] = np.zeros((1, 1, before, 4 * width), np.float32)
            before = 4 * width
    np.savez_compressed(path, **found)  # type: ignore[arg-type,unused-ignore]


def byol_deepmind_v2(backbone: Tensors, other: Tensors) -> object:
    # byol/utils/networks.py with resnet_v2: no batch norm after the stem, one after the last block instead.
    content = typing.cast("dict[str, typing.Any]", byol_deepmind(frozendict, False)(backbone, other))

    def second_version(tree: Mapping[str, object]) -> frozendict:
        return frozendict({n.replace("initial_batchnorm", "final_batchnorm"): v for n, v in tree.items()})

    state = content["experiment_state"]
    return {
        **content,
        "experiment_state": state._replace(**{n: second_version(state._asdict()[n]) for n in state._fields[:4]}),
    }


def msra(backbone: Tensors, other: Tensors) -> dict[str, Array]:
    # detectron2/checkpoint/detection_checkpoint.py: ImageNet models are flat, detection models have `blobs`.
    named = {msra_name(name): value.numpy() for name, value in bgr(backbone).items()}
    head = {"fc1000_w": np.zeros((10, 2048), np.float32), "fc1000_b": np.zeros(10, np.float32)}
    return {name: value for name, value in named.items() if name} | head


def msra_detector(backbone: Tensors, other: Tensors) -> object:
    blobs = msra(backbone, other)
    momentum = {f"{name}_momentum": np.zeros(1, np.float32) for name in ("conv1_w", "fpn_res2_2_sum_w")}
    return {
        "blobs": {**blobs, **momentum, "fpn_res2_2_sum_w": np.zeros((4, 4, 3, 3), np.float32)},
        "cfg": "MODEL: {}\n",
    }


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("msra", "R-50.pkl", pickle_file(msra, protocol=2, numpy1=True), ("MSRA",)),
    RefusedPublisher("msra-blobs", "model_final.pkl", pickle_file(msra_detector, protocol=2, numpy1=True), ("MSRA",)),
    RefusedPublisher("mmcls-v1c", "resnetv1c50_8xb32_in1k.pth", torch_file(mmcls_v1c), ("deep stem",)),
    RefusedPublisher("mmcls-v1d", "resnetv1d50_b32x8_imagenet.pth", torch_file(mmcls_v1d), ("deep stem",)),
    RefusedPublisher("mmseg-v1c", "fcn_r50-d8.pth", torch_file(mmseg_v1c), ("deep stem",)),
    RefusedPublisher("timm-resnet50d", "model.safetensors", timm_resnet50d, ("deep stem",)),
    RefusedPublisher("solo-learn-cifar", "simclr-cifar10-ep=999.ckpt", torch_file(solo_learn_cifar), ("3x3 stem",)),
    RefusedPublisher("clip", "RN50.pt", torch_file(clip), ("CLIP",)),
    RefusedPublisher("simclr-v2-sk1", "r50_1x_sk1.pth", torch_file(simclr_v2_sk1), ("selective kernel",)),
    RefusedPublisher(
        "resnet18",
        "resnet18-f37072fd.pth",
        torch_file(other_resnet((2, 2, 2, 2), bottleneck=False)),
        ("ResNet-18",),
    ),
    RefusedPublisher(
        "resnet34",
        "resnet34-b627a593.pth",
        torch_file(other_resnet((3, 4, 6, 3), bottleneck=False)),
        ("ResNet-34",),
    ),
    RefusedPublisher("resnet101", "resnet101-63fe2227.pth", torch_file(other_resnet((3, 4, 23, 3))), ("ResNet-101",)),
    # "wid" is what "width" and "wide" share.
    RefusedPublisher(
        "wide-resnet50-2",
        "wide_resnet50_2-95faca4d.pth",
        torch_file(other_resnet((3, 4, 6, 3), torch.float16, per_group=128)),
        ("wid",),
    ),
    RefusedPublisher(
        "resnet50w2",
        "swav_RN50w2_400ep_pretrain.pth.tar",
        torch_file(other_resnet((3, 4, 6, 3), torch.float16, base=128)),
        ("wid",),
    ),
    RefusedPublisher(
        "resnext50",
        "resnext50_32x4d-7cdf4587.pth",
        torch_file(other_resnet((3, 4, 6, 3), groups=32, per_group=4)),
        ("ResNeXt",),
    ),
    RefusedPublisher("quantised", "resnet50_fbgemm-bf931d71.pth", quantised_file, ("quantised",)),
    RefusedPublisher("pycls-stride-1x1", "model.pyth", torch_file(pycls(PYCLS_RESNET.format(stride="true"))), ("1x1",)),
    RefusedPublisher(
        "hugging-face-stride-1x1",
        "model.safetensors",
        hugging_face("resnet.", downsample_in_bottleneck=True),
        ("1x1",),
    ),
    RefusedPublisher(
        "dino-vit",
        "dino_deitsmall16_pretrain_full_checkpoint.pth",
        torch_file(vision_transformer),
        ("Vision Transformer",),
    ),
    RefusedPublisher(
        "dino-vit-backbone",
        "dino_deitsmall16_pretrain.pth",
        torch_file(vision_transformer_flat),
        ("Vision Transformer",),
    ),
    RefusedPublisher("big-transfer", "BiT-M-R50x1.npz", big_transfer, ("ResNetV2",)),
    RefusedPublisher(
        "byol-deepmind-v2", "pretrain.pkl", pickle_file(byol_deepmind_v2, protocol=2, numpy1=True), ("ResNetV2",)
    ),
)
