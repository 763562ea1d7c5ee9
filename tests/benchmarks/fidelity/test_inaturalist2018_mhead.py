"""iNaturalist 2018 multi-head as it is built, against section 4.2 (P0)."""

from __future__ import annotations

from benchmarks.datasets.official import data_set
from tests.benchmarks.fidelity import multi_head
from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import check_frozen, check_loaders, check_optimizer, check_rates

NAME, CLASSES = "inaturalist2018_mhead", 8142


def check_schedule(built: Built) -> None:
    """4.2: 84 epochs, a tenth at 24, 48 and 72, by epoch."""
    trace = train_through(built, batches=2)
    expected = {0: 0.01, 47: 0.01, 48: 1e-3, 95: 1e-3, 96: 1e-4, 143: 1e-4, 144: 1e-5, 167: 1e-5}
    check_rates(trace, 168, expected)
    assert trace.evaluated == [20, 40, 60, 80, 100, 120, 140, 160, 168]


def check_training_pixels(built: Built) -> None:
    """4.2: random resized crop and flip; no jitter, no lighting."""
    multi_head.check_linear_training_pixels(built, multi_head.random_resized_crop(), jitter=False)


def test_optimiser(job: Built) -> None:
    check_optimizer(job, "SGD", lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True, dampening=0)


def test_what_is_trained(job: Built) -> None:
    check_frozen(job)


def test_there_are_8142_classes(job: Built) -> None:
    assert {head.linear.out_features for head in job.model.head.heads.values()} == {8142}
    # What a full run demands of the data.
    assert data_set("inaturalist2018").official["classes"] == 8142


def test_training_pixels(job: Built) -> None:
    check_training_pixels(job)


def test_test_pixels(job: Built) -> None:
    multi_head.check_linear_test_pixels(job)


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 32, 256)


def test_evaluator(job: Built) -> None:
    multi_head.check_top1_from_raw_scores(job)


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
