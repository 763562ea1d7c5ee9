"""Checkpoints made by libraries themselves are read as they are: no special case, no --trust, exactly their weights.

mmpretrain and torchvision are the harness's own. The others are not among its requirements; each test is skipped where
its library is missing. An environment that has them, beside one that has the harness (from the repository's root):

    python3.11 -m venv .real && site=$(echo .real/lib/python3*/site-packages)
    (cd .venv/lib/python3*/site-packages && pwd) > $site/shared.pth
    .real/bin/python -m pip install --no-deps timm transformers "tokenizers<0.24" huggingface_hub httpx2 httpcore2 \
        anyio h11 pytorch-lightning lightning lightning-utilities torchmetrics lightly lightly-utils omegaconf \
        antlr4-python3-runtime==4.9.3 einops wheel "setuptools<70"
    .real/bin/python -m pip install --no-deps --no-build-isolation git+https://github.com/vturrisi/solo-learn
    .real/bin/python -m pytest -m slow tests/slow/test_real_libraries.py

PyPI has solo-learn as of 2021 only, which puts its network elsewhere; it is read too, in an environment of its own:
`solo-learn==1.0.2 pytorch-lightning==1.9.5 torchmetrics==0.11.4 lightning-bolts==0.7.0`, with what is shared above.
"""

from __future__ import annotations

import argparse
import copy
import functools
import hashlib
import inspect
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from benchmarks.backbone import build_backbone
from harness.checkpoint.intake import Facts, examine
from results.errors import HarnessError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Features = Callable[[torch.Tensor], torch.Tensor]

ABSENT = "{} is not installed; the head of this file says how"
PIXELS = 64
VIEWS = [[torch.rand(3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(view)) for view in (1, 2)]] * 2
"""Two views of each of two images: one batch of each training below."""


NORMS = {"weight": (0.5, 1.5), "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3), "running_var": (0.5, 1.5)}


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=ABSENT.format(name), exc_type=ImportError)


def randomised(model: Any) -> Any:
    """The model as if it were trained: other batch norms and smaller weights, and no two copies of a network alike."""
    generator = torch.Generator().manual_seed(7)
    for layer in layers(model):
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.mul_(0.7 + 0.2 * torch.rand(1, generator=generator))
        elif layer.affine:
            for part, (low, high) in NORMS.items():
                getattr(layer, part).data.uniform_(low, high, generator=generator)
    return model


def prints(tensors: list[torch.Tensor]) -> Counter[str]:
    """What the tensors hold, bit by bit, without names or order."""
    return Counter(
        f"{list(tensor.shape)} {hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()}"
        for tensor in tensors
    )


def layers(network: nn.Module) -> list[nn.Conv2d | _BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | _BatchNorm)]


def values(network: nn.Module) -> list[torch.Tensor]:
    """All tensors of the convolutions and batch norms of a network, but for the counters."""
    return [
        tensor
        for layer in layers(network)
        for name, tensor in layer.state_dict().items()
        if name != "num_batches_tracked"
    ]


