from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from benchmarks.backbone import FEATURES
from benchmarks.base import Benchmark, Numerics
from benchmarks.classification.imagenet_linear import ImagenetLinear
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.pooling import GRID_POOLS
from benchmarks.toolbox.frozen import frozen_config
from benchmarks.toolbox.modules import AverageHead, FeatureClassifier, MultiHead
from benchmarks.toolbox.modules import classifier as classifier_module
from benchmarks.toolbox.modules.heads import SCORES
from results.errors import HarnessError

CLASSES = 4


def head(**changes: Any) -> MultiHead:
    protocol = ImagenetMhead().protocol()
    arguments = {
        "features": protocol["layers"],
        "classes": CLASSES,
        "pooling": protocol["pooling"],
        "norm": {"type": "SyncBN", "affine": False, "momentum": 0.1, "eps": 1e-5},
        "init_cfg": {"type": "Normal", "layer": "Linear", "std": 0.01, "bias": 0.0},
    }
    built = MultiHead(**{**arguments, **changes})
    built.init_weights()
    return revert_sync_batchnorm(built)


def average_head() -> AverageHead:
    built = AverageHead(CLASSES, init_cfg={"type": "Normal", "layer": "Linear", "std": 0.01, "bias": 0.25})
    built.init_weights()
    return built


def maps(images: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(images, pool.channels, pool.map_size, pool.map_size, generator=generator)
        for pool in GRID_POOLS.values()
    ]


def samples(labels: list[int]) -> list[DataSample]:
    return [DataSample().set_gt_label(label) for label in labels]


@pytest.mark.parametrize(("feature", "kernel", "stride", "padding"), [("feature1", 10, 10, 4), ("feature3", 13, 5, 0)])
def test_loss_and_gradient_of_one_head(feature: str, kernel: int, stride: int, padding: int) -> None:
    model = head().train()
    labels = [0, 3, 1, 1, 2]
    inputs = maps(len(labels))
    loss = model.loss(model.pool(inputs), samples(labels))
    torch.stack(list(loss.values())).sum().backward()

    linear = model.heads[feature].linear
    source = inputs[int(feature[-1]) - 1].double()
    windows = torch.nn.functional.pad(source, (padding,) * 4).unfold(2, kernel, stride).unfold(3, kernel, stride)
    pooled = windows.mean(dim=(4, 5))
    mean = pooled.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((pooled - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    vectors = ((pooled - mean) / (variance + 1e-5).sqrt()).flatten(1)
    scores = vectors @ linear.weight.detach().double().T + linear.bias.detach().double()
    log_probability = scores - scores.exp().sum(1, keepdim=True).log()
    truth = torch.eye(CLASSES, dtype=torch.float64)[labels]
    expected_loss = -(log_probability * truth).sum(1).mean()
    expected_gradient = (log_probability.exp() - truth).T @ vectors / len(labels)

    # Float32 sums over 8,000 to 9,000 terms against float64: about 1e-6.
    assert loss[f"loss_{feature}"].item() == pytest.approx(expected_loss.item(), abs=1e-5)
    torch.testing.assert_close(linear.weight.grad.double(), expected_gradient, atol=1e-5, rtol=0)
    norm = model.heads[feature].norm
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * mean.flatten(), atol=1e-6, rtol=0)
    count = pooled.numel() / pooled.shape[1]
    unbiased = variance.flatten() * count / (count - 1)
    torch.testing.assert_close(norm.running_var.double(), 0.9 + 0.1 * unbiased, atol=1e-6, rtol=0)


def test_heads_start_as_the_protocol_says() -> None:
    for part in head().heads.values():
        weight = part.linear.weight
        # Standard error of a standard deviation of n draws is std / sqrt(2 n): 4e-5 for 33,000.
        assert weight.std().item() == pytest.approx(0.01, abs=3e-4)
        assert weight.mean().item() == pytest.approx(0, abs=3e-4)
        assert not part.linear.bias.any()
        assert part.norm.weight is None


def test_heads_are_independent() -> None:
    whole, alone = head().eval(), head(features=("feature5",)).eval()
    alone.load_state_dict({name: value for name, value in whole.state_dict().items() if "feature5" in name})
    inputs = maps(2)
    torch.testing.assert_close(whole(whole.pool(inputs))["feature5"], alone(alone.pool(inputs))["feature5"])


def test_prediction_keeps_raw_scores_in_order() -> None:
    model = head().eval()
    pooled = model.pool(maps(2))
    predicted = model.predict(pooled, samples([0, 1]))
    for row, feature in enumerate(FEATURES):
        for image in range(2):
            torch.testing.assert_close(predicted[image].get(SCORES)[row], model(pooled)[feature][image])


@pytest.mark.parametrize("changes", [{"features": ("feature6",)}, {"pooling": "adaptive"}])
def test_unknown_layer_or_pooling(changes: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match="unknown"):
        head(**changes)


def classifier(
    tiny: Any, tensors: dict[str, torch.Tensor], numerics: Numerics | None = None, benchmark: Benchmark | None = None
) -> FeatureClassifier:
    """The model of a job with the backbone loaded and the heads initialised."""
    context = tiny.job(benchmark=benchmark)
    config = frozen_config(dataclasses.replace(context, numerics=numerics or Numerics()), "imagenet")
    model = MODELS.build({**config["model"], "data_preprocessor": config["data_preprocessor"]})
    model.init_weights()
    model.backbone.load_state_dict(tensors, strict=False)
    return revert_sync_batchnorm(model)


@pytest.mark.parametrize("benchmark", [ImagenetMhead(), ImagenetLinear()], ids=lambda benchmark: benchmark.name)
def test_one_step_changes_heads_and_nothing_else(
    tiny: Any, untrained_tensors: dict[str, torch.Tensor], benchmark: Benchmark
) -> None:
    model = classifier(tiny, untrained_tensors, benchmark=benchmark).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1))
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.integers(0, 256, (3, 3, 64, 64), dtype=np.uint8))
    model.train_step({"inputs": images, "data_samples": samples([0, 1, 2])}, optimizer)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith("head.")}


