"""What is built from the protocol, looked at as objects and not as the dict that they come from."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.toolbox.runner import session
from benchmarks.toolbox.simclr import simclr_config, view_pipeline
from pretrain.simclr import SimCLR
from tests.pretrain.conftest import BATCH, IMAGES, Studio

ITERATIONS = IMAGES // BATCH


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory, tiny_images: Path) -> Iterator[Any]:
    """A runner of the full protocol, but for batch and workers."""
    studio = Studio(tmp_path_factory.mktemp("built"), tiny_images)
    few = {"batch_size": BATCH, "batch_size_per_rank": BATCH, "ranks": 1, "workers": 0}
    protocol = SimCLR().protocol(overrides=few)
    context = studio.context(protocol)
    with session(simclr_config(context, "imagenet"), context, "nothing") as made:
        made.model.init_weights()
        made.optim_wrapper = made.build_optim_wrapper(made.optim_wrapper)
        yield made


def test_norms_and_biases_have_neither_weight_decay_nor_lars(runner: Any) -> None:
    groups = runner.optim_wrapper.optimizer.param_groups
    names = {id(parameter): name for name, parameter in runner.model.named_parameters()}
    seen = {names[id(parameter)]: group for group in groups for parameter in group["params"]}
    assert seen.keys() == set(names.values())
    for name, group in seen.items():
        one_dimensional = dict(runner.model.named_parameters())[name].ndim == 1
        assert group.get("lars_exclude", False) == one_dimensional, name
        assert group["weight_decay"] == (0.0 if one_dimensional else 1e-6), name
    assert seen["backbone.layer1.0.downsample.1.weight"]["lars_exclude"]
    assert not seen["backbone.layer1.0.downsample.0.weight"].get("lars_exclude")
    assert seen["neck.bn1.weight"]["lars_exclude"]


def test_the_optimiser_is_lars_as_published(runner: Any) -> None:
    optimizer = runner.optim_wrapper.optimizer
    assert type(optimizer).__name__ == "LARS"
    assert optimizer.eps == 1e-8
    for group in optimizer.param_groups:
        values = [group[name] for name in ("lr", "momentum", "dampening", "eta", "nesterov")]
        assert values == [0.3, 0.9, 0.0, 0.001, False]


def test_the_learning_rate_rises_by_iteration_and_falls_by_epoch(runner: Any) -> None:
    schedulers = runner.build_param_scheduler(runner.param_schedulers)
    optimizer = runner.optim_wrapper.optimizer
    rates = np.empty((200, ITERATIONS))
    with warnings.catch_warnings():
        # The schedulers count steps of the optimiser, which is not stepped here.
        warnings.simplefilter("ignore")
        for epoch in range(200):
            for iteration in range(ITERATIONS):
                rates[epoch, iteration] = optimizer.param_groups[0]["lr"]
                for scheduler in schedulers:
                    if not scheduler.by_epoch:
                        scheduler.step()
            for scheduler in schedulers:
                if scheduler.by_epoch:
                    scheduler.step()
    warm = 10 * ITERATIONS
    rise = np.linspace(0.3e-4, 0.3, warm)
    # Sums and products of a schedule that is computed recursively: 200 steps of rounding.
    np.testing.assert_allclose(rates[:10].ravel(), rise, rtol=1e-9)
    fall = [0.15 * (1 + math.cos(math.pi * (epoch - 10) / 190)) for epoch in range(10, 200)]
    np.testing.assert_allclose(rates[10:], np.repeat(fall, ITERATIONS).reshape(190, -1), rtol=1e-9)


def test_the_neck_has_two_layers_without_biases_each_before_a_batch_norm(runner: Any) -> None:
    neck = runner.model.neck
    assert (neck.fc0.in_features, neck.fc0.out_features) == (2048, 2048)
    assert (neck.fc1.in_features, neck.fc1.out_features) == (2048, 128)
    assert neck.fc0.bias is None
    assert neck.fc1.bias is None
    assert neck.bn0.affine
    assert neck.bn1.affine
    assert {name.partition(".")[0] for name, _ in neck.named_parameters()} == {"fc0", "bn0", "fc1", "bn1"}


def test_the_last_norm_of_every_block_begins_at_zero(runner: Any) -> None:
    state = runner.model.backbone.state_dict()
    last = [value for name, value in state.items() if name.endswith("bn3.weight")]
    others = [value for name, value in state.items() if name.endswith(("bn1.weight", "bn2.weight"))]
    assert len(last) == 16
    assert all(bool((value == 0).all()) for value in last)
    assert all(bool((value == 1).all()) for value in others)


def test_the_loss_is_that_of_the_paper(runner: Any) -> None:
    """Against the double loop of Chen et al. 2020, equation 1, on the projections that the model gives."""
    import torch

    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(3, 3, 32, 32, generator=generator) for _ in range(2)]
    model = runner.model.train()
    got = float(model.loss(views, [])["loss"].detach())
    with torch.no_grad():
        z = model.neck(model.backbone(torch.stack(views, 1).flatten(0, 1)))[0].double()
    z = z / z.norm(dim=1, keepdim=True)
    terms = []
    for row in range(6):
        sibling = row ^ 1
        similar = [math.exp(float(z[row] @ z[other]) / 0.1) for other in range(6) if other != row]
        terms.append(-math.log(math.exp(float(z[row] @ z[sibling]) / 0.1) / sum(similar)))
    # float32 similarities divided by 0.1.
    assert got == pytest.approx(sum(terms) / 6, rel=1e-4)


def test_every_image_gives_two_views_that_differ_and_come_again(runner: Any) -> None:
    data = runner.train_dataloader.dataset
    first, second = data[0]["inputs"]
    assert first.shape == second.shape == (3, 224, 224)
    assert not bool((first == second).all())
    again = data[0]["inputs"]
    assert bool((again[0] == first).all())
    assert bool((again[1] == second).all())
    assert not bool((data[len(data)]["inputs"][0] == first).all()), "another epoch draws anew"


def test_images_reach_the_network_as_normalised_rgb(runner: Any) -> None:
    import torch

    blue = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    blue[:, 0] = 255
    (got, _) = runner.model.data_preprocessor({"inputs": [blue, blue], "data_samples": []}, True)["inputs"]
    expected = [(0 - 123.675) / 58.395, (0 - 116.28) / 57.12, (255 - 103.53) / 57.375]
    assert got[0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-6)


def test_views_are_made_in_the_published_order_with_the_published_probabilities() -> None:
    steps = view_pipeline(SimCLR().protocol())
    assert [(step["type"], step.get("prob")) for step in steps] == [
        ("RandomResizedCrop", None),
        ("RandomFlip", 0.5),
        ("RandomApply", 0.8),
        ("RandomGrayscale", 0.2),
        ("GaussianBlur", 0.5),
    ]
    (jitter,) = steps[2]["transforms"]
    assert [jitter[name] for name in ("brightness", "contrast", "saturation", "hue")] == [0.8, 0.8, 0.8, 0.2]
    assert (steps[0]["scale"], steps[0]["crop_ratio_range"]) == (224, (0.08, 1.0))
    assert steps[4]["magnitude_range"] == (0.1, 2.0)


def test_transforms_are_applied_as_often_as_their_probabilities_say() -> None:
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import TRANSFORMS

    from benchmarks.toolbox.modules.samples import seed_generators

    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        transforms = [TRANSFORMS.build(step) for step in view_pipeline(SimCLR().protocol())[1:]]
    seed_generators(0)
    draws = 400
    for transform, probability in zip(transforms, (0.5, 0.8, 0.2, 0.5), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed = sum(
                not np.array_equal(transform({"img": image.copy(), "img_shape": (16, 16)})["img"], image)
                for _ in range(draws)
            )
        # Four standard deviations of a binomial.
        assert abs(changed / draws - probability) < 4 * math.sqrt(probability * (1 - probability) / draws)


def test_every_field_reaches_the_config(tmp_path: Path, tiny_images: Path) -> None:
    context = Studio(tmp_path, tiny_images).context
    protocol = SimCLR().protocol()
    before = simclr_config(context(protocol), "imagenet")
    changed: dict[str, Any] = {
        "norm": "BN", "zero_init_residual": False, "neck_bias": True, "decoder": "pillow",
        "crop_area": (0.2, 1.0), "crop_aspect": (1.0, 1.0), "blur_sigma": (0.1, 1.0), "nesterov": True,
        "dampening": 0.5,
        "lars_exclusions": ("bn",),
    }  # fmt: skip
    # Described only, or with one possible value.
    without = {"ranks", "batch_size_per_rank", "optimizer", "schedule", "interpolation"}
    for name in protocol.fields.keys() - without:
        value = changed.get(name, protocol[name] / 2 if isinstance(protocol[name], float) else None)
        if value is None:
            value = protocol[name] + 1
        other = protocol.replace({name: value}, "test")
        assert simclr_config(context(other), "imagenet") != before, name