def same(tensors: Mapping[str, torch.Tensor], network: nn.Module, features: Features | None = None) -> None:
    """The tensors are the network's, each of them, and in their places.

    `network` holds nothing but the backbone and, perhaps, a linear classifier; `features` gives its pooled features.
    """
    first, *_ = layers(network)
    assert isinstance(first, nn.Conv2d)
    assert torch.equal(tensors["conv1.weight"], first.weight)
    *_, last = (layer for layer in layers(network) if isinstance(layer, _BatchNorm))
    # Where the shortcut is registered is the library's affair; the last block has none.
    for part in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(tensors[f"layer4.2.bn3.{part}"], getattr(last, part)), part
    assert len(tensors) == 265
    assert prints(list(tensors.values())) == prints(values(network))
    training = network.training
    network.eval()
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = (features or network)(images).flatten(1)
        found = build_backbone(tensors)(images)
    network.train(training)
    assert expected.shape == (2, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def read(path: Path, form: str, encoder: str, choose: str | None = None) -> tuple[Facts, Mapping[str, torch.Tensor]]:
    """What intake says of a file; it names nothing foreign and leaves the user with nothing to worry about."""
    facts, tensors = examine(str(path), encoder=choose)
    print(f"\n{path.name}: {facts.format}, {facts.encoder} of {facts.encoders}, ignored {facts.ignored}")
    assert (facts.format, facts.encoder) == (form, encoder)
    assert facts.input == "rgb-mean-std"
    assert not facts.remarks
    unknown = (f"the publisher is not known from the file: input convention {facts.input} is taken (--input gives "
               "another)")  # fmt: skip
    assert facts.warnings == ((unknown,) if form in ("generic", "lightning") else ())
    return facts, tensors


def refused(path: Path, *said: str) -> None:
    with pytest.raises(HarnessError) as refusal:
        examine(str(path))
    print(f"\n{refusal.value}")
    for words in said:
        assert words in str(refusal.value)


# --------------------------------------------------------------------------------------------------------- torchvision


def torchvision_resnet() -> Any:
    torch.manual_seed(0)
    return randomised(torchvision.models.resnet50())


def torchvision_features(model: Any) -> nn.Module:
    bare = copy.deepcopy(model)
    bare.fc = nn.Identity()
    assert isinstance(bare, nn.Module)
    return bare


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", ["plain", "DataParallel", "compile"])
def test_torchvision(tmp_path: Path, wrap: str, zipped: bool) -> None:
    model = torchvision_resnet()
    wrappers: Mapping[str, Any] = {"plain": lambda m: m, "DataParallel": nn.DataParallel, "compile": torch.compile}
    wrapped = wrappers[wrap](model)
    path = tmp_path / "resnet50-0676ba61.pth"
    torch.save(wrapped.state_dict(), path, _use_new_zipfile_serialization=zipped)
    _, tensors = read(path, "torchvision", "backbone")
    same(tensors, torchvision_features(model))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", "ResNet-18"),
        ("resnet34", "ResNet-34"),
        ("resnet101", "ResNet-101"),
        ("wide_resnet50_2", "a wide ResNet-50"),
        ("resnext50_32x4d", "ResNeXt"),
    ],
)
def test_other_networks_of_torchvision_are_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    torch.manual_seed(0)
    path = tmp_path / f"{name}.pth"
    torch.save(randomised(torchvision.models.get_model(name, weights=None)).state_dict(), path)
    refused(path, said, "not a plain ResNet-50")


def test_torchvision_ready_for_quantisation(tmp_path: Path) -> None:
    # Its blocks have FloatFunctional and stubs of quantisation, none of which holds a tensor.
    torch.manual_seed(0)
    model = randomised(torchvision.models.quantization.resnet50(weights=None, quantize=False))
    path = tmp_path / "resnet50_float.pth"
    torch.save(model.state_dict(), path)
    _, tensors = read(path, "torchvision", "backbone")
    same(tensors, torchvision_features(model))


def test_torchvision_quantised_is_refused(tmp_path: Path) -> None:
    try:
        model = torchvision.models.quantization.resnet50(weights=None, quantize=True)
    except (RuntimeError, ImportError, AttributeError) as error:
        pytest.skip(f"torch does not quantise here: {error}")
    path = tmp_path / "resnet50_fbgemm.pth"
    torch.save(model.state_dict(), path)
    refused(path, "a quantised network")


