"""The protocol of ``folder``: that of two published ones, by hand, and nothing of its own."""

from __future__ import annotations

import pytest

from benchmarks.catalogue import find_benchmark
from results.errors import HarnessError


def test_the_linear_layer_is_trained_as_mocos_and_neighbours_vote_as_in_wu_et_al() -> None:
    protocol = find_benchmark("folder").protocol()
    # He et al. 2020, arXiv:1911.05722, section 4.1: learning rate 30, no weight decay, steps at 60 and 80.
    linear = {"learning_rate": 30.0, "weight_decay": 0.0, "epochs": 100, "milestones": (60, 80), "batch_size": 256}
    # Wu et al. 2018, arXiv:1805.01978, section 3.4.
    neighbours = {"temperature": 0.07, "k": (10, 20, 100, 200), "layer": "feature5", "pooling": "global_average"}
    values = protocol.values()
    assert {name: values[name] for name in {**linear, **neighbours}} == {**linear, **neighbours}
    assert "classes" not in values
    assert all(field.source for field in protocol.fields.values())


def test_metrics_are_those_of_both() -> None:
    benchmark = find_benchmark("folder")
    metrics = [column.metric for column in benchmark.columns(benchmark.protocol())]
    assert metrics == ["top1", "top5", "knn_k10", "knn_k20", "knn_k100", "knn_k200"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("k", (0,)), ("similarity", "euclidean"), ("crop", 300), ("batch_size", 100), ("temperature", 0.0)],
)
def test_what_neither_could_follow_is_refused(field: str, value: object) -> None:
    benchmark = find_benchmark("folder")
    with pytest.raises(HarnessError):
        benchmark.check(benchmark.protocol(overrides={field: value}))
