"""SimCLR pretraining of a ResNet-50: the config, the training, and the checkpoint in mmpretrain's form."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch

from benchmarks.backbone import digest, tensor_shapes
from benchmarks.base import TrainingContext
from benchmarks.input_convention import DEFAULT_CONVENTION, input_convention
from benchmarks.protocol import Protocol
from benchmarks.toolbox.config import (
    normalisation,
    refuse_weights,
    shipped_config,
    training_loader,
    use_hooks,
    use_runtime,
    use_trained_numerics,
)
from benchmarks.toolbox.modules.hooks import evaluations
from benchmarks.toolbox.modules.losses import LOSS
from benchmarks.toolbox.runner import go_on_from, session
from results.files import write_whole

BASE = "simclr/simclr_resnet50_8xb32-coslr-200e_in1k.py"
"""Config of mmpretrain that everything below is laid over."""

CHECKPOINT = "checkpoint.pth"
"""The finished network in its attempt."""

BACKBONE = "backbone."

LUMA_BGR = (0.114, 0.587, 0.2989)
"""Weights of grey (ITU-R BT.601) as mmpretrain has them, in the order of the channels."""


def simclr_config(context: TrainingContext, data: str) -> dict[str, Any]:
    """Builds the config.

    Args:
        context: The job, whose data set has the split ``train``.
        data: Name of the data set.

    Returns:
        Nested plain dicts, ready for :func:`pretrain`.
    """
    protocol, seed = context.protocol, context.required_seed()
    config = shipped_config("mmpretrain", BASE)
    use_runtime(config, "mmpretrain", seed)
    convention = input_convention(DEFAULT_CONVENTION)
    config["model"] = _model(protocol)
    config["model"]["data_preprocessor"] = {"type": "SelfSupDataPreprocessor", **normalisation(convention, "to_rgb")}
    images = {
        "type": "ListedImages",
        "data": data,
        "root": str(context.data_root),
        "classes": context.data.counts["classes"],
        "split": "train",
        "pipeline": training_pipeline(protocol),
    }
    config["train_dataloader"] = training_loader(images, protocol, seed, stack=True)
    use_trained_numerics(config, context)
    config["optim_wrapper"]["paramwise_cfg"] = {
        "custom_keys": {name: {"decay_mult": 0.0, "lars_exclude": True} for name in protocol["lars_exclusions"]}
    }
    _schedule(config, protocol)
    use_hooks(config, by_epoch=True, checkpoint_every=1, seed=seed)
    config["custom_hooks"].append({"type": "KeepLosses"})
    refuse_weights(config)
    return config


def _model(protocol: Protocol) -> dict[str, Any]:
    norm = {"type": protocol["norm"]}
    return {
        "type": "SimCLR",
        "backbone": {
            "type": "ResNet",
            "depth": 50,
            "norm_cfg": norm,
            "zero_init_residual": protocol["zero_init_residual"],
        },
        "neck": {
            "type": "NonLinearNeck",
            "in_channels": 2048,
            "hid_channels": protocol["neck_hidden"],
            "out_channels": protocol["neck_output"],
            "num_layers": 2,
            "with_bias": protocol["neck_bias"],
            "with_last_bias": protocol["neck_bias"],
            "with_last_bn": True,
            "with_last_bn_affine": True,
            "with_avg_pool": True,
            "norm_cfg": norm,
        },
        "head": {
            "type": "ContrastiveHead",
            "loss": {"type": "CrossEntropyLoss"},
            "temperature": protocol["temperature"],
        },
    }


def view_pipeline(protocol: Protocol) -> list[dict[str, Any]]:
    """Transforms of one view, on BGR uint8 images."""
    return [
        {
            "type": "RandomResizedCrop",
            "scale": protocol["crop"],
            "crop_ratio_range": protocol["crop_area"],
            "aspect_ratio_range": protocol["crop_aspect"],
            "interpolation": protocol["interpolation"],
            "backend": "pillow",
        },
        {"type": "RandomFlip", "prob": protocol["flip"]},
        {
            "type": "RandomApply",
            "prob": protocol["jitter"],
            "transforms": [
                {
                    "type": "ColorJitter",
                    "brightness": protocol["brightness"],
                    "contrast": protocol["contrast"],
                    "saturation": protocol["saturation"],
                    "hue": protocol["hue"],
                    "backend": "pillow",
                }
            ],
        },
        {
            "type": "RandomGrayscale",
            "prob": protocol["grayscale"],
            "keep_channels": True,
            "channel_weights": LUMA_BGR,
        },
        {
            "type": "GaussianBlur",
            "prob": protocol["blur"],
            "magnitude_range": protocol["blur_sigma"],
            # Uniform over the whole range.
            "magnitude_std": "inf",
        },
    ]


def training_pipeline(protocol: Protocol) -> list[dict[str, Any]]:
    """From a file to the views of one image."""
    return [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {"type": "MultiView", "num_views": 2, "transforms": [view_pipeline(protocol)]},
        {"type": "PackInputs", "meta_keys": ()},
    ]


def _schedule(config: dict[str, Any], protocol: Protocol) -> None:
    epochs, warmup = protocol["epochs"], protocol["warmup_epochs"]
    rise = {
        "type": "LinearLR",
        "start_factor": protocol["warmup_ratio"],
        "by_epoch": True,
        "begin": 0,
        "end": warmup,
        "convert_to_iter_based": True,
    }
    fall = {"type": "CosineAnnealingLR", "by_epoch": True, "T_max": epochs - warmup, "begin": warmup, "end": epochs}
    config["param_scheduler"] = [rise, fall] if warmup else [fall]
    config["train_cfg"] = {"by_epoch": True, "max_epochs": epochs}


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """What came out of pretraining.

    Args:
        path: The checkpoint, in the attempt.
        digest: Digest of its backbone.
        losses: Mean loss of every epoch, from the first on.
        resumed_from: Epochs that earlier attempts had trained.
    """

    path: Path
    digest: str
    losses: tuple[float, ...]
    resumed_from: int


def pretrain(config: Mapping[str, Any], context: TrainingContext, meta: Mapping[str, Any]) -> Pretrained:
    """Trains from nothing, or goes on from an earlier attempt, and writes the whole network.

    Args:
        config: The built config.
        context: The job.
        meta: Plain values for the checkpoint's ``meta``.

    Raises:
        HarnessError: An image or a list is broken, the loss is not finite, the disk is full.
    """
    origin = f"untrained, protocol {context.protocol.hash}"
    with session(config, context, origin) as runner:
        resumed_from = go_on_from(runner, context.previous, origin)
        runner.train()
        losses = _losses(evaluations(runner), context.protocol["epochs"])
        state = {name: value.detach().cpu() for name, value in runner.model.state_dict().items()}
    path = context.attempt / CHECKPOINT
    content = {"meta": dict(meta), "state_dict": state}

    def write(stream: IO[bytes]) -> None:
        torch.save(content, stream)

    write_whole(path, write)
    return Pretrained(path, digest({name: state[BACKBONE + name] for name in tensor_shapes()}), losses, resumed_from)


def _losses(kept: Sequence[Any], epochs: int) -> tuple[float, ...]:
    if [epoch for epoch, _ in kept] != list(range(1, epochs + 1)):
        raise RuntimeError(f"losses of {[epoch for epoch, _ in kept]}, not of every epoch up to {epochs}")
    return tuple(float(values[LOSS]) for _, values in kept)