def test_a_pickled_module_is_refused_with_its_class(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    torch.save(torchvision_resnet(), path)
    refused(path, "torchvision.models.resnet.ResNet", "nothing was run")


# ---------------------------------------------------------------------------------------------------------------- timm


@pytest.mark.parametrize("how", ["torch", "safetensors", "hub safetensors", "hub torch"])
def test_timm(tmp_path: Path, how: str) -> None:
    timm = library("timm")
    torch.manual_seed(0)
    model = randomised(timm.create_model("resnet50", pretrained=False))
    path = tmp_path / "model.safetensors"
    if how == "torch":
        path = tmp_path / "resnet50_a1_0-14fe96d1.pth"
        torch.save(model.state_dict(), path)
    elif how == "safetensors":
        save_file(model.state_dict(), path)
    else:
        safe = how == "hub safetensors"
        timm.models.save_for_hf(model, tmp_path, safe_serialization=safe)
        path = path if safe else tmp_path / "pytorch_model.bin"
    _, tensors = read(path, "torchvision", "backbone")
    same(tensors, model, lambda images: model.forward_head(model.forward_features(images), pre_logits=True))


def test_timm_training(tmp_path: Path) -> None:
    # What its train.py keeps: the model, its average, the optimizer, the arguments.
    utils = library("timm.utils")
    optim = library("timm.optim")
    torch.manual_seed(0)
    model = randomised(library("timm").create_model("resnet50", pretrained=False))
    average = utils.ModelEmaV3(randomised(copy.deepcopy(model)))
    model.conv1.weight.data.mul_(2)
    args = argparse.Namespace(model="resnet50", data_dir=tmp_path, lr=0.1, crop_pct=None, mean=(0.5, 0.5, 0.5))
    optimizer = optim.create_optimizer_v2(model, opt="lamb", lr=1e-3)
    model(torch.randn(2, 3, PIXELS, PIXELS)).sum().backward()
    optimizer.step()
    saver = utils.CheckpointSaver(
        model, optimizer, args=args, model_ema=average, checkpoint_dir=str(tmp_path), recovery_dir=str(tmp_path)
    )
    saver.save_checkpoint(epoch=0, metric=1.0)
    path = tmp_path / "model_best.pth.tar"
    _, tensors = read(path, "imagenet-training", "backbone")
    same(tensors, model, lambda images: model.forward_head(model.forward_features(images), pre_logits=True))
    _, averaged = examine(str(path), encoder="state_dict_ema")
    twin = average.module
    same(averaged, twin, lambda images: twin.forward_head(twin.forward_features(images), pre_logits=True))
    assert not torch.equal(averaged["conv1.weight"], tensors["conv1.weight"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet26", "a ResNet of 26 layers"),
        ("resnet50c", "a deep stem of three convolutions"),
        ("resnet50d", "a deep stem of three convolutions"),
        ("resnet101", "ResNet-101"),
        ("wide_resnet50_2", "a wide ResNet-50"),
        ("resnext50_32x4d", "ResNeXt"),
        ("resnetv2_50", "a ResNetV2"),
        ("seresnet50", "layer1.0.se.fc1.weight"),
        ("resnet50_gn", "running_mean"),
        ("resnet50_clip", "CLIP's ResNet"),
    ],
)
def test_other_networks_of_timm_are_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    timm = library("timm")
    torch.manual_seed(0)
    path = tmp_path / f"{name}.safetensors"
    save_file(timm.create_model(name, pretrained=False).state_dict(), path)
    refused(path, said)


# -------------------------------------------------------------------------------------------------------- Hugging Face


def saved_by_transformers(model: Any, folder: Path, safe: bool) -> Path:
    if safe:
        model.save_pretrained(folder)
        return folder / "model.safetensors"
    if "safe_serialization" in inspect.signature(model.save_pretrained).parameters:
        model.save_pretrained(folder, safe_serialization=False)
    else:
        # Version 5 writes safetensors only; it still reads the torch files of earlier ones.
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("kind", ["ResNetModel", "ResNetForImageClassification", "ResNetBackbone"])
def test_transformers(tmp_path: Path, kind: str, safe: bool) -> None:
    transformers = library("transformers")
    torch.manual_seed(0)
    model = randomised(getattr(transformers, kind)(transformers.ResNetConfig()))
    path = saved_by_transformers(model, tmp_path, safe)
    _, tensors = read(path, "hugging-face", "backbone")
    network = getattr(model, "resnet", model)
    if kind == "ResNetBackbone":
        same(tensors, network, lambda images: network(images).feature_maps[-1].mean((2, 3)))
    else:
        same(tensors, network, lambda images: network(images).pooler_output)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"downsample_in_bottleneck": True}, "1x1"),
        ({"depths": [3, 4, 23, 3]}, "ResNet-101"),
        ({"depths": [2, 2, 2, 2], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}, "ResNet-18"),
    ],
)
def test_other_networks_of_transformers_are_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    transformers = library("transformers")
    torch.manual_seed(0)
    model = randomised(transformers.ResNetModel(transformers.ResNetConfig(**config)))
    refused(saved_by_transformers(model, tmp_path, True), said)


# ----------------------------------------------------------------------------------------------------------- Lightning


def fitted(lightning: Any, model: Any, batches: Any, folder: Path, callbacks: Any = ()) -> Any:
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, lightning.callbacks.ModelCheckpoint) for callback in callbacks),
        default_root_dir=folder, callbacks=list(callbacks), num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, DataLoader(batches, batch_size=2))
    return trainer


