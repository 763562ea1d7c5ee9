"""From a protocol to an mmengine config: the parts that every benchmark on a toolbox shares.

A config starts as one that the toolbox ships, read by its path, and is edited as a plain nested dict. It never
supplies weights, and its digest stands in the record.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import PRECISIONS, Numerics
from benchmarks.input_convention import InputConvention
from results.errors import HarnessError
from results.record import sha256_of

AUTOCAST = {
    ("bf16", "cpu"): "bfloat16",
    ("bf16", "cuda"): "bfloat16",
    ("amp", "cpu"): "bfloat16",
    ("amp", "cuda"): "float16",
}
"""Type that the network computes in under autocast, by precision and device; float32 where there is no entry."""

LOCAL_KEYS = frozenset({"work_dir", "experiment_name", "data_root", "root", "seed", "load_from", "resume", "session"})
"""Keys that say where and which time a config runs, not what it is; its digest leaves them out."""

UNUSED_KEYS = (
    "auto_scale_lr",
    "dataset_type",
    "train_pipeline",
    "test_pipeline",
    "vis_backends",
    "test_cfg",
    "test_dataloader",
    "test_evaluator",
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


def preprocessor(convention: InputConvention) -> dict[str, Any]:
    """The data preprocessor of mmpretrain for an input convention.

    Its images are BGR, as OpenCV decodes them; ``to_rgb`` flips the channels before mean and deviation are applied.

    Args:
        convention: Input convention of the backbone.
    """
    return {
        "type": "ClsDataPreprocessor",
        "mean": list(convention.mean),
        "std": list(convention.std),
        "to_rgb": convention.channels == "RGB",
    }


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
