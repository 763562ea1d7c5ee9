"""The canonical backbone is torchvision's ResNet-50, and its digest is what the docstring says."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet50
from torchvision.models.feature_extraction import create_feature_extractor

from benchmarks.backbone import (
    FEATURES,
    build_backbone,
    digest,
    feature_maps,
    random_backbone,
    read_backbone,
    tensor_shapes,
    write_backbone,
)
from results.errors import HarnessError

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """Weights with running statistics that are not those of an untrained network; never changed in place."""
    generator = torch.Generator().manual_seed(1)
    trained = random_backbone(0)
    for name, value in trained.items():
        if name.endswith(("running_mean", "bias")):
            value += 0.1 * torch.rand(value.shape, generator=generator)
        elif name.endswith("running_var"):
            value += torch.rand(value.shape, generator=generator)
    return trained


def test_names_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        state = resnet50(weights=None).state_dict()
    expected = {
        name: tuple(value.shape)
        for name, value in state.items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    assert tensor_shapes() == expected
    assert len(expected) == 265
    assert sum(len(shape) == 4 for shape in expected.values()) == 53


def test_digest_by_hand() -> None:
    small = {"b": torch.tensor([[1.5, -2.0, 0.1]]), "a": torch.tensor(3.0)}
    stream = b"a\0[]\0" + struct.pack("<f", 3.0) + b"\0"
    stream += b"b\0[1, 3]\0" + struct.pack("<3f", 1.5, -2.0, 0.1) + b"\0"
    assert digest(small) == hashlib.sha256(stream).hexdigest()


def test_digest_of_a_whole_backbone(tensors: Tensors) -> None:
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        array = np.asarray(value, dtype="<f4")
        sha.update(name.encode() + b"\0" + json.dumps(array.shape).encode() + b"\0" + array.tobytes(order="C") + b"\0")
    assert digest(tensors) == sha.hexdigest()


def test_digest_is_of_values_names_and_shapes() -> None:
    base = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
    known = digest(base)
    assert digest({"b": base["b"], "a": base["a"]}) == known, "order of insertion"
    assert digest({**base, "a": base["a"].double()}) == known, "a wider type with the same values"
    assert digest({**base, "a": base["a"].t().contiguous().t()}) == known, "memory layout"
    assert digest({**base, "a": torch.nn.Parameter(base["a"])}) == known
    for changed in (
        {**base, "a": base["a"].reshape(3, 2)},
        {"A": base["a"], "b": base["b"]},
        {**base, "b": torch.tensor([1.0, 1.0 + 2**-23])},
        {"a": base["a"]},
        {**base, "c": torch.zeros(1)},
        {**base, "a": -base["a"]},
    ):
        assert digest(changed) != known


def test_random_backbone_is_a_function_of_its_seed() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = random_backbone(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert digest(random_backbone(3)) == digest(first)
    assert digest(random_backbone(4)) != digest(first)
    assert list(first) == list(tensor_shapes())
    # Kaiming normal, fan out: standard deviation sqrt(2 / (channels out * kernel area)); 9408 samples give it to 1 %.
    assert float(first["conv1.weight"].std()) == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.03)
    assert bool((first["bn1.weight"] == 1).all())


def test_written_and_read(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "backbone.safetensors"
    write_backbone(path, {**tensors, "fc.weight": torch.zeros(3), "conv1.weight": tensors["conv1.weight"].double()})
    found = read_backbone(path, digest(tensors))
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert {value.dtype for value in found.values()} == {torch.float32}
    with pytest.raises(HarnessError, match="the canonical backbone has digest"):
        read_backbone(path, "0" * 64)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(HarnessError, match="the canonical backbone has digest"):
        read_backbone(path, digest(tensors))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(HarnessError, match="cannot read the canonical backbone"):
        read_backbone(path, digest(tensors))
    path.write_bytes(b"")
    with pytest.raises(HarnessError, match="cannot read the canonical backbone"):
        read_backbone(path, digest(tensors))
    with pytest.raises(HarnessError, match="cannot read the canonical backbone"):
        read_backbone(tmp_path / "missing", digest(tensors))


def test_built_network_holds_these_tensors_and_no_others(tensors: Tensors) -> None:
    model = build_backbone(tensors)
    assert not model.training
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in tensors.items())
    assert not any(name.startswith("fc.") for name in state)
    for wrong in (
        {name: value for name, value in tensors.items() if name != "bn1.running_var"},
        {**tensors, "layer3.6.conv1.weight": torch.zeros(1)},
        {**tensors, "conv1.weight": torch.zeros(64, 3, 3, 3)},
    ):
        with pytest.raises(HarnessError, match="not those of a ResNet-50 backbone"):
            build_backbone(wrong)


def test_feature_maps_are_torchvisions(tensors: Tensors) -> None:
    model = build_backbone(tensors)
    nodes = dict(zip(("relu", "layer1", "layer2", "layer3", "layer4"), FEATURES, strict=True))
    extractor = create_feature_extractor(model, nodes)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        found, expected = feature_maps(model, images), extractor(images)
    assert list(found) == list(FEATURES)
    for name, (channels, step) in zip(FEATURES, ((64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)), strict=True):
        assert found[name].shape == (2, channels, 64 // step, 96 // step)
        # The same operations in the same order; the tolerance is only for a library that fuses them otherwise.
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)
        assert float(found[name].std()) > 0


def test_dilated_maps_hold_the_strided_ones(tensors: Tensors) -> None:
    """Where a stride is replaced by dilation, every second position of layer3 and every fourth of layer4 is as before
    (Chen et al. 2015, arXiv:1412.7062)."""
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        strided = feature_maps(build_backbone(tensors), images)
        dilated = feature_maps(build_backbone(tensors, dilated=True), images)
    assert [tuple(value.shape[2:]) for value in dilated.values()] == [(32, 48), (16, 24), (8, 12), (8, 12), (8, 12)]
    for feature, step in zip(FEATURES, (1, 1, 1, 2, 4), strict=True):
        expected = strided[feature]
        # Float32 sums of another order.
        tolerance = 1e-5 * expected.abs().max().item()
        torch.testing.assert_close(dilated[feature][..., ::step, ::step], expected, atol=tolerance, rtol=0)
