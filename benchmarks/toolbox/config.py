"""From a protocol to an mmengine config: the parts that every benchmark on a toolbox shares.

A config starts as one that the toolbox ships, read by its path, and is edited as a plain nested dict. It never
supplies weights, and its digest stands in the record.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import PRECISIONS, Numerics, TrainingContext
from benchmarks.input_convention import InputConvention
from benchmarks.protocol import Protocol
from results.errors import HarnessError
from results.record import sha256_of

AUTOCAST = {
    ("bf16", "cpu"): "bfloat16",
    ("bf16", "cuda"): "bfloat16",
    ("amp", "cpu"): "bfloat16",
    ("amp", "cuda"): "float16",
}
"""Type that the network computes in under autocast, by precision and device; float32 where there is no entry."""

LOCAL_KEYS = frozenset(
    {"work_dir", "experiment_name", "data_root", "root", "ann_file", "seed", "device", "load_from", "resume", "session"}
)
"""Keys that say where and which time a config runs, not what it is; its digest leaves them out."""

SGD_ARGUMENTS = {
    "lr": "learning_rate",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "nesterov": "nesterov",
    "dampening": "dampening",
}
LARS_ARGUMENTS = {"eta": "lars_coefficient", "eps": "lars_epsilon"}
"""Arguments of the optimisers, and the fields that they come from; LARS takes SGD's too."""

LOG_EVERY = 50
"""Iterations between two lines of the log."""

UNUSED_KEYS = (
    "auto_scale_lr",
    "dataset_type",
    "train_pipeline",
    "test_pipeline",
    "vis_backends",
    "test_cfg",
    "test_dataloader",
    "test_evaluator",
    "backend_args",
    "crop_size",
    "data_preprocessor",
    "data_root",
    "dataset_aug",
    "dataset_train",
    "img_ratios",
    "max_iter",
    "norm_cfg",
    "optimizer",
    "tta_model",
    "tta_pipeline",
    "view_pipeline",
)
"""Keys of shipped configs that nothing reads, or that would name what is not run."""


def shipped_config(package: str, path: str) -> dict[str, Any]:
    """Reads a config that a toolbox ships.

    By path, because mmengine's ``get_config('package::path')`` runs an installer under the maintained distributions.

    Args:
        package: Import name of the toolbox.
        path: Path below its ``.mim/configs``.

    Returns:
        The config with its bases merged, as nested plain dicts.

    Raises:
        HarnessError: The toolbox or its config is not there.
    """
    from mmengine.config import Config

    found = importlib.util.find_spec(package)
    file = Path(found.origin).parent / ".mim" / "configs" / path if found and found.origin else None
    if file is None or not file.is_file():
        raise HarnessError(
            f"{package} has no config {path}",
            "installed packages",
            "install the versions of the lock file: python -m pip install --no-deps -r requirements.lock",
        )
    config: dict[str, Any] = Config.fromfile(file)._cfg_dict.to_dict()
    return config


def use_runtime(config: dict[str, Any], scope: str, seed: int) -> None:
    """Sets what is the same for every benchmark: scope, seed, logging, no drawing, nothing loaded by itself.

    Convolutions are not forced to deterministic kernels: those differ only in gradients, and mmengine's switch would
    also refuse every other operation without one.

    Args:
        config: Changed in place.
        scope: Registry scope of the toolbox.
        seed: Seed of the job.
    """
    config["default_scope"] = scope
    config["randomness"] = {"seed": seed, "deterministic": False}
    config["env_cfg"]["cudnn_benchmark"] = False
    config["visualizer"] = {"type": "Visualizer", "vis_backends": []}
    config["default_hooks"].pop("visualization", None)
    config["load_from"] = None
    config["resume"] = False
    for key in UNUSED_KEYS:
        config.pop(key, None)


def normalisation(convention: InputConvention, flip_key: str) -> dict[str, Any]:
    """Arguments of a toolbox's data preprocessor for an input convention.

    Images reach it as BGR, as OpenCV decodes them; the channels are flipped before mean and deviation are applied.

    Args:
        convention: Input convention of the backbone.
        flip_key: The toolbox's name of the switch: ``to_rgb`` or ``bgr_to_rgb``.
    """
    return {"mean": list(convention.mean), "std": list(convention.std), flip_key: convention.channels == "RGB"}


def training_loader(
    dataset: Mapping[str, Any],
    protocol: Protocol,
    seed: int,
    *,
    endless: bool = False,
    by_aspect: bool = False,
    stack: bool = False,
) -> dict[str, Any]:
    """Loader of training images, whose order and randomness follow from the seed.

    The job is one process whose batch is the protocol's total, so that a trained BatchNorm sees what SyncBN sees over
    the ranks.

    Args:
        dataset: The toolbox's config of the data set.
        protocol: Says batch size and workers.
        seed: Seed of the job.
        endless: Whether training goes by iterations.
        by_aspect: Whether high and wide images are kept apart.
        stack: Whether all images have one size and are joined to one tensor.
    """
    return {
        **_loader(dataset, protocol["batch_size"], protocol["workers"], seed, stack),
        "sampler": {"type": "SeededOrder"},
        "batch_sampler": {"type": "SeededBatches", "endless": endless, "by_aspect": by_aspect},
    }


