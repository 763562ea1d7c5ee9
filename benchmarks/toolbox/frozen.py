"""The config of linear evaluation: linear classifiers on a frozen ResNet-50.

What stands in the protocol is built: with ``layers`` a classifier on each pooled feature map, else one on the averaged
last map; with ``brightness`` colour jitter; with ``lighting_std`` PCA lighting; with ``crop_area`` random resized crops
and without it random crops out of a centred square.
"""

from __future__ import annotations

from typing import Any

from benchmarks.backbone import FEATURES
from benchmarks.base import JobContext, PixelPipeline
from benchmarks.pooling import GRID_POOLS
from benchmarks.protocol import Protocol, contradiction
from benchmarks.toolbox.config import (
    evaluation_loader,
    network_numerics,
    normalisation,
    optimizer_config,
    refuse_weights,
    shipped_config,
    training_loader,
    use_hooks,
    use_runtime,
)
from results.errors import did_you_mean

BASES = {
    "multi_head": "resnet/resnet50_8xb32_in1k.py",
    "average": "simclr/benchmarks/resnet50_8xb512-linear-coslr-90e_in1k.py",
}
"""Configs of mmpretrain that everything below is laid over."""

CHOICES = {
    "head_norm": ("SyncBN", "BN"),
    "optimizer": ("SGD", "LARS"),
    "decoder": ("cv2", "pillow"),
    "interpolation": ("bilinear",),
    "init": ("torch",),
}
"""Values that a field of text may have."""

AVERAGE = "average"
"""Name under which the classifier on the averaged last feature map is evaluated."""

AVERAGE_HEADS = {"res5avg_bn": True, "res5avg": False}
"""VISSL's classifiers on the averaged last feature map beside those on grids, and whether a norm precedes them."""

TEST_BATCH = 256
"""Most images of a test batch; nothing depends on it."""


def frozen_config(context: JobContext, data: str) -> dict[str, Any]:
    """Builds the config.

    Only the last batch of an epoch may differ from the published one by fewer images than there were ranks: a
    distributed sampler repeats images until all ranks have equally many.

    Args:
        context: The job, whose data set has the splits ``train`` and ``val``.
        data: Name of the data set.

    Returns:
        Nested plain dicts, ready for :func:`benchmarks.toolbox.runner.train`.

    Raises:
        HarnessError: The fields of the protocol contradict each other.
    """
    protocol, seed, classes = context.protocol, context.required_seed(), context.data.counts["classes"]
    check(protocol)
    config = shipped_config("mmpretrain", BASES["multi_head" if "layers" in protocol.fields else "average"])
    use_runtime(config, "mmpretrain", seed)
    config["data_preprocessor"] = {"type": "ClsDataPreprocessor", **normalisation(context.input, "to_rgb")}
    backbone = {key: value for key, value in config["model"]["backbone"].items() if key != "init_cfg"}
    config["model"] = {
        "type": "FeatureClassifier",
        "backbone": {
            **backbone,
            "type": "FeatureMapsResNet",
            "out_indices": (0, 1, 2, 3),
            "frozen_stages": 4,
            "norm_eval": True,
        },
        "head": _head(protocol, classes),
        **network_numerics(context.numerics),
    }
    images = {"type": "ListedImages", "data": data, "root": str(context.data_root), "classes": classes}
    train = {**images, "split": "train", "pipeline": training_pipeline(protocol)}
    test = {**images, "split": "val", "pipeline": evaluation_pipeline(protocol), "test_mode": True}
    config["train_dataloader"] = training_loader(train, protocol, seed, stack=True)
    config["val_dataloader"] = evaluation_loader(test, protocol, min(protocol["batch_size"], TEST_BATCH), stack=True)
    config["val_evaluator"] = {"type": "MultiHeadAccuracy", "features": list(classifiers(protocol))}
    _schedule(config, protocol)
    use_hooks(config, by_epoch=True, checkpoint_every=1, seed=seed)
    refuse_weights(config)
    return config


def classifiers(protocol: Protocol) -> tuple[str, ...]:
    """Names under which the classifiers are evaluated, as ``NAME`` and ``NAME_top5``."""
    if "layers" not in protocol.fields:
        return (AVERAGE,)
    return (*protocol["layers"], *protocol.values().get("average_heads", ()))


def evaluation_pixels(protocol: Protocol) -> PixelPipeline:
    """The test pipeline in the words of the proof."""
    return PixelPipeline(
        short_edge=protocol["short_edge"], crop=protocol["crop"], interpolation=protocol["interpolation"]
    )


def training_pipeline(protocol: Protocol) -> list[dict[str, Any]]:
    """Training transforms: torchvision's on PIL images, then lighting, as in mmselfsup 0.x."""
    jitter = {name: protocol[name] for name in _JITTER if name in protocol.fields}
    steps = [
        {"type": "ReadImage", "imdecode_backend": protocol["decoder"]},
        {"type": "NumpyToPIL", "to_rgb": True},
        *_crops(protocol),
        {"type": "torchvision/RandomHorizontalFlip", "p": protocol["flip"]},
    ]
    if jitter:
        steps.append({"type": "torchvision/ColorJitter", **jitter})
    steps.append({"type": "PILToNumpy", "to_bgr": True})
    if "lighting_std" in protocol.fields:
        steps.append(
            {
                "type": "PCALighting",
                "eigenvalues": protocol["lighting_eigenvalues"],
                "eigenvectors": protocol["lighting_eigenvectors"],
                "std": protocol["lighting_std"],
            }
        )
    return [*steps, {"type": "PackInputs", "meta_keys": ()}]


