"""ImageNet linear on the averaged feature as it is built, against section 3.1, where 1.x is authoritative."""

from __future__ import annotations

import math

import torch

from benchmarks.toolbox.modules.heads import SCORES
from tests.benchmarks.fidelity import multi_head
from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import check_frozen, check_loaders, check_optimizer, check_rates

NAME, CLASSES = "imagenet_linear", 1000


def check_schedule(built: Built) -> None:
    """3.1: 90 epochs of cosine to 0, by epoch, no warm-up; evaluated every epoch."""
    trace = train_through(built, batches=2)
    # Both iterations of an epoch have its rate: 1.6 (1 + cos(pi epoch / 90)) / 2.
    by_hand = {0: 1.6, 1: 1.6, 60: 1.2, 61: 1.2, 90: 0.8, 120: 0.4, 121: 0.4}
    last = {number: 0.8 * (1 + math.cos(math.pi * 89 / 90)) for number in (178, 179)}
    check_rates(trace, 180, by_hand | last)
    assert trace.evaluated == list(range(2, 181, 2))


def check_lars(built: Built) -> None:
    """3.1: LARS without exclusions."""
    check_optimizer(built, "LARS", lr=1.6, momentum=0.9, weight_decay=0.0, eta=0.001, nesterov=False, dampening=0)
    assert built.optimizer.eps == 1e-8


def check_lars_steps(built: Built) -> None:
    """Two steps by hand, weight and bias: local = eta |w| / |g|, 1 while |w| = 0 (1.3 and 3.1)."""
    linear, wrapper = built.model.head.linear, built.runner.optim_wrapper
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        linear.weight.copy_(0.01 * torch.randn(linear.weight.shape, generator=generator))
        linear.bias.zero_()
    shapes = linear.weight.shape, linear.bias.shape
    gradients = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in (1, 2)]
    values = [linear.weight.detach().double().clone(), linear.bias.detach().double().clone()]
    speeds = [torch.zeros_like(value) for value in values]
    for pair in gradients:
        wrapper.update_params((linear.weight * pair[0]).sum() + (linear.bias * pair[1]).sum())
        for number, gradient in enumerate(pair):
            norm = values[number].norm()
            local = 0.001 * norm / (gradient.double().norm() + 1e-8) if norm > 0 else 1.0
            speeds[number] = 0.9 * speeds[number] + local * 1.6 * gradient.double()
            values[number] = values[number] - speeds[number]
    # float32 norms over two million terms; the bias's first step is 1.6 times its gradient, not a thousandth of it.
    torch.testing.assert_close(linear.weight.detach().double(), values[0], atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(linear.bias.detach().double(), values[1], atol=1e-6, rtol=1e-4)


def check_training_pixels(built: Built) -> None:
    """3.1: random resized crop and flip only."""
    multi_head.check_linear_training_pixels(built, multi_head.random_resized_crop(), jitter=False)


def test_optimiser(job: Built) -> None:
    check_lars(job)


def test_what_is_trained(job: Built) -> None:
    check_frozen(job)


def test_head(job: Built) -> None:
    """2048 averages, no norm before the classifier, weights N(0, 0.01), biases 0."""
    job.runner.model.init_weights()
    head = job.model.head
    leaves = [type(part).__name__ for part in head.modules() if not list(part.children())]
    assert leaves == ["Linear"]
    assert head.linear.weight.shape == (1000, 2048)
    assert abs(head.linear.weight.std().item() - 0.01) < 1e-4
    assert not head.linear.bias.any()
    maps = torch.randn(2, 2048, 7, 7, generator=torch.Generator().manual_seed(0))
    pooled = head.pool([maps])["average"]
    torch.testing.assert_close(pooled.double(), maps.double().sum((2, 3)) / 49, atol=1e-6, rtol=0)


def test_training_pixels(job: Built) -> None:
    check_training_pixels(job)


def test_test_pixels(job: Built) -> None:
    multi_head.check_linear_test_pixels(job)


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 512, 256)


def test_evaluator(job: Built) -> None:
    (metric,) = job.evaluator.metrics
    scores = torch.full((3, 1, 8), -2.0)
    scores[0, 0, 5], scores[1, 0, 1], scores[2, 0, 5] = -1.0, -1.0, -3.0
    metric.process(None, [{SCORES: row, "gt_label": torch.tensor([5])} for row in scores])
    found = metric.evaluate(3)
    assert abs(found["average"] - 100 / 3) < 1e-9
    # Of the second image, classes 1, 0, 2, 3, 4 come before 5, which is a tie; of the third all do.
    assert abs(found["average_top5"] - 100 / 3) < 1e-9


def test_learning_rates(job: Built) -> None:
    check_schedule(job)


def test_two_steps_of_lars_by_hand(job: Built) -> None:
    job.optimizer.state.clear()
    for group in job.optimizer.param_groups:
        group["lr"] = 1.6
    check_lars_steps(job)
