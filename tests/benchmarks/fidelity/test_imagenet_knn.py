"""ImageNet kNN as it is built, against section 6 (P0)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import transforms

from benchmarks.base import PixelPipeline
from benchmarks.catalogue import find_benchmark
from benchmarks.probes.images import decode
from benchmarks.probes.images import transform as transformed
from tests.benchmarks.fidelity.built import context_of
from tests.benchmarks.fidelity.checks import read_rgb
from tests.benchmarks.fidelity.probes import check_features, check_pixels, noise_image, write_features

NAME = "imagenet_knn"
KS = (10, 20, 100, 200)


@dataclasses.dataclass
class Run:
    """A run of the full protocol on made-up features."""

    bank: tuple[Any, Any]
    queries: tuple[Any, Any]
    outcome: Any


def run_full_protocol(folder: Path) -> Run:
    """300 training and 80 test images of 12 classes."""
    made = {}
    for split, count in (("train", 300), ("val", 80)):
        random = np.random.default_rng(count)
        labels = random.integers(0, 12, count)
        labels[:12] = np.arange(12)
        centres = np.random.default_rng(0).normal(size=(12, 16))
        made[split] = labels, (centres[labels] + 2 * random.normal(size=(count, 16))).astype(np.float32)
        meta = folder / "data/imagenet/meta"
        meta.mkdir(parents=True, exist_ok=True)
        lines = [f"n{label:08d}/{number}.JPEG {label}\n" for number, label in enumerate(labels.tolist())]
        (meta / f"{split}.txt").write_text("".join(lines))
    write_features(folder / "features", {split: rows for split, (_, rows) in made.items()}, ("feature5",))
    context = context_of(NAME, folder / "data", folder, 12)
    outcome = find_benchmark(NAME).run(dataclasses.replace(context, features=folder / "features", seed=None))
    return Run(made["train"], made["val"], outcome)


def check_votes(run: Run) -> None:
    """Top-1 and top-5 of each k by brute force in float64: cosine, votes of exp(s / 0.07)."""
    (labels, bank), (truth, queries) = run.bank, run.queries
    unit = bank.astype(np.float64) / np.linalg.norm(bank.astype(np.float64), axis=1, keepdims=True)
    asked = queries.astype(np.float64) / np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
    similarity = asked @ unit.T
    names = set()
    for k in KS:
        hits = {1: 0, 5: 0}
        for row, label in zip(similarity, truth, strict=True):
            nearest = np.argsort(-row, kind="stable")[:k]
            votes = np.zeros(12)
            np.add.at(votes, labels[nearest], np.exp(row[nearest] / 0.07))
            order = np.argsort(-votes, kind="stable")
            for top in hits:
                hits[top] += int(label in order[:top])
        for top, suffix in ((1, ""), (5, "_top5")):
            name = f"knn_k{k}{suffix}"
            names.add(name)
            assert name in run.outcome.metrics
            found = run.outcome.metrics[name].value
            assert abs(found - 100 * hits[top] / 80) < 1e-9, name
    assert set(run.outcome.metrics) == names


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run for all tests."""
    return run_full_protocol(tmp_path_factory.mktemp(NAME))


def test_votes(run: Run) -> None:
    check_votes(run)


def test_features(tmp_path: Path) -> None:
    """Global average of layer4, of train and val alike."""
    check_features(NAME, tmp_path, PixelPipeline(short_edge=256, crop=224), ("feature5",), pooled=False)
    request = find_benchmark(NAME).feature_request(find_benchmark(NAME).protocol())
    assert request is not None
    assert (request.data, request.splits, request.pooling) == ("imagenet", ("train", "val"), "global_average")


def test_pixels(tmp_path: Path) -> None:
    check_pixels(NAME, tmp_path, transforms.CenterCrop(224))


def test_columns() -> None:
    columns = find_benchmark(NAME).columns(find_benchmark(NAME).protocol())
    assert [(column.title, column.decimals) for column in columns if not column.table] == [(f"k={k}", 1) for k in KS]


def check_pixels_1x(folder: Path) -> None:
    """The variant's pixels, to the bit: mmcv's imresize to a short edge of 256, rounded down, then the centre."""
    import mmcv

    request = find_benchmark(NAME).feature_request(find_benchmark(NAME).protocol("1x"))
    assert request is not None
    for width, height in ((500, 333), (281, 375)):
        path = noise_image(folder / f"{width}.jpg", width, height)
        size = (int(256 * width / min(width, height)), int(256 * height / min(width, height)))
        whole = mmcv.imresize(read_rgb(str(path)), size, interpolation="bilinear", backend="cv2")
        top, left = round((size[1] - 224) / 2), round((size[0] - 224) / 2)
        expected = whole[top : top + 224, left : left + 224]
        assert np.array_equal(transformed(decode(path), request.pixels), expected)


def test_pixels_of_1x(tmp_path: Path) -> None:
    check_pixels_1x(tmp_path)


def test_the_1x_pixels_are_not_the_published_ones(tmp_path: Path) -> None:
    path = noise_image(tmp_path / "image.jpg", 500, 333)
    benchmark = find_benchmark(NAME)
    requests = [benchmark.feature_request(benchmark.protocol(variant)) for variant in (None, "1x")]
    ours, theirs = (transformed(decode(path), request.pixels) for request in requests if request is not None)
    assert not np.array_equal(ours, theirs)
