"""What stands beside the weights decides where names and shapes cannot: ``config.json``, ``cfg``, ``pixel_mean``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.backbone import digest
from harness.checkpoint.intake import examine
from results.errors import HarnessError
from tests.harness.checkpoint.publishers import detectron2_name, pycls_name

Tensors = dict[str, torch.Tensor]


def timm(folder: Path, weights: Tensors, config: object) -> str:
    save_file(weights, folder / "model.safetensors")
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text)
    return str(folder / "model.safetensors")


def pixels(mean: Any, std: Any) -> dict[str, Any]:
    return {"architecture": "resnet50", "pretrained_cfg": {"mean": mean, "std": std}}


@pytest.mark.parametrize("name", ["resnet50", "resnet50.a1_in1k", "tv_resnet50"])
def test_timms_plain_networks(small: Tensors, tmp_path: Path, name: str) -> None:
    facts, _ = examine(timm(tmp_path, small, {"architecture": name}))
    assert (facts.digest, facts.warnings) == (digest(small), ())


@pytest.mark.parametrize("name", ["resnetaa50", "resnetblur50", "resnet50_gn", "resnet50d", "seresnet50\x1b"])
def test_timms_other_networks_with_the_same_names_and_shapes(small: Tensors, tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match="says architecture") as caught:
        examine(timm(tmp_path, small, {"architecture": name}))
    assert name.rstrip("\x1b") in caught.value.what
    assert "\x1b" not in caught.value.what


@pytest.mark.parametrize(
    ("config", "input", "said"),
    [
        (pixels([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), "rgb-mean-std", None),
        (pixels([0, 0, 0], [1, 1, 1]), "rgb-unit", None),
        (pixels([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]), "rgb-unit", None),
        (pixels([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), "rgb-mean-std", "mean [0.5, 0.5, 0.5]"),
        ({"pretrained_cfg": "none"}, "rgb-mean-std", None),
        ([1, 2], "rgb-mean-std", None),
        ("{", "rgb-mean-std", None),
        ("[" * 100_000, "rgb-mean-std", None),
        (" " * 2**20 + json.dumps({"architecture": "resnetaa50"}), "rgb-mean-std", None),
    ],
)
def test_the_pixels_that_timm_declares(small: Tensors, tmp_path: Path, config: object, input: str, said: str) -> None:
    facts, _ = examine(timm(tmp_path, small, config))
    assert facts.input == input
    assert [said in warning for warning in facts.warnings] == ([True] if said else [])


def test_a_config_that_never_ends_is_left_alone(small: Tensors, tmp_path: Path) -> None:
    path = timm(tmp_path, small, {})
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").symlink_to("/dev/zero")
    assert examine(path)[0].digest == digest(small)
    (tmp_path / "config.json").unlink()
    os.mkfifo(tmp_path / "config.json")
    assert examine(path)[0].digest == digest(small)


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ("RESNET:\n  STRIDE_1X1: false\n", None),
        ("MODEL:\n  TYPE: anynet\nRESNET:\n  STRIDE_1X1: true\n", None),
        (None, "nothing in the file says"),
        ("RESNET: [1]\n", "nothing in the file says"),
        ("a: &a [*a]\n", "nothing in the file says"),
        ("{" * 100_000, "nothing in the file says"),
        ("x" * 2**21, "nothing in the file says"),
    ],
)
def test_the_stride_that_pycls_declares(small: Tensors, tmp_path: Path, cfg: str | None, said: str | None) -> None:
    named = {pycls_name(name): value for name, value in small.items()}
    torch.save({"model_state": named, "cfg": cfg}, tmp_path / "model.pyth")
    facts, tensors = examine(str(tmp_path / "model.pyth"))
    assert torch.equal(tensors["conv1.weight"], small["conv1.weight"].flip(1)), "PyCls feeds BGR"
    assert [said in warning for warning in facts.warnings] == ([True] if said else [])


def detectron2(folder: Path, small: Tensors, mean: torch.Tensor | None, head: bool = False) -> str:
    named = {}
    for name, value in small.items():
        shared = head and name.startswith("layer4.")
        named[("roi_heads." if shared else "backbone.") + detectron2_name(name)] = value
    if mean is not None:
        named["pixel_mean"] = mean
    torch.save({"model": named, "iteration": 3}, folder / "model_final.pth")
    return str(folder / "model_final.pth")


@pytest.mark.parametrize(
    ("mean", "input"),
    [
        ([103.53, 116.28, 123.675], "bgr-mean"),
        ([123.675, 116.28, 103.53], "rgb-mean-std"),
        (None, "rgb-mean-std"),
    ],
)
def test_the_pixels_that_detectron2_declares(
    small: Tensors, tmp_path: Path, mean: list[float] | None, input: str
) -> None:
    found = None if mean is None else torch.tensor(mean).reshape(3, 1, 1)
    facts, _ = examine(detectron2(tmp_path, small, found))
    assert (facts.digest, facts.input) == (digest(small), input)
    assert any("detectron2's default is BGR" in warning for warning in facts.warnings) == (mean is None)
    assert any("stride" in warning for warning in facts.warnings)


def test_a_c4_detector_has_layer4_in_the_head_of_its_regions(tensors: Tensors, tmp_path: Path) -> None:
    facts, _ = examine(detectron2(tmp_path, tensors, None, head=True))
    assert facts.digest == digest(tensors)
    assert not any(entry.startswith("roi_heads") for entry in facts.ignored)
