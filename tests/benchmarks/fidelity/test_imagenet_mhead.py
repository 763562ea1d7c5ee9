"""ImageNet multi-head as it is built, against section 2 (P0)."""

from __future__ import annotations

from benchmarks.catalogue import find_benchmark
from tests.benchmarks.fidelity import multi_head
from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import check_frozen, check_loaders, check_optimizer, check_rates

NAME, CLASSES = "imagenet_mhead", 1000


def check_schedule(built: Built) -> None:
    """2.2: 90 epochs, a tenth at 30 and 60, by epoch; evaluated every 10 epochs."""
    trace = train_through(built, batches=2)
    # Two iterations an epoch: epoch 29 (the thirtieth) ends with iteration 59.
    expected = {0: 0.01, 1: 0.01, 59: 0.01, 60: 1e-3, 119: 1e-3, 120: 1e-4, 179: 1e-4}
    check_rates(trace, 180, expected)
    assert trace.evaluated == [20, 40, 60, 80, 100, 120, 140, 160, 180]


def check_sgd(built: Built) -> None:
    """2.2."""
    check_optimizer(built, "SGD", lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True, dampening=0)


def check_training_pixels(built: Built) -> None:
    """2.2: random resized crop, flip, colour jitter, lighting, mean and deviation, in this order."""
    multi_head.check_linear_training_pixels(built, multi_head.random_resized_crop(), jitter=True)


def test_optimiser(job: Built) -> None:
    check_sgd(job)


def test_what_is_trained(job: Built) -> None:
    check_frozen(job)


def test_heads(job: Built) -> None:
    multi_head.check_heads(job, 1000)


def test_pooled_features(job: Built) -> None:
    multi_head.check_pooled(job)


def test_loss(job: Built) -> None:
    multi_head.check_independent_losses(job)


def test_training_pixels(job: Built) -> None:
    check_training_pixels(job)


def test_test_pixels(job: Built) -> None:
    multi_head.check_linear_test_pixels(job)


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 32, 256)


def test_evaluator(job: Built) -> None:
    multi_head.check_top1_from_raw_scores(job)


def test_columns() -> None:
    """Section 9: five values of top-1 with two decimals."""
    benchmark = find_benchmark(NAME)
    shown = [column for column in benchmark.columns(benchmark.protocol()) if not column.table]
    assert [(column.title, column.decimals) for column in shown] == [(f"Feature{n}", 2) for n in range(1, 6)]


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
