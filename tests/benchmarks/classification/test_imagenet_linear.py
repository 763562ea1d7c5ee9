from __future__ import annotations

import math
from typing import Any

import cv2
import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.backbone import build_backbone, feature_maps
from benchmarks.base import Batch
from benchmarks.catalogue import find_benchmark
from benchmarks.classification.imagenet_linear import ImagenetLinear
from benchmarks.toolbox import runner as toolbox
from benchmarks.toolbox.frozen import frozen_config
from benchmarks.toolbox.modules import SeedIteration

BENCHMARK = ImagenetLinear()


class Terminated(BaseException):
    """Like the exception that SIGTERM becomes: nothing may swallow it."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_at: Any) -> Any:
    made = tiny_at(tmp_path_factory.mktemp("linear"))
    made.write_images(train=6, val=8)
    return made


def _hits(small: Any, tensors: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> list[bool]:
    """Whether the classifier is right about each test image, by torchvision's backbone and transforms."""
    backbone = build_backbone(tensors)
    prepare = transforms.Compose(
        [
            transforms.Resize(36),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    hits = []
    for line in (small.root / "imagenet" / "meta" / "val.txt").read_text().splitlines():
        name, label = line.split()
        image = prepare(Image.fromarray(cv2.imread(str(small.root / "imagenet" / "val" / name))[..., ::-1]))
        with torch.inference_mode():
            vector = feature_maps(backbone, image[None])["feature5"].mean(dim=(2, 3))[0]
            scores = state["head.linear.weight"] @ vector + state["head.linear.bias"]
        hits.append(int(scores.argmax()) == int(label))
    return hits


def test_an_interrupted_job_ends_with_the_same_numbers(
    small: Any, untrained_tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twenty small batches are no 28,000 large ones: longer steps make up for it.
    fields: dict[str, Any] = {
        "epochs": 10,
        "evaluation_interval": 5,
        "lars_coefficient": 0.02,
        "benchmark": BENCHMARK,
    }
    uninterrupted = small.job(**fields)
    whole = BENCHMARK.run(uninterrupted)

    def stop_in_eighth(self: Any, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        before(self, runner, batch_idx, data_batch)
        if runner.epoch == 7 and batch_idx == 1:
            raise Terminated

    before = SeedIteration.before_train_iter
    with monkeypatch.context() as patch:
        patch.setattr(SeedIteration, "before_train_iter", stop_in_eighth)
        first = small.job(**fields)
        with pytest.raises(Terminated):
            BENCHMARK.run(first)
    second = small.job(previous=(first.attempt,), **fields)
    resumed = BENCHMARK.run(second)
    assert resumed.details["resumed_from_epoch"] == 7
    assert whole.details["resumed_from_epoch"] == 0
    assert resumed.metrics == whole.metrics
    assert resumed.curves == whole.curves
    assert whole.curves["epochs"] == [5, 10]
    ends = [torch.load(one.attempt / "toolbox" / "epoch_10.pth", weights_only=True) for one in (uninterrupted, second)]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name

    assert list(whole.metrics) == ["top1", "top5"]
    assert whole.curves["top1"][-1] == whole.metrics["top1"].value
    hits = _hits(small, untrained_tensors, ends[0]["state_dict"])
    assert 0 < sum(hits) < 24
    assert whole.metrics["top1"].value == 100 * sum(hits) / 24
    # Three classes: the true one is always among the first five.
    assert whole.metrics["top5"].value == 100.0


def test_the_optimiser_is_lars_without_exclusions(small: Any) -> None:
    """On what mmengine builds and not on the config: one group for all, no decay, no warm-up, cosine by epoch to 0."""
    epochs = 8
    context = small.job(benchmark=BENCHMARK, epochs=epochs)
    with toolbox.session(frozen_config(context, "imagenet"), context, context.digest) as built:
        wrapper = built.build_optim_wrapper(built.optim_wrapper)
        schedulers = _scheduled(built, wrapper)
        optimizer = wrapper.optimizer
        assert type(optimizer).__name__ == "LARS"
        trained = {id(value) for value in built.model.parameters() if value.requires_grad}
        assert trained == {id(built.model.head.linear.weight), id(built.model.head.linear.bias)}
        settings = {"lr": 1.6, "momentum": 0.9, "weight_decay": 0.0, "eta": 0.001, "nesterov": False}
        for group in optimizer.param_groups:
            assert {name: group[name] for name in settings} == settings
            assert not group.get("lars_exclude", False)
        rates = []
        for _ in range(epochs):
            rates.append(optimizer.param_groups[0]["lr"])
            wrapper.step()
            for scheduler in schedulers:
                assert scheduler.by_epoch
                scheduler.step()
        expected = [1.6 * (1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(epochs)]
        assert rates == pytest.approx(expected, abs=1e-9)


def _scheduled(built: Any, wrapper: Any) -> list[Any]:
    """The schedulers of a runner over an optimiser, as its own ``train`` builds them."""
    built.optim_wrapper = wrapper
    built._train_loop = built.build_train_loop(built._train_loop)
    schedulers: list[Any] = built.build_param_scheduler(built.param_schedulers)
    return schedulers


def test_one_step_is_lars_s_own_formula(small: Any) -> None:
    """You et al. 2017, algorithm 1, for weight and bias alike."""
    context = small.job(benchmark=BENCHMARK)
    with toolbox.session(frozen_config(context, "imagenet"), context, context.digest) as built:
        wrapper = built.build_optim_wrapper(built.optim_wrapper)
        linear = built.model.head.linear
        torch.manual_seed(0)
        with torch.no_grad():
            linear.bias.copy_(torch.randn(3))
        before = [value.detach().clone().double() for value in (linear.weight, linear.bias)]
        images = torch.randn(4, 2048)
        # Of the sum of squared scores: twice the scores times what they are linear in.
        scores = (images.double() @ before[0].T + before[1]) * 2
        gradients = (scores.T @ images.double(), scores.sum(0))
        wrapper.update_params(linear(images).square().sum())
        for start, gradient, value in zip(before, gradients, (linear.weight, linear.bias), strict=True):
            expected = start - 1.6 * 0.001 * start.norm() / gradient.norm() * gradient
            # float32 norms over up to 6,144 terms.
            torch.testing.assert_close(value.detach().double(), expected, atol=1e-7, rtol=1e-5)
            assert (value.detach() - start).abs().max() > 1e-6


def test_smoke_replaces_only_what_it_may() -> None:
    allowed = {"epochs", "evaluation_interval", "crop", "short_edge", "batch_size", "batch_size_per_rank", "ranks"}
    assert set(ImagenetLinear.smoke) <= allowed | {"workers"}
    protocol = BENCHMARK.protocol(profile="smoke")
    BENCHMARK.check(protocol)
    assert protocol["ranks"] == 1


def test_columns_batch_and_resources() -> None:
    benchmark = find_benchmark("imagenet_linear")
    protocol = benchmark.protocol()
    shown = [column for column in benchmark.columns(protocol) if not column.table]
    assert [(column.metric, column.title, column.decimals) for column in shown] == [("top1", "Linear Eval", 1)]
    # Nothing is normalised over a batch in training: the backbone is frozen and the head has no BatchNorm.
    assert benchmark.batch(protocol) == Batch(effective=4096, batch_norm=None)
    assert benchmark.random
    assert all(field.source for field in protocol.fields.values())