def lightning_module(lightning: Any, hyper_parameters: Any) -> Any:
    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, config: Any, width: int = 2048) -> None:
            super().__init__()
            if isinstance(config, argparse.Namespace):
                self.save_hyperparameters()
            self.save_hyperparameters(config)
            self.encoder = torchvision.models.resnet50()
            self.encoder.fc = nn.Linear(width, 8)

        def training_step(self, batch: list[torch.Tensor], _: int) -> Any:
            loss = self.encoder(batch[0]).square().mean()
            self.log("loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-4)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=4)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    torch.manual_seed(0)
    return randomised(Module(hyper_parameters))


@pytest.mark.parametrize("config", ["Namespace", "omegaconf"])
@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_lightning(tmp_path: Path, package: str, config: str) -> None:
    lightning = library(package)
    if config == "omegaconf":
        hyper_parameters = library("omegaconf").OmegaConf.create(
            {"lr": 0.1, "rate": "${lr}", "name": "x", "steps": [1, 2], "nothing": None, "inner": {"a": True}}
        )
    else:
        hyper_parameters = argparse.Namespace(lr=0.1, data=tmp_path, betas=(0.9, 0.99), inner=argparse.Namespace(a=1))
    model = lightning_module(lightning, hyper_parameters)
    callbacks = [
        lightning.callbacks.ModelCheckpoint(tmp_path, monitor="loss", save_last=True, save_top_k=1),
        lightning.callbacks.EarlyStopping("loss"),
        lightning.callbacks.Timer(),
    ]
    fitted(lightning, model, VIEWS, tmp_path, callbacks)
    for path in (tmp_path / "last.ckpt", Path(callbacks[0].best_model_path)):
        _, tensors = read(path, "lightning", "encoder")
        same(tensors, torchvision_features(model.encoder))


@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_lightning_average(tmp_path: Path, package: str) -> None:
    # Its callback puts the average into state_dict; what was trained goes beside it.
    lightning = library(package)
    if not hasattr(lightning.callbacks, "EMAWeightAveraging"):
        pytest.skip("Lightning is older than 2.6")
    model = lightning_module(lightning, argparse.Namespace(lr=0.1))
    trained: dict[str, torch.Tensor] = {}

    class Keep(lightning.Callback):  # type: ignore[misc, name-defined]
        def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: Any) -> None:
            trained.update({name: value.clone() for name, value in module.state_dict().items()})

    callbacks = [
        Keep(),
        lightning.callbacks.EMAWeightAveraging(decay=0.5),
        lightning.callbacks.ModelCheckpoint(tmp_path, monitor="loss", save_last=True),
    ]
    # Two batches: the first average is a copy.
    fitted(lightning, model, VIEWS * 2, tmp_path, callbacks)
    # When training ends, the callback leaves the average in the module.
    _, tensors = read(tmp_path / "last.ckpt", "lightning", "encoder")
    same(tensors, torchvision_features(model.encoder))
    _, tensors = examine(str(tmp_path / "last.ckpt"), encoder="current_model_state.encoder")
    assert not torch.equal(tensors["conv1.weight"], model.encoder.conv1.weight)
    model.load_state_dict(trained)
    same(tensors, torchvision_features(model.encoder))


def test_lightning_weights_alone(tmp_path: Path) -> None:
    lightning = library("pytorch_lightning")
    model = lightning_module(lightning, argparse.Namespace(lr=0.1))
    fitted(lightning, model, VIEWS, tmp_path).save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    _, tensors = read(tmp_path / "weights.ckpt", "lightning", "encoder")
    same(tensors, torchvision_features(model.encoder))


# ------------------------------------------------------------------------------------------------------------- lightly


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


# ---------------------------------------------------------------------------------------------------------- solo-learn

SOLO_BATCHES = [(index, views, index) for index, views in enumerate(VIEWS)]
"""As its loaders give them: index, views, class."""

SIMSIAM = {"proj_hidden_dim": 64, "proj_output_dim": 32, "pred_hidden_dim": 64}
SIMCLR = {"proj_hidden_dim": 64, "proj_output_dim": 32, "temperature": 0.2}
LARS = {"clip_lr": True, "eta": 0.02, "exclude_bias_n_norm": True}
SOLO_METHODS: Mapping[str, tuple[str, dict[str, Any], str, bool]] = {
    "simclr": ("SimCLR", SIMCLR, "lars", False),
    # The learning rate of its predictor stands still, which puts a function into the state of its schedule.
    "simsiam": ("SimSiam", SIMSIAM, "sgd", False),
    "mocov2plus": ("MoCoV2Plus", {**SIMCLR, "queue_size": 64}, "sgd", True),
    "byol": ("BYOL", SIMSIAM, "lars", True),
}
"""Class, arguments, optimizer as in its scripts/pretrain, and whether there is a momentum network."""


