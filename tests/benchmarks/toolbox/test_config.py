from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import JobContext, Numerics
from benchmarks.classification.imagenet_linear import ImagenetLinear
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.classification.inaturalist2018_mhead import Inaturalist2018Mhead
from benchmarks.classification.linear_evaluation import LinearEvaluation
from benchmarks.classification.places205_mhead import Places205Mhead
from benchmarks.input_convention import input_convention
from benchmarks.toolbox import frozen
from benchmarks.toolbox.config import config_digest, normalisation, refuse_weights, shipped_config
from benchmarks.toolbox.frozen import frozen_config
from results.errors import HarnessError
from results.record import DataStamp

BENCHMARKS: dict[str, LinearEvaluation] = {
    benchmark.name: benchmark
    for benchmark in (ImagenetMhead(), ImagenetLinear(), Places205Mhead(), Inaturalist2018Mhead())
}

DIGESTS = {
    "imagenet_mhead": "c80483929ba6ebbbd485bef8c41e06207017c1c318f35dbfe940b1208479b586",
    "imagenet_linear": "cc25281db3b5d9f5c84cedd8c6ccbbbbfecd05cf66669319b5cf01f687278545",
    "places205_mhead": "d281dec4e667deeac083cc386c0c82b1f54b1975374f636c5c8d0b50568e47c8",
    "inaturalist2018_mhead": "c8c91ef30f2ef2a6bc31dc4dcfc153c69bbe9b52ad6f5473275c50d842a2a0c4",
}
"""Digests of the full protocols' configs under the locked versions. Where a toolbox upgrade changes one, see what
changed in the config, and whether the number changes with it, before this is replaced."""

KNOWN = DIGESTS["imagenet_mhead"]

CHANGED: dict[str, Any] = {
    "layers": ("feature1", "feature5"),
    "head_norm": "BN",
    "head_norm_affine": True,
    "head_norm_momentum": 0.2,
    "head_norm_epsilon": 1e-3,
    "init_std": 0.02,
    "init_bias": 0.5,
    "optimizer": "Adam",
    "lars_coefficient": 0.002,
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
    "training_center_crop": 240,
}
"""Other values, by field."""

OFTEN = {
    "nesterov": {"imagenet_linear": True},
    "weight_decay": {"imagenet_linear": 0.1},
    "short_edge": {"places205_mhead": 300},
}
"""Other values where those above are a benchmark's own."""

NOT_BUILT = {"classes", "batch_size", "ranks", "batch_size_per_rank"}
"""classes is the official count, against which the data's own is compared; heads are built for the data's. The others
go together."""


def build(
    overrides: dict[str, Any] | None = None,
    root: str = "/data",
    seed: int = 0,
    convention: str = "rgb-mean-std",
    numerics: Numerics | None = None,
    benchmark: str = "imagenet_mhead",
) -> dict[str, Any]:
    measured = BENCHMARKS[benchmark]
    context = JobContext(
        protocol=measured.protocol(overrides=overrides),
        backbone=Path("/nowhere"),
        digest="0" * 64,
        input=input_convention(convention),
        data_root=Path(root),
        data=DataStamp(measured.data, "0" * 64, {"classes": measured.table["classes"].value}),
        seed=seed,
        numerics=numerics or Numerics(),
        attempt=Path("/nowhere"),
        features=None,
        previous=(),
        threads=1,
        device="cpu",
    )
    return frozen_config(context, measured.data)


ONE_VALUE = {"pooling", "schedule"}
"""Fields whose only value the kind of head or schedule itself stands for; another one has to be refused."""


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_config_of_the_full_protocol_is_the_known_one(benchmark: str) -> None:
    assert config_digest(build(benchmark=benchmark)) == DIGESTS[benchmark]


@pytest.mark.parametrize(
    ("benchmark", "field"),
    [
        (name, field)
        for name, benchmark in BENCHMARKS.items()
        for field in sorted(set(benchmark.table) - NOT_BUILT - ONE_VALUE)
    ],
)
def test_every_field_reaches_the_config(benchmark: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Some fields have one possible value; that they are wired all the same shows with the check of words taken away.
    monkeypatch.setattr(frozen, "CHOICES", {})
    value = OFTEN.get(field, {}).get(benchmark, CHANGED[field])
    assert value != BENCHMARKS[benchmark].table[field].value
    assert config_digest(build({field: value}, benchmark=benchmark)) != DIGESTS[benchmark]


@pytest.mark.parametrize("field", ["pooling", "optimizer", "schedule", "interpolation", "head_norm", "decoder"])
def test_a_word_that_nothing_follows_is_refused_when_a_run_is_planned(field: str) -> None:
    benchmark = ImagenetMhead()
    with pytest.raises(HarnessError, match=f"imagenet_mhead.{field}"):
        benchmark.check(benchmark.protocol(overrides={field: "unheard_of"}))


@pytest.mark.parametrize(
    ("benchmark", "field", "value"),
    [
        ("imagenet_linear", "pooling", "grid"),
        ("imagenet_linear", "schedule", "step"),
        ("imagenet_mhead", "pooling", "global_average"),
        ("places205_mhead", "training_center_crop", 223),
        ("places205_mhead", "training_center_crop", 257),
    ],
)
def test_what_this_kind_of_evaluation_cannot_follow_is_refused(benchmark: str, field: str, value: Any) -> None:
    measured = BENCHMARKS[benchmark]
    with pytest.raises(HarnessError, match=f"{benchmark}.{field}"):
        measured.check(measured.protocol(overrides={field: value}))


def test_lars_is_refused_where_its_coefficient_is_missing() -> None:
    benchmark = ImagenetMhead()
    with pytest.raises(HarnessError, match="LARS"):
        benchmark.check(benchmark.protocol(overrides={"optimizer": "LARS"}))


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
    assert config_digest(build(root="/elsewhere", seed=3)) == KNOWN
    assert config_digest(build(convention="bgr-mean")) != KNOWN
    assert config_digest(build(numerics=Numerics(channels_last=True))) != KNOWN
    assert config_digest(build(numerics=Numerics(precision="bf16"))) != KNOWN
    assert config_digest(build(numerics=Numerics(compile=True))) != KNOWN
    assert json.loads(json.dumps(build()))["randomness"]["seed"] == 0


def test_seed_reaches_the_runner_the_samples_and_the_network() -> None:
    config = build(seed=7)
    assert config["randomness"]["seed"] == 7
    assert config["train_dataloader"]["dataset"]["seed"] == 7
    assert config["val_dataloader"]["dataset"]["seed"] is None
    assert [hook["seed"] for hook in config["custom_hooks"] if hook["type"] == "SeedIteration"] == [7]


def test_preprocessor_follows_the_convention() -> None:
    # Images are BGR until the preprocessor: it has to flip them for RGB conventions, and only for those.
    assert normalisation(input_convention("rgb-mean-std"), "to_rgb")["to_rgb"]
    assert normalisation(input_convention("rgb-unit"), "to_rgb")["std"] == [255.0, 255.0, 255.0]
    bgr = normalisation(input_convention("bgr-mean"), "to_rgb")
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


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_benchmark_is_imported_without_its_toolbox(benchmark: str) -> None:
    check = (
        f"import benchmarks.classification.{benchmark}, sys;"
        "sys.exit(bool({'torch', 'mmengine', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