def test_numerics_change_the_backbone_only(tiny: Any, untrained_tensors: dict[str, torch.Tensor]) -> None:
    images = torch.rand(2, 3, 64, 64)
    exact = classifier(tiny, untrained_tensors)
    features = exact.eval().extract_feat(images)
    for numerics, tolerance in ((Numerics(channels_last=True), 1e-4), (Numerics(precision="bf16"), 0.05)):
        model = classifier(tiny, untrained_tensors, numerics).eval()
        found = model.extract_feat(images)
        for got, expected in zip(found, features, strict=True):
            assert got.dtype == torch.float32
            assert (got - expected).abs().max() <= tolerance * expected.abs().max()
        if numerics.precision == "bf16":
            assert not torch.equal(found[4], features[4]), "autocast was not used"


def test_compile_is_asked_for_on_the_backbone(tiny: Any, untrained_tensors: dict[str, torch.Tensor]) -> None:
    assert classifier(tiny, untrained_tensors).backbone._compiled_call_impl is None
    assert classifier(tiny, untrained_tensors, Numerics(compile=True)).backbone._compiled_call_impl is not None


def test_the_average_is_over_the_last_map_alone() -> None:
    model = average_head()
    inputs = maps(3)
    pooled = model.pool(inputs)
    assert list(pooled) == ["average"]
    expected = np.stack([[plane.mean() for plane in image] for image in inputs[4].double().numpy()])
    # A mean of 49 float32 against float64.
    np.testing.assert_allclose(pooled["average"].numpy(), expected, atol=1e-6)


def test_loss_and_gradient_of_the_average_head() -> None:
    model = average_head()
    labels = [2, 0, 3]
    pooled = model.pool(maps(3))
    loss = model.loss(pooled, samples(labels))
    assert list(loss) == ["loss_average"]
    loss["loss_average"].backward()
    vectors = pooled["average"].double().numpy()
    weight = model.linear.weight.detach().double().numpy()
    scores = vectors @ weight.T + model.linear.bias.detach().double().numpy()
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    truth = np.eye(CLASSES)[labels]
    # Float32 sums over 2,048 terms against float64.
    assert loss["loss_average"].item() == pytest.approx(-np.log((probability * truth).sum(1)).mean(), abs=1e-6)
    expected = (probability - truth).T @ vectors / 3
    np.testing.assert_allclose(model.linear.weight.grad.numpy(), expected, atol=1e-6)


def test_average_head_starts_as_the_protocol_says() -> None:
    linear = average_head().linear
    # Standard error of a standard deviation of 8,192 draws: 0.01 / sqrt(16,384), 8e-5.
    assert linear.weight.std().item() == pytest.approx(0.01, abs=3e-4)
    assert (linear.bias == 0.25).all()


@pytest.mark.parametrize("benchmark", [ImagenetMhead(), ImagenetLinear()], ids=lambda benchmark: benchmark.name)
@pytest.mark.parametrize("at_a_time", [1, 2, 5])
def test_pooling_some_images_at_a_time_changes_nothing(
    tiny: Any,
    untrained_tensors: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    benchmark: Benchmark,
    at_a_time: int,
) -> None:
    model = classifier(tiny, untrained_tensors, benchmark=benchmark).eval()
    images = torch.rand(5, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = model.head.pool(model.extract_feat(images))
    sizes: list[int] = []
    extract = model.extract_feat

    def counted(some: torch.Tensor) -> Any:
        sizes.append(len(some))
        return extract(some)

    monkeypatch.setattr(model, "extract_feat", counted)
    monkeypatch.setattr(classifier_module, "IMAGES_AT_A_TIME", at_a_time)
    found = model.pooled(images)
    assert sizes == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[at_a_time]
    assert list(found) == list(expected)
    for name, value in expected.items():
        # Convolutions of other batch sizes sum in another order, 53 times one after the other: float32.
        torch.testing.assert_close(found[name], value, atol=1e-5 * value.abs().max().item(), rtol=0)
