from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.toolbox.multi_head import multi_head_config

from benchmarks.base import Numerics
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.input_convention import input_convention
from benchmarks.toolbox import multi_head
from benchmarks.toolbox.config import config_digest, preprocessor, refuse_weights, shipped_config
from results.errors import HarnessError

FROZEN_DIGEST = "d9ec787befb12044f7fddbff230488770cd1119199e2e3bf68fb4b457daedd86"
"""Digest of the full protocol's config under the locked versions. Where a toolbox upgrade changes it, see what changed
in the config, and whether the number changes with it, before this is replaced."""

CHANGED: dict[str, Any] = {
    "layers": ("feature1", "feature5"),
    "pooling": "other",
    "head_norm": "BN",
    "head_norm_affine": True,
    "head_norm_momentum": 0.2,
    "head_norm_epsilon": 1e-3,
    "init_std": 0.02,
    "init_bias": 0.5,
    "optimizer": "Adam",
    "learning_rate": 0.02,
    "momentum": 0.8,
    "weight_decay": 0.0,
    "nesterov": False,
    "epochs": 91,
    "milestones": (30, 50),
    "gamma": 0.2,
    "workers": 0,
    "evaluation_interval": 5,
    "decoder": "pillow",
    "crop": 192,
    "short_edge": 240,
    "interpolation": "bicubic",
    "crop_area": (0.2, 1.0),
    "crop_aspect": (1.0, 1.0),
    "flip": 0.0,
    "brightness": 0.1,
    "contrast": 0.1,
    "saturation": 0.1,
    "hue": 0.1,
    "lighting_std": 0.2,
    "lighting_eigenvalues": (0.2, 0.02, 0.004),
    "lighting_eigenvectors": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}


def build(
    overrides: dict[str, Any] | None = None,
    root: str = "/data",
    seed: int = 0,
    convention: str = "rgb-mean-std",
    numerics: Numerics | None = None,
) -> dict[str, Any]:
    protocol = ImagenetMhead().protocol(overrides=overrides)
    return multi_head_config(
        protocol, "imagenet", Path(root), 1000, input_convention(convention), numerics or Numerics(), seed
    )


def test_config_of_the_full_protocol_is_the_known_one() -> None:
    assert config_digest(build()) == FROZEN_DIGEST


@pytest.mark.parametrize("field", sorted(CHANGED))
def test_every_field_reaches_the_config(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Some fields have one possible value; that they are wired all the same shows with the check of words taken away.
    monkeypatch.setattr(multi_head, "CHOICES", {})
    assert config_digest(build({field: CHANGED[field]})) != FROZEN_DIGEST


@pytest.mark.parametrize("field", ["pooling", "optimizer", "interpolation", "head_norm", "decoder"])
def test_a_word_that_nothing_follows_is_refused_when_a_run_is_planned(field: str) -> None:
    benchmark = ImagenetMhead()
    with pytest.raises(HarnessError, match=f"imagenet_mhead.{field}"):
        benchmark.check(benchmark.protocol(overrides={field: "unheard_of"}))


def test_every_field_is_looked_at() -> None:
    # classes is the official count, against which the data's own is compared; heads are built for the data's.
    together = {"classes", "batch_size", "ranks", "batch_size_per_rank"}
    assert set(CHANGED) | together == set(ImagenetMhead.table)


@pytest.mark.parametrize("field", ["batch_size", "ranks", "batch_size_per_rank"])
def test_batch_size_is_that_of_all_ranks_together(field: str) -> None:
    with pytest.raises(HarnessError, match="batch_size"):
        build({field: 16})
    config = build({"batch_size": 64, "ranks": 4, "batch_size_per_rank": 16})
    assert config["train_dataloader"]["batch_size"] == 64


@pytest.mark.parametrize(
    "overrides",
    [{"crop": 300}, {"epochs": 0}, {"short_edge": 0}, {"evaluation_interval": 0}, {"layers": ()}, {"crop": -1}],
)
def test_fields_that_cannot_stand_are_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(HarnessError):
        build(overrides)


def test_digest_leaves_out_folders_and_seeds_only() -> None:
    assert config_digest(build(root="/elsewhere", seed=3)) == FROZEN_DIGEST
    assert config_digest(build(convention="bgr-mean")) != FROZEN_DIGEST
    assert config_digest(build(numerics=Numerics(channels_last=True))) != FROZEN_DIGEST
    assert config_digest(build(numerics=Numerics(precision="bf16"))) != FROZEN_DIGEST
    assert config_digest(build(numerics=Numerics(compile=True))) != FROZEN_DIGEST
    assert json.loads(json.dumps(build()))["randomness"]["seed"] == 0


def test_seed_reaches_the_sampler_and_the_samples() -> None:
    config = build(seed=7)
    assert config["randomness"]["seed"] == 7
    assert config["train_dataloader"]["dataset"]["pipeline"][0] == {"type": "SeedSample", "seed": 7}


def test_preprocessor_follows_the_convention() -> None:
    # Images are BGR until the preprocessor: it has to flip them for RGB conventions, and only for those.
    assert preprocessor(input_convention("rgb-mean-std"))["to_rgb"]
    assert preprocessor(input_convention("rgb-unit"))["std"] == [255.0, 255.0, 255.0]
    bgr = preprocessor(input_convention("bgr-mean"))
    assert not bgr["to_rgb"]
    assert bgr["mean"] == [103.53, 116.28, 123.675]


@pytest.mark.parametrize(
    "extra",
    [
        {"load_from": "https://example.org/a.pth"},
        {"model": {"pretrained": "torchvision://resnet50"}},
        {"model": {"parts": [{"init_cfg": {"type": "Pretrained", "checkpoint": "a.pth"}}]}},
    ],
)
def test_a_config_never_brings_weights(extra: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match="weights of its own"):
        refuse_weights({"model": {}, **extra})


@pytest.mark.parametrize("package", ["mmpretrain", "no_such_toolbox"])
def test_a_missing_toolbox_config_is_a_users_error(package: str) -> None:
    with pytest.raises(HarnessError, match="no config"):
        shipped_config(package, "resnet/nothing.py")


def test_the_benchmark_is_imported_without_its_toolbox() -> None:
    check = (
        "import benchmarks.classification.imagenet_mhead, sys;"
        "sys.exit(bool({'torch', 'mmengine', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
