"""VISSL's multi-head evaluations as they are built, against sections 2.3 and 4.1 and the yaml files that they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.catalogue import find_benchmark
from tests.benchmarks.fidelity import multi_head
from tests.benchmarks.fidelity.built import Built, built, train_through
from tests.benchmarks.fidelity.checks import check_frozen, check_loaders, check_rates

IMAGENET, PLACES205 = "imagenet_mhead@vissl", "places205_mhead@vissl"
AVERAGE = {IMAGENET: ("res5avg_bn", "res5avg"), PLACES205: ()}
CLASSES = {IMAGENET: 1000, PLACES205: 205}
MILESTONES = {IMAGENET: (8, 16, 24, 28), PLACES205: (4, 8, 12, 14)}


@pytest.fixture(scope="module", params=[IMAGENET, PLACES205])
def job(
    request: pytest.FixtureRequest, fidelity_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    """Both."""
    with built(request.param, fidelity_root, tmp_path_factory.mktemp("vissl"), CLASSES[request.param]) as made:
        yield made


def check_schedule(built: Built) -> None:
    """28 epochs with a tenth at 8, 16 and 24; 14 with 4, 8 and 12."""
    first, second, third, epochs = MILESTONES[built.name]
    trace = train_through(built, batches=2)
    ends = {0: 0.01, 2 * first - 1: 0.01, 2 * first: 1e-3, 2 * second - 1: 1e-3, 2 * second: 1e-4}
    check_rates(trace, 2 * epochs, {**ends, 2 * third - 1: 1e-4, 2 * third: 1e-5, 2 * epochs - 1: 1e-5})


def check_training_pixels(built: Built) -> None:
    """Random resized crops and flips, without jitter and lighting."""
    multi_head.check_linear_training_pixels(built, multi_head.random_resized_crop(), jitter=False)


def test_heads(job: Built) -> None:
    multi_head.check_vissl_heads(job, CLASSES[job.name], AVERAGE[job.name])


def test_weight_decay(job: Built) -> None:
    multi_head.check_vissl_decay(job)


def test_what_is_trained(job: Built) -> None:
    check_frozen(job)


def test_training_pixels(job: Built) -> None:
    check_training_pixels(job)


def test_test_pixels(job: Built) -> None:
    multi_head.check_linear_test_pixels(job)


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 32, 256)


def test_heads_on_the_average_see_the_mean_of_the_last_map(job: Built) -> None:
    """In evaluation mode, against arithmetic in float64."""
    heads = job.model.head.eval()
    maps = [torch.randn(3, channels, side, side) for channels, side in ((64, 112), (256, 56), (512, 28), (1024, 14))]
    maps.append(torch.randn(3, 2048, 7, 7))
    with torch.no_grad():
        scores = heads(heads.pool(maps))
    job.model.train()
    assert tuple(scores) == (*multi_head.POOLS, *AVERAGE[job.name])
    mean = maps[-1].double().mean((2, 3))
    for name in AVERAGE[job.name]:
        linear = heads.heads[name].linear
        # A fresh norm in evaluation: mean 0, variance 1.
        seen = mean / (1 + 1e-5) ** 0.5 if name == "res5avg_bn" else mean
        expected = seen @ linear.weight.double().T + linear.bias.double()
        torch.testing.assert_close(scores[name].double(), expected, atol=1e-5, rtol=0)


def test_columns() -> None:
    """Feature1 to Feature5 as in the published tables, then VISSL's own names."""
    for name, average in AVERAGE.items():
        base, _, variant = name.partition("@")
        benchmark = find_benchmark(base)
        columns = benchmark.columns(benchmark.protocol(variant))
        shown = [(column.metric, column.title) for column in columns if not column.table]
        assert shown == [*((f"feature{n}", f"Feature{n}") for n in range(1, 6)), *((each, each) for each in average)]
        assert {f"{metric}_top5" for metric, _ in shown} == {column.metric for column in columns if column.table}


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
