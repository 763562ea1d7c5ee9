from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.base import Batch
from benchmarks.catalogue import find_benchmark
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.classification.linear_evaluation import LinearEvaluation

NAMES = ("imagenet_mhead", "imagenet_linear", "places205_mhead", "inaturalist2018_mhead")

PUBLISHED: dict[str, dict[str, Any]] = {
    "places205_mhead": {"classes": 205, "epochs": 28, "milestones": (7, 14, 21)},
    "inaturalist2018_mhead": {"classes": 8142, "epochs": 84, "milestones": (24, 48, 72)},
}
"""mmselfsup 0.x: resnet50_mhead_8xb32-steplr-28e_places205.py, resnet50_mhead_8xb32-steplr-84e_inat18.py."""


def evaluation(name: str) -> LinearEvaluation:
    found = find_benchmark(name)
    assert isinstance(found, LinearEvaluation)
    return found


@pytest.mark.parametrize("profile", ["full", "smoke"])
@pytest.mark.parametrize("name", NAMES)
def test_every_profile_can_be_followed(name: str, profile: str) -> None:
    benchmark = evaluation(name)
    protocol = benchmark.protocol(profile=profile)
    benchmark.check(protocol)
    if "milestones" in protocol.fields:
        milestones = protocol["milestones"]
        assert list(milestones) == sorted(set(milestones))
        assert milestones[-1] < protocol["epochs"], "the last step would never be taken"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schedule_and_batch(name: str) -> None:
    benchmark = evaluation(name)
    protocol = benchmark.protocol()
    assert {field: protocol[field] for field in PUBLISHED[name]} == PUBLISHED[name]
    assert (protocol["optimizer"], protocol["learning_rate"], protocol["gamma"]) == ("SGD", 0.01, 0.1)
    assert (protocol["momentum"], protocol["weight_decay"], protocol["nesterov"]) == (0.9, 1e-4, True)
    assert benchmark.batch(protocol) == Batch(effective=256, batch_norm=256)
    assert not {"brightness", "contrast", "saturation", "hue", "lighting_std"} & set(protocol.fields)
    assert all(field.source for field in protocol.fields.values())


def test_training_crops_of_places205_keep_the_scale() -> None:
    assert "crop_area" not in evaluation("places205_mhead").table
    assert evaluation("inaturalist2018_mhead").table["crop_area"].value == (0.08, 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_smoke_replaces_only_what_it_may(name: str) -> None:
    shrunk = {"epochs", "milestones", "evaluation_interval", "crop", "short_edge", "training_center_crop"}
    together = {"batch_size", "batch_size_per_rank", "ranks", "workers"}
    assert set(evaluation(name).smoke) <= shrunk | together


@pytest.mark.parametrize("name", NAMES)
def test_hours_grow_with_the_epochs(name: str) -> None:
    benchmark = evaluation(name)
    whole = benchmark.resources(benchmark.protocol())
    half = benchmark.resources(benchmark.protocol(overrides={"epochs": benchmark.table["epochs"].value // 2}))
    assert whole.gpus == 1
    assert math.isclose(half.hours, whole.hours / 2)
    assert whole.hours == benchmark.hours


@pytest.mark.parametrize("name", NAMES)
def test_smoke_is_planned_with_less_than_an_hour(name: str) -> None:
    benchmark = evaluation(name)
    assert benchmark.resources(benchmark.protocol(profile="smoke")).hours < 1


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_evaluated(name: str) -> None:
    from benchmarks.toolbox.frozen import classifiers

    benchmark = evaluation(name)
    for variant in (None, *benchmark.variants):
        protocol = benchmark.protocol(variant)
        names = benchmark.evaluated(protocol)
        assert set(names) == {column.metric for column in benchmark.columns(protocol)}
        given = {each + end for each in classifiers(protocol) for end in ("", "_top5")}
        assert set(names.values()) == given


def test_the_best_layer_is_that_of_the_highest_top_1() -> None:
    benchmark = ImagenetMhead()
    metrics = {"feature1": 3.0, "feature2": 50.0, "feature3": 9.0, "feature4": 49.9, "feature5": 1.0}
    found = benchmark.details(benchmark.protocol(), {**metrics, "feature1_top5": 99.0})
    assert found == {"best_layer": "feature2"}