def solo_config(method: str) -> Any:
    _, arguments, optimizer, momentum = SOLO_METHODS[method]
    config = {
        "name": "test",
        "method": method,
        "backbone": {"name": "resnet50"},
        "method_kwargs": arguments,
        "data": {"dataset": "imagenet", "num_large_crops": 2, "num_small_crops": 0, "num_classes": 10},
        "optimizer": {
            "name": optimizer, "batch_size": 2, "lr": 0.01, "classifier_lr": 0.1, "weight_decay": 1e-4,
            "kwargs": LARS if optimizer == "lars" else {"momentum": 0.9},
        },
        "scheduler": {"name": "warmup_cosine", "warmup_epochs": 0.5},
        "max_epochs": 1,
    }  # fmt: skip
    if momentum:
        config["momentum"] = {"base_tau": 0.99, "final_tau": 1.0, "classifier": True}
    made = library("omegaconf").OmegaConf.create(config)
    made.set_struct = False
    return made


@pytest.mark.parametrize("method", SOLO_METHODS)
def test_solo_learn(tmp_path: Path, method: str) -> None:
    methods = library("solo.methods")
    if "cfg" not in inspect.signature(methods.BaseMethod).parameters:
        pytest.skip("solo-learn is older than 1.0.5")
    config = solo_config(method)
    torch.manual_seed(0)
    model = randomised(getattr(methods, SOLO_METHODS[method][0])(config))
    checkpointer = library("solo.utils.checkpointer").Checkpointer(config, logdir=tmp_path)
    fitted(library("lightning.pytorch"), model, SOLO_BATCHES, tmp_path, [checkpointer])
    (path,) = tmp_path.glob("*/*.ckpt")
    solo_read(path, model, "backbone", "momentum_backbone", method)


@pytest.mark.parametrize("method", SOLO_METHODS)
def test_old_solo_learn(tmp_path: Path, method: str) -> None:
    methods = library("solo.methods")
    if "cfg" in inspect.signature(methods.BaseMethod).parameters:
        pytest.skip("solo-learn is newer than 1.0.2")
    kind, arguments, optimizer, momentum = SOLO_METHODS[method]
    if momentum:
        arguments = {**arguments, "base_tau_momentum": 0.99, "final_tau_momentum": 1.0, "momentum_classifier": True}
    torch.manual_seed(0)
    model: Any = getattr(methods, kind)(
        encoder="resnet50", num_classes=10, backbone_args={}, max_epochs=2, batch_size=2, optimizer="sgd",
        lars=optimizer == "lars", lr=0.01, weight_decay=1e-4, classifier_lr=0.1, exclude_bias_n_norm=True,
        accumulate_grad_batches=1, extra_optimizer_args={"momentum": 0.9}, scheduler="warmup_cosine", min_lr=0.0,
        warmup_start_lr=0.003, warmup_epochs=1, num_large_crops=2, num_small_crops=0, **arguments,
    )  # fmt: skip
    if momentum:
        # Its Lightning still gave the number of the loader.
        model.on_train_batch_end = functools.partial(model.on_train_batch_end, dataloader_idx=0)
    randomised(model)
    path = tmp_path / f"{method}-imagenet-ep=0.ckpt"
    fitted(library("pytorch_lightning"), model, SOLO_BATCHES, tmp_path).save_checkpoint(path)
    solo_read(path, model, "encoder", "momentum_encoder", method)


def solo_read(path: Path, model: Any, backbone: str, momentum: str, method: str) -> None:
    facts, tensors = read(path, "solo-learn", "backbone")
    same(tensors, getattr(model, backbone))
    assert facts.encoders == (("backbone", "momentum") if SOLO_METHODS[method][3] else ("backbone",))
    if SOLO_METHODS[method][3]:
        _, tensors = read(path, "solo-learn", "momentum", "momentum")
        same(tensors, getattr(model, momentum))


# ---------------------------------------------------------------------------------------------------------- mmpretrain

