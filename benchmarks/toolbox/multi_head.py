"""The config of multi-head linear evaluation: one linear classifier on each feature map of a frozen ResNet-50."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.base import Numerics, PixelPipeline
from benchmarks.input_convention import InputConvention
from benchmarks.pooling import GRID_POOLS
from benchmarks.protocol import Protocol
from benchmarks.toolbox.config import network_numerics, preprocessor, refuse_weights, shipped_config, use_runtime
from results.errors import HarnessError, did_you_mean

BASE = "resnet/resnet50_8xb32_in1k.py"
"""Config of mmpretrain that everything below is laid over."""

CHOICES = {
    "pooling": ("grid",),
    "head_norm": ("SyncBN", "BN"),
    "optimizer": ("SGD",),
    "decoder": ("cv2", "pillow"),
    "interpolation": ("bilinear",),
}
"""Values that a field of text may have."""

LOG_EVERY = 50
"""Iterations between two lines of the log."""


def multi_head_config(
    protocol: Protocol,
    data: str,
    data_root: Path,
    classes: int,
    convention: InputConvention,
    numerics: Numerics,
    seed: int,
) -> dict[str, Any]:
    """Builds the config.

    The job is one process whose batch is the protocol's total, so that BatchNorm sees what SyncBN saw over the
    ranks. Only the last batch of an epoch may differ by fewer images than there were ranks: a distributed sampler
    repeats images until all ranks have equally many.

    Args:
        protocol: Table of the benchmark.
        data: Name of the data set, with splits ``train`` and ``val``.
        data_root: The folder given with ``--data``.
        classes: Outputs of every classifier.
        convention: Input convention of the backbone.
        numerics: Numerics of the job.
        seed: Seed of the job.

    Returns:
        Nested plain dicts, ready for :func:`benchmarks.toolbox.runner.train_frozen`.

    Raises:
        HarnessError: The fields of the protocol contradict each other.
    """
    check(protocol)
    config = shipped_config("mmpretrain", BASE)
    use_runtime(config, "mmpretrain", seed)
    config["data_preprocessor"] = preprocessor(convention)
    config["model"] = {
        "type": "FeatureClassifier",
        "backbone": {
            **config["model"]["backbone"],
            "type": "FeatureMapsResNet",
            "out_indices": (0, 1, 2, 3),
            "frozen_stages": 4,
            "norm_eval": True,
        },
        "head": _head(protocol, classes),
        **network_numerics(numerics),
    }
    split = {"data": data, "root": str(data_root), "classes": classes}
    config["train_dataloader"] = _loader(protocol, {**split, "split": "train"}, training_pipeline(protocol, seed), True)
    config["val_dataloader"] = _loader(protocol, {**split, "split": "val"}, evaluation_pipeline(protocol), False)
    config["val_evaluator"] = {"type": "MultiHeadAccuracy", "features": list(protocol["layers"])}
    _schedule(config, protocol)
    refuse_weights(config)
    return config


def evaluation_pixels(protocol: Protocol) -> PixelPipeline:
    """The test pipeline in the words of the proof."""
    return PixelPipeline(
        short_edge=protocol["short_edge"], crop=protocol["crop"], interpolation=protocol["interpolation"]
    )


def training_pipeline(protocol: Protocol, seed: int) -> list[dict[str, Any]]:
    """Training transforms: torchvision's on PIL images, then lighting, as in mmselfsup 0.x."""
    size = protocol["crop"]
    return [
        {"type": "SeedSample", "seed": seed},
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {"type": "NumpyToPIL", "to_rgb": True},
        {
            "type": "torchvision/RandomResizedCrop",
            "size": size,
            "scale": protocol["crop_area"],
            "ratio": protocol["crop_aspect"],
            "interpolation": protocol["interpolation"],
        },
        {"type": "torchvision/RandomHorizontalFlip", "p": protocol["flip"]},
        {"type": "torchvision/ColorJitter", **{name: protocol[name] for name in _JITTER}},
        {"type": "PILToNumpy", "to_bgr": True},
        {
            "type": "PCALighting",
            "eigenvalues": protocol["lighting_eigenvalues"],
            "eigenvectors": protocol["lighting_eigenvectors"],
            "std": protocol["lighting_std"],
        },
        {"type": "PackInputs", "meta_keys": ()},
    ]


def evaluation_pipeline(protocol: Protocol) -> list[dict[str, Any]]:
    """Test transforms."""
    return [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {
            "type": "ResizeEdge",
            "scale": protocol["short_edge"],
            "edge": "short",
            "backend": "pillow",
            "interpolation": protocol["interpolation"],
        },
        {"type": "CenterCrop", "crop_size": protocol["crop"]},
        {"type": "PackInputs", "meta_keys": ()},
    ]