def evaluation_loader(
    dataset: Mapping[str, Any], protocol: Protocol, batch_size: int = 1, stack: bool = False
) -> dict[str, Any]:
    """Loader of test images in the order of their list."""
    return {
        **_loader(dataset, batch_size, protocol["workers"], None, stack),
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }


def _loader(dataset: Mapping[str, Any], batch_size: int, workers: int, seed: int | None, stack: bool) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "collate_fn": {"type": "collate_readable", "stack": stack},
        "dataset": {"type": "DrawnSamples", "dataset": dict(dataset), "seed": seed},
    }


def use_hooks(config: dict[str, Any], by_epoch: bool, checkpoint_every: int, seed: int) -> None:
    """Sets what happens during training: logging, checkpoints that can be resumed, evaluations that are kept.

    Args:
        config: Changed in place.
        by_epoch: Whether training goes by epochs, else by iterations.
        checkpoint_every: Epochs or iterations between two checkpoints.
        seed: Seed of the job.
    """
    hooks = config["default_hooks"]
    hooks["logger"] = {"type": "LoggerHook", "interval": LOG_EVERY, "log_metric_by_epoch": by_epoch}
    hooks["checkpoint"] = {
        "type": "CheckpointHook",
        "interval": checkpoint_every,
        "by_epoch": by_epoch,
        "max_keep_ckpts": 2,
    }
    config["log_processor"] = {"type": "LogProcessor", "window_size": LOG_EVERY, "by_epoch": by_epoch}
    config["custom_hooks"] = [
        {"type": "RefuseUnreadable", "priority": "VERY_HIGH"},
        {"type": "SeedIteration", "seed": seed, "priority": "VERY_HIGH"},
        {"type": "KeepEvaluations"},
        {"type": "SlimCheckpoint"},
    ]


def optimizer_config(protocol: Protocol) -> dict[str, Any]:
    """The protocol's optimiser as mmengine builds it."""
    arguments = {**SGD_ARGUMENTS, **(LARS_ARGUMENTS if protocol["optimizer"] == "LARS" else {})}
    given = {name: protocol[field] for name, field in arguments.items() if field in protocol.fields}
    return {"type": protocol["optimizer"], **given}


def use_trained_numerics(config: dict[str, Any], context: TrainingContext) -> None:
    """Sets the optimiser and how a network that is trained as a whole is computed; it is evaluated in float32.

    Args:
        config: Changed in place.
        context: The job.
    """
    numerics = context.numerics
    config["optim_wrapper"] = {
        "type": "AutocastOptimWrapper",
        "precision": numerics.precision,
        "device": context.device,
        "optimizer": optimizer_config(context.protocol),
    }
    config["network"] = {"channels_last": numerics.channels_last, "compile": numerics.compile}


def network_numerics(numerics: Numerics) -> dict[str, Any]:
    """Arguments of :class:`benchmarks.toolbox.modules.FeatureClassifier` for the job's numerics."""
    if numerics.precision not in PRECISIONS:
        raise ValueError(f"unknown precision {numerics.precision}")
    return {
        "precision": numerics.precision,
        "channels_last": numerics.channels_last,
        "compile_backbone": numerics.compile,
    }


def _walk(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every (path, key, value) of nested dicts and sequences."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield path, str(key), item
            yield from _walk(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _walk(item, f"{path}[{number}]")


def refuse_weights(config: Mapping[str, Any]) -> None:
    """Checks that a config loads no weights of its own: they come from the canonical backbone only.

    Raises:
        HarnessError: It names a checkpoint.
    """
    for path, key, value in _walk(config):
        if value and (key in ("pretrained", "load_from") or (key == "type" and value == "Pretrained")):
            raise HarnessError(
                f"the built config loads weights of its own: {path}.{key} = {value!r}",
                "toolbox config",
                "remove it: the backbone comes from --ckpt only",
            )


def config_digest(config: Mapping[str, Any]) -> str:
    """Identity of a built config, for the record: it shows where a toolbox upgrade changed what is run.

    Args:
        config: Nested mappings; folders, seeds and names of runs do not count.

    Returns:
        Hexadecimal sha256 of its canonical JSON.
    """
    return sha256_of(_without_local(config))


def _without_local(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_local(item) for key, item in value.items() if key not in LOCAL_KEYS}
    if isinstance(value, (list, tuple)):
        return [_without_local(item) for item in value]
    return value