def _crops(protocol: Protocol) -> list[dict[str, Any]]:
    size, interpolation = protocol["crop"], protocol["interpolation"]
    if "crop_area" in protocol.fields:
        return [
            {
                "type": "torchvision/RandomResizedCrop",
                "size": size,
                "scale": protocol["crop_area"],
                "ratio": protocol["crop_aspect"],
                "interpolation": interpolation,
            }
        ]
    return [
        {"type": "torchvision/Resize", "size": protocol["short_edge"], "interpolation": interpolation},
        {"type": "torchvision/CenterCrop", "size": protocol["training_center_crop"]},
        {"type": "torchvision/RandomCrop", "size": size},
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


def _first_weights(protocol: Protocol) -> dict[str, Any] | None:
    """Mmengine's config of the initialisation; None leaves it to torch."""
    if "init" in protocol.fields:
        return None
    return {"type": "Normal", "layer": "Linear", "std": protocol["init_std"], "bias": protocol["init_bias"]}


def _head(protocol: Protocol, classes: int) -> dict[str, Any]:
    weights = _first_weights(protocol)
    if "layers" not in protocol.fields:
        return {"type": "AverageHead", "classes": classes, "init_cfg": weights}
    average = {"average_heads": list(protocol["average_heads"])} if "average_heads" in protocol.fields else {}
    return {
        "type": "MultiHead",
        **average,
        "features": list(protocol["layers"]),
        "classes": classes,
        "pooling": protocol["pooling"],
        "norm": {
            "type": protocol["head_norm"],
            "affine": protocol["head_norm_affine"],
            "momentum": protocol["head_norm_momentum"],
            "eps": protocol["head_norm_epsilon"],
        },
        "init_cfg": weights,
    }


def _schedule(config: dict[str, Any], protocol: Protocol) -> None:
    config["optim_wrapper"] = {"type": "OptimWrapper", "optimizer": optimizer_config(protocol)}
    if protocol.fields.get("head_norm_affine") and protocol["head_norm_affine"]:
        # VISSL leaves what its norms learn out of weight decay; without affine parameters there is nothing to decay.
        config["optim_wrapper"]["paramwise_cfg"] = {"norm_decay_mult": 0.0}
    epochs = protocol["epochs"]
    if protocol["schedule"] == "cosine":
        decay = {"type": "CosineAnnealingLR", "by_epoch": True, "T_max": epochs, "begin": 0, "end": epochs}
    else:
        decay = {
            "type": "MultiStepLR",
            "by_epoch": True,
            "milestones": list(protocol["milestones"]),
            "gamma": protocol["gamma"],
        }
    config["param_scheduler"] = [decay]
    config["train_cfg"] = {"by_epoch": True, "max_epochs": epochs, "val_interval": protocol["evaluation_interval"]}
    config["val_cfg"] = {}


def check(protocol: Protocol) -> None:
    """Refuses fields that cannot stand together, before anything is built.

    Raises:
        HarnessError: As said.
    """
    protocol.require_positive("epochs", "batch_size", "crop", "short_edge", "evaluation_interval")
    protocol.require_ranks()
    several = "layers" in protocol.fields
    protocol.require_choices(
        {
            **CHOICES,
            "pooling": ("grid",) if several else ("global_average",),
            "schedule": ("step",) if "milestones" in protocol.fields else ("cosine",),
        }
    )
    if protocol["crop"] > protocol["short_edge"]:
        raise contradiction(
            protocol,
            f"a crop of {protocol['crop']} pixels does not fit into a short edge of {protocol['short_edge']}",
            "crop",
            f"also give --set {protocol.name}.short_edge=N",
        )
    if protocol["optimizer"] == "LARS" and "lars_coefficient" not in protocol.fields:
        raise contradiction(protocol, "optimizer cannot be 'LARS'", "optimizer", did_you_mean("LARS", ("SGD",)))
    if several:
        _check_layers(protocol)
    if "training_center_crop" in protocol.fields:
        _check_center_crop(protocol)


def _check_layers(protocol: Protocol) -> None:
    layers = protocol["layers"]
    if not layers or not set(layers) <= set(GRID_POOLS) or len(set(layers)) < len(layers):
        raise contradiction(
            protocol, f"layers cannot be {list(layers)}", "layers", f"name each once, of {', '.join(FEATURES)}"
        )
    heads = protocol.values().get("average_heads", ())
    if not set(heads) <= set(AVERAGE_HEADS) or len(set(heads)) < len(heads):
        mend = f"name each at most once, of {', '.join(AVERAGE_HEADS)}"
        raise contradiction(protocol, f"average_heads cannot be {list(heads)}", "average_heads", mend)


def _check_center_crop(protocol: Protocol) -> None:
    square, crop, edge = (protocol[name] for name in ("training_center_crop", "crop", "short_edge"))
    if not crop <= square <= edge:
        raise contradiction(
            protocol,
            f"a square of {square} pixels does not lie between the crop of {crop} and the short edge of {edge}",
            "training_center_crop",
            f"give it a value from {crop} to {edge}",
        )
