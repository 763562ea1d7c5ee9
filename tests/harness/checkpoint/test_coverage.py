"""Exactly the 265 tensors of a ResNet-50, or a refusal that says what is wrong with which."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torchvision import models

from benchmarks.backbone import digest, tensor_shapes
from harness.checkpoint.coverage import check, coverage_of
from harness.checkpoint.formats.base import Converted
from harness.checkpoint.formats.catalogue import convert
from harness.checkpoint.stored import InMemory
from results.errors import HarnessError
from tests.harness.checkpoint.conftest import in_memory

Tensors = dict[str, torch.Tensor]


def converted(weights: Mapping[str, object]) -> Converted:
    stored = {name: InMemory(value) if isinstance(value, torch.Tensor) else value for name, value in weights.items()}
    return Converted("torchvision", "backbone", "rgb-mean-std", stored)


def refusal(tensors: Tensors, **changes: object) -> str:
    weights = {name: value for name, value in {**tensors, **changes}.items() if value is not None}
    with pytest.raises(HarnessError) as caught:
        check(converted(weights), "some.pth")
    assert caught.value.where == "some.pth"
    return caught.value.what


def spoilt(tensor: torch.Tensor, value: float, position: int = -1) -> torch.Tensor:
    copy = tensor.clone()
    copy.view(-1)[position] = value
    return copy


def test_a_whole_backbone(tensors: Tensors) -> None:
    checked = check(converted(tensors), "some.pth")
    assert checked.coverage == {"convolutions": 53, "batch_norms": 53}
    assert checked.warnings == ()
    assert digest(checked.tensors) == digest(tensors)
    name = "layer1.0.conv1.weight"
    assert checked.tensors[name].data_ptr() != tensors[name].data_ptr(), "the file's memory must not be kept"


def test_coverage_counts_a_batch_norm_only_whole() -> None:
    names = set(tensor_shapes())
    assert coverage_of(names) == {"convolutions": 53, "batch_norms": 53}
    assert coverage_of(names - {"bn1.running_var"}) == {"convolutions": 53, "batch_norms": 52}
    assert coverage_of(names - {"conv1.weight"}) == {"convolutions": 52, "batch_norms": 53}


@pytest.mark.parametrize("missing", ["conv1.weight", "layer2.0.bn3.running_var", "layer2.0.downsample.1.bias"])
def test_missing(small: Tensors, missing: str) -> None:
    said = refusal(small, **{missing: None})
    convolution = missing == "conv1.weight"
    assert f"missing           {missing}" in said
    assert f"convolutions      {8 if convolution else 9}/9" in said
    assert f"batch norms       {9 if convolution else 8}/9" in said


def test_all_running_statistics_missing(small: Tensors) -> None:
    said = refusal(small, **{name: None for name in small if "running" in name})
    assert "batch norms       0/9" in said
    assert "(18 in all)" in said


def test_misshapen(small: Tensors) -> None:
    said = refusal(small, **{"layer1.0.conv2.weight": torch.zeros(64, 64, 1, 1), "bn1.bias": torch.zeros(())})
    assert "layer1.0.conv2.weight found [64, 64, 1, 1], expected [64, 64, 3, 3]" in said
    assert "bn1.bias found [], expected [64]" in said
    assert "convolutions      8/9" in said


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite(small: Tensors, value: float) -> None:
    name = "layer2.0.conv3.weight"
    said = refusal(small, **{name: spoilt(small[name], value)})
    assert f"not finite        {name} (1 of {small[name].numel()} values)" in said


def test_too_large_for_float32(small: Tensors) -> None:
    assert "not finite        bn1.weight (1 of 64" in refusal(
        small, **{"bn1.weight": spoilt(small["bn1.weight"].double(), 1e300)}
    )


def test_negative_variance(small: Tensors) -> None:
    said = refusal(small, **{"bn1.running_var": spoilt(small["bn1.running_var"], -0.5)})
    assert "negative variance bn1.running_var (smallest -0.5)" in said
    weights = {**small, "bn1.running_mean": spoilt(small["bn1.running_mean"], -0.5)}
    assert check(converted(weights), "some.pth").coverage["batch_norms"] == 9


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(64, dtype=torch.int64), "wrong type        bn1.bias is int64"),
        (torch.zeros(64, dtype=torch.bool), "wrong type        bn1.bias is bool"),
        (torch.zeros(64, dtype=torch.complex64), "wrong type        bn1.bias is complex64"),
        (torch.zeros(64).to_sparse(), "wrong type        bn1.bias is sparse_coo"),
        ([0.0] * 64, "no tensor         bn1.bias is a list"),
        ("weights", "no tensor         bn1.bias is a str"),
    ],
)
def test_wrong_kind(small: Tensors, value: object, said: str) -> None:
    assert said in refusal(small, **{"bn1.bias": value})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_casts_are_noted(tensors: Tensors, dtype: torch.dtype) -> None:
    cast = {name: value.to(dtype) for name, value in tensors.items()}
    checked = check(converted(cast), "some.pth")
    assert checked.warnings == (f"265 tensors of {str(dtype)[6:]} were cast to float32",)
    assert all(value.dtype == torch.float32 for value in checked.tensors.values())
    same = digest(checked.tensors) == digest(tensors)
    assert same == (dtype == torch.float64), "only a cast to a wider type loses nothing"


def test_views_and_parameters(tensors: Tensors) -> None:
    name = "layer1.0.conv1.weight"
    strided = tensors[name].to(memory_format=torch.channels_last)
    weights = {**tensors, name: torch.nn.Parameter(strided)}
    checked = check(converted(weights), "some.pth")
    assert digest(checked.tensors) == digest(tensors)
    assert checked.tensors[name].is_contiguous()
    assert not checked.tensors[name].requires_grad


@pytest.mark.parametrize(
    "extra", ["layer3.6.conv1.weight", "layer5.0.conv1.weight", "conv1.bias", "layer1.0.se.fc.weight"]
)
def test_more_than_a_resnet50_is_refused_not_ignored(small: Tensors, extra: str) -> None:
    said = refusal(small, **{extra: torch.zeros(64)})
    assert f"beyond ResNet-50  {extra}" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", "ResNet-18"),
        ("resnet101", "ResNet-101"),
        ("wide_resnet50_2", "a wide ResNet-50 (its 3x3 convolutions have 2 times the channels)"),
        ("resnext50_32x4d", "a ResNeXt"),
    ],
)
def test_torchvisions_other_resnets(name: str, said: str) -> None:
    with torch.device("meta"):
        state = getattr(models, name)(weights=None).state_dict()
    # Zeros without memory: only names and shapes matter here.
    state = {key: torch.zeros(()).expand(value.shape) for key, value in state.items()}
    with pytest.raises(HarnessError) as caught:
        check(convert(in_memory(state), "some.pth"), "some.pth")
    assert caught.value.what.startswith(f"the checkpoint is {said}")
    assert "not a plain ResNet-50" in caught.value.what


def test_other_architectures_by_name(small: Tensors) -> None:
    assert "deep stem" in refusal(small, **{"conv1.weight": None, "stem.0.conv.weight": torch.zeros(32, 3, 3, 3)})
    assert "deep stem" in refusal(small, **{"conv1.weight": None, "conv1.0.weight": torch.zeros(32, 3, 3, 3)})
    assert "CIFAR" in refusal(small, **{"conv1.weight": torch.zeros(64, 3, 3, 3)})
    assert "4 channels" in refusal(small, **{"conv1.weight": torch.zeros(64, 4, 7, 7)})
    assert "ResNet-50 of 2 times the width" in refusal(small, **{"conv1.weight": torch.zeros(128, 3, 7, 7)})
    transformer = {
        "backbone.cls_token": torch.zeros(1, 1, 768),
        "backbone.patch_embed.projection.bias": torch.zeros(768),
    }
    with pytest.raises(HarnessError, match="a Vision Transformer, not a plain ResNet-50"):
        check(convert(in_memory({"state_dict": transformer}), "some.pth"), "some.pth")


def test_other_blocks_are_counted(tensors: Tensors) -> None:
    extra = {"layer3.6.conv1.weight": torch.zeros(256, 1024, 1, 1)}
    assert "a ResNet with 3-4-7-3 blocks" in refusal(tensors, **extra)