_JITTER = ("brightness", "contrast", "saturation", "hue")


def _head(protocol: Protocol, classes: int) -> dict[str, Any]:
    return {
        "type": "MultiHead",
        "features": list(protocol["layers"]),
        "classes": classes,
        "pooling": protocol["pooling"],
        "norm": {
            "type": protocol["head_norm"],
            "affine": protocol["head_norm_affine"],
            "momentum": protocol["head_norm_momentum"],
            "eps": protocol["head_norm_epsilon"],
        },
        "init_cfg": {
            "type": "Normal",
            "layer": "Linear",
            "std": protocol["init_std"],
            "bias": protocol["init_bias"],
        },
    }


def _loader(
    protocol: Protocol, dataset: dict[str, Any], pipeline: list[dict[str, Any]], training: bool
) -> dict[str, Any]:
    return {
        "batch_size": protocol["batch_size"],
        "num_workers": protocol["workers"],
        "persistent_workers": protocol["workers"] > 0,
        "collate_fn": {"type": "collate_readable"},
        "sampler": {"type": "DefaultSampler", "shuffle": training},
        "dataset": {"type": "ListedImages", **dataset, "pipeline": pipeline, "test_mode": not training},
    }


def _schedule(config: dict[str, Any], protocol: Protocol) -> None:
    config["optim_wrapper"] = {
        "type": "OptimWrapper",
        "optimizer": {
            "type": protocol["optimizer"],
            "lr": protocol["learning_rate"],
            "momentum": protocol["momentum"],
            "weight_decay": protocol["weight_decay"],
            "nesterov": protocol["nesterov"],
        },
    }
    config["param_scheduler"] = [
        {
            "type": "MultiStepLR",
            "by_epoch": True,
            "milestones": list(protocol["milestones"]),
            "gamma": protocol["gamma"],
        }
    ]
    interval = protocol["evaluation_interval"]
    config["train_cfg"] = {"by_epoch": True, "max_epochs": protocol["epochs"], "val_interval": interval}
    config["val_cfg"] = {}
    config["default_hooks"]["logger"] = {"type": "LoggerHook", "interval": LOG_EVERY}
    config["default_hooks"]["checkpoint"] = {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 2}
    config["custom_hooks"] = [
        {"type": "RefuseUnreadable", "priority": "VERY_HIGH"},
        {"type": "SetEpoch"},
        {"type": "KeepEvaluations"},
        {"type": "SlimCheckpoint"},
    ]


def check(protocol: Protocol) -> None:
    """Refuses fields that cannot stand together, before anything is built.

    Raises:
        HarnessError: As said.
    """
    ranks, per_rank, total = (protocol[name] for name in ("ranks", "batch_size_per_rank", "batch_size"))
    positive = ("epochs", "batch_size", "crop", "short_edge", "evaluation_interval")
    small = [name for name in positive if protocol[name] < 1]
    if small:
        raise _contradiction(protocol, f"{small[0]} is {protocol[small[0]]}", small[0], "give it a value from 1 on")
    if ranks * per_rank != total:
        raise _contradiction(
            protocol,
            f"batch_size is {total}, but {ranks} ranks of {per_rank} make {ranks * per_rank}",
            "batch_size",
            f"also give --set {protocol.name}.batch_size_per_rank=N and --set {protocol.name}.ranks=N",
        )
    if protocol["crop"] > protocol["short_edge"]:
        raise _contradiction(
            protocol,
            f"a crop of {protocol['crop']} pixels does not fit into a short edge of {protocol['short_edge']}",
            "crop",
            f"also give --set {protocol.name}.short_edge=N",
        )
    layers = protocol["layers"]
    if not layers or not set(layers) <= set(GRID_POOLS) or len(set(layers)) < len(layers):
        raise _contradiction(
            protocol, f"layers cannot be {list(layers)}", "layers", f"name each once, of {', '.join(GRID_POOLS)}"
        )
    for field, valid in CHOICES.items():
        if protocol[field] not in valid:
            raise _contradiction(
                protocol, f"{field} cannot be '{protocol[field]}'", field, did_you_mean(protocol[field], valid)
            )


def _contradiction(protocol: Protocol, what: str, field: str, mend: str) -> HarnessError:
    return HarnessError(f"protocol {protocol.name}: {what}", f"{protocol.name}.{field}", mend)
