from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Batch
from benchmarks.catalogue import find_benchmark
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.datasets.layout import read_split
from benchmarks.toolbox.frozen import evaluation_pixels
from benchmarks.toolbox.modules import SeededOrder
from results.record import DataStamp, MetricValue

LAYERS = [f"feature{number}" for number in range(1, 6)]


def test_a_learnable_set_is_learned(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []
    set_epoch = SeededOrder.set_epoch

    def told(self: SeededOrder, epoch: int) -> None:
        epochs.append(epoch)
        set_epoch(self, epoch)

    monkeypatch.setattr(SeededOrder, "set_epoch", told)
    tiny.write_images(train=6, val=8)
    outcome = ImagenetMhead().run(tiny.job(epochs=4, milestones=(3,), evaluation_interval=3))
    names = LAYERS + [f"{layer}_top5" for layer in LAYERS]
    assert list(outcome.metrics) == names
    # Chance is 33 %; of 24 images, 17 or more by chance has probability 2e-4.
    assert max(outcome.metrics[layer].value or 0 for layer in LAYERS) > 70
    # Three classes: the true one is always among the first five.
    assert all(outcome.metrics[f"{layer}_top5"] == MetricValue(100.0) for layer in LAYERS)
    assert outcome.curves["epochs"] == [3, 4]
    assert epochs == [0, 1, 2, 3], "samples are not told which epoch begins"
    assert [outcome.curves[name][-1] for name in names] == [outcome.metrics[name].value for name in names]
    assert outcome.details["best_layer"] in LAYERS
    assert outcome.details["autocast"] == "none"
    assert len(outcome.config_digest) == 64


def test_a_job_without_a_seed_is_a_mistake_of_ours(tiny: Any) -> None:
    tiny.write_images(train=1, val=1)
    with pytest.raises(ValueError, match="seed"):
        ImagenetMhead().run(dataclasses.replace(tiny.job(), seed=None))


def test_smoke_replaces_only_what_it_may() -> None:
    allowed = {"epochs", "milestones", "crop", "short_edge", "batch_size", "batch_size_per_rank", "ranks", "workers"}
    assert set(ImagenetMhead.smoke) <= allowed
    protocol = ImagenetMhead().protocol(profile="smoke")
    assert protocol["ranks"] == 1
    assert protocol["workers"] == 0
    # The published ratio of crop to short edge, 224 : 256, to the next pixel or two.
    assert protocol["short_edge"] == pytest.approx(protocol["crop"] * 256 / 224, abs=2)


def test_every_field_has_a_source() -> None:
    assert all(field.source for field in ImagenetMhead.table.values())


def test_columns_batch_and_resources() -> None:
    benchmark = find_benchmark("imagenet_mhead")
    protocol = benchmark.protocol()
    columns = benchmark.columns(protocol)
    shown = [column for column in columns if not column.table]
    assert [(column.metric, column.title, column.decimals) for column in shown] == [
        (f"feature{number}", f"Feature{number}", 2) for number in range(1, 6)
    ]
    assert {column.table for column in columns} == {"", "hidden"}
    assert benchmark.batch(protocol) == Batch(effective=256, batch_norm=256)
    assert benchmark.random
    assert benchmark.resources(protocol).hours > 1


def test_layers_can_be_fewer() -> None:
    protocol = ImagenetMhead().protocol(overrides={"layers": ("feature4",)})
    assert [column.metric for column in ImagenetMhead().columns(protocol)] == ["feature4", "feature4_top5"]


def test_the_proof_looks_at_the_pixels_of_the_protocol() -> None:
    pixels = evaluation_pixels(ImagenetMhead().protocol())
    assert (pixels.short_edge, pixels.crop, pixels.squash, pixels.interpolation) == (256, 224, None, "bilinear")


@pytest.mark.skipif("TRANSFER_TEST_DATA" not in os.environ, reason="TRANSFER_TEST_DATA names no data root")
def test_on_real_data(tiny: Any) -> None:
    root = Path(os.environ["TRANSFER_TEST_DATA"])
    classes = len(read_split("imagenet", root, "train").classes)
    data = DataStamp("imagenet", "0" * 64, {"classes": classes})
    outcome = ImagenetMhead().run(dataclasses.replace(tiny.job(epochs=2), data_root=root, data=data))
    assert max(outcome.metrics[layer].value or 0 for layer in LAYERS) > 150 / classes
