"""The checks of the SVMs and of kNN see wrong values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import transforms

from benchmarks.catalogue import find_benchmark
from benchmarks.probes.average_precision import average_precision
from benchmarks.probes.svm import liblinear, low_shot, solver
from tests.benchmarks.fidelity import test_imagenet_knn, test_voc07_svm
from tests.benchmarks.fidelity.probes import check_pixels
from tests.benchmarks.fidelity.spoiling import field


def eleven_points(scores: Any, positive: Any) -> float:
    """The AP of VOC2007's development kit."""
    hits = np.asarray(positive)[np.argsort(-np.asarray(scores), kind="stable")]
    precision, recall = np.cumsum(hits) / np.arange(1, len(hits) + 1), np.cumsum(hits) / hits.sum()
    return float(np.mean([max([0.0, *precision[recall >= at]]) for at in np.linspace(0, 1, 11)]))


def unstable(scores: Any, positive: Any) -> float:
    """Ties in the order of falling index."""
    return REAL_AP(np.asarray(scores)[::-1], np.asarray(positive)[::-1])


REAL_AP = average_precision


@pytest.mark.parametrize("wrong", [eleven_points, unstable])
def test_a_wrong_average_precision_is_seen(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        solver, "average_precisions", lambda scores, truth: np.array([wrong(row, truth) for row in scores])
    )
    with pytest.raises(AssertionError):
        test_voc07_svm.check_average_precision()


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"low_shot_negatives_per_positive": 1}, test_voc07_svm.check_low_shot),
        ({"low_shot_samples": 4}, test_voc07_svm.check_low_shot),
        ({"positive_weight": 1.0}, test_voc07_svm.check_machines),
        ({"costs": (1.0, 0.1, 0.01)}, test_voc07_svm.check_full),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_value_of_the_svm_is_seen(
    values: dict[str, Any], check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field("voc07_svm", **values)(monkeypatch)
    run = test_voc07_svm.run_full_protocol(tmp_path)
    with pytest.raises(AssertionError):
        check(run)


def test_difficult_images_that_are_left_out_of_training_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liblinear, "signs", lambda labels: np.where(labels == 0, -1, 1).astype(np.int8))
    run = test_voc07_svm.run_full_protocol(tmp_path)
    with pytest.raises(AssertionError):
        test_voc07_svm.check_full(run)


def test_samples_that_take_difficult_images_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = low_shot.low_shot_rows
    monkeypatch.setattr(test_voc07_svm, "low_shot_rows", lambda labels, *rest: real(np.maximum(labels, 0), *rest))
    with pytest.raises(AssertionError):
        test_voc07_svm.check_sampling()


@pytest.mark.parametrize("values", [{"temperature": 0.1}, {"k": (10, 20, 100)}])
def test_a_wrong_value_of_knn_is_seen(values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field("imagenet_knn", **values)(monkeypatch)
    run = test_imagenet_knn.run_full_protocol(tmp_path)
    with pytest.raises(AssertionError):
        test_imagenet_knn.check_votes(run)


def test_a_crop_instead_of_the_squash_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = type(find_benchmark("voc07_svm"))
    real = benchmark.feature_request

    def cropped(self: Any, protocol: Any) -> Any:
        request = real(self, protocol)
        return dataclasses.replace(request, pixels=dataclasses.replace(request.pixels, squash=None, crop=224))

    monkeypatch.setattr(benchmark, "feature_request", cropped)
    with pytest.raises(AssertionError):
        check_pixels("voc07_svm", tmp_path, transforms.Resize((224, 224)))