MM_MODELS: Mapping[str, tuple[str, str | None]] = {
    "mocov2_resnet50_8xb32-coslr-200e_in1k": ("momentum", "encoder_k"),
    "byol_resnet50_16xb256-coslr-200e_in1k": ("target", "target_net"),
    "mocov3_resnet50_8xb512-amp-coslr-100e_in1k": ("momentum", "momentum_encoder"),
    "simclr_resnet50_16xb256-coslr-200e_in1k": ("", None),
    "simsiam_resnet50_8xb32-coslr-100e_in1k": ("", None),
    "barlowtwins_resnet50_8xb256-coslr-300e_in1k": ("", None),
    "densecl_resnet50_8xb32-coslr-200e_in1k": ("momentum", "encoder_k"),
}
"""Its shipped configurations: name of the second encoder, and the model's attribute that holds it."""


def mm_model(name: str) -> Any:
    try:
        import mmpretrain.models  # noqa: F401
    except TypeError as error:
        # Its tests run in the harness's own environment.
        pytest.skip(f"mmpretrain does not go with transformers 5, only without transformers: {error}")
    from mmengine.model import revert_sync_batchnorm
    from mmpretrain import get_model

    torch.manual_seed(0)
    model: Any = revert_sync_batchnorm(get_model(name, pretrained=False))
    # Once only: the runner does not do it again.
    model.init_weights()
    return randomised(model)


def mm_trained(name: str, folder: Path, hooks: list[Any], epochs: int = 1) -> Any:
    """A runner that has trained, for one iteration an epoch, and has saved."""
    model = mm_model(name)
    from mmengine.dataset import default_collate
    from mmengine.runner import Runner
    from mmpretrain.structures import DataSample

    views: Any = [{"inputs": [255 * view for view in each], "data_samples": DataSample()} for each in VIEWS]
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=DataLoader(views, batch_size=2, collate_fn=default_collate),
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "LARS", "lr": 0.1, "momentum": 0.9}},
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 2},
            {"type": "CosineAnnealingLR", "T_max": 2, "by_epoch": True},
        ],
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        custom_hooks=hooks,
        default_scope="mmpretrain",
        experiment_name=uuid.uuid4().hex,
        log_level="WARNING",
    )
    runner.train()
    return runner


def mm_features(backbone: Any) -> Features:
    return lambda images: backbone(images)[-1].mean((2, 3))


@pytest.mark.parametrize("name", MM_MODELS)
def test_mmpretrain(tmp_path: Path, name: str) -> None:
    runner = mm_trained(name, tmp_path, [])
    second, attribute = MM_MODELS[name]
    facts, tensors = read(tmp_path / "epoch_1.pth", "mmpretrain", "backbone")
    same(tensors, runner.model.backbone, mm_features(runner.model.backbone))
    assert facts.encoders == ("backbone", *([second] if attribute else []))
    if attribute:
        _, tensors = read(tmp_path / "epoch_1.pth", "mmpretrain", second, second)
        copy_of_backbone = getattr(runner.model, attribute).module[0]
        same(tensors, copy_of_backbone, mm_features(copy_of_backbone))


def test_mmpretrain_average(tmp_path: Path) -> None:
    # Its hook swaps before it saves: state_dict holds the average.
    hook: dict[str, Any] = {"type": "EMAHook", "momentum": 0.25}
    runner = mm_trained(
        "simclr_resnet50_16xb256-coslr-200e_in1k", tmp_path, [hook], epochs=2
    )  # The first average is a copy.
    (average,) = (hook.ema_model.module for hook in runner.hooks if type(hook).__name__ == "EMAHook")
    assert not torch.equal(average.backbone.conv1.weight, runner.model.backbone.conv1.weight)
    facts, tensors = read(tmp_path / "epoch_2.pth", "mmpretrain", "backbone")
    same(tensors, average.backbone, mm_features(average.backbone))
    assert facts.encoders == ("backbone", "unaveraged")
    _, tensors = read(tmp_path / "epoch_2.pth", "mmpretrain", "unaveraged", "unaveraged")
    same(tensors, runner.model.backbone, mm_features(runner.model.backbone))


def test_mmengine_weights_alone(tmp_path: Path) -> None:
    model = mm_model("resnet50_8xb32_in1k")
    from mmengine.runner import save_checkpoint, weights_to_cpu

    path = tmp_path / "resnet50_8xb32_in1k_20210831-ea4938fc.pth"
    save_checkpoint({"meta": {"epoch": 1}, "state_dict": weights_to_cpu(model.state_dict())}, str(path))
    _, tensors = read(path, "mmpretrain", "backbone")
    same(tensors, model.backbone, mm_features(model.backbone))
