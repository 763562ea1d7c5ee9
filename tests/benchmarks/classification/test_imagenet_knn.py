from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.base import JobContext, Numerics, PixelPipeline
from benchmarks.classification.imagenet_knn import ImagenetKnn
from benchmarks.input_convention import CONVENTIONS
from benchmarks.probes.feature_store import FeatureFolder, LayerWriter
from results.errors import HarnessError
from results.record import DataStamp

ROWS = {"train": 150, "val": 60}
CLASSES = 8


def make_split(split: str) -> tuple[Any, Any]:
    generator = np.random.default_rng(len(split))
    labels = generator.integers(0, CLASSES, ROWS[split])
    labels[:CLASSES] = np.arange(CLASSES)
    centres = np.random.default_rng(9).normal(size=(CLASSES, 12))
    return labels, (centres[labels] + 1.5 * generator.normal(size=(len(labels), 12))).astype(np.float32)


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    meta = tmp_path / "data" / "imagenet" / "meta"
    meta.mkdir(parents=True)
    with FeatureFolder(tmp_path / "features") as folder:
        splits: dict[str, Any] = {}
        for split, count in ROWS.items():
            labels, features = make_split(split)
            lines = [f"n{label:08d}/{number}.JPEG {label}\n" for number, label in enumerate(labels.tolist())]
            (meta / f"{split}.txt").write_text("".join(lines))
            writer = LayerWriter(folder.path, split, "feature5", count, 100)
            writer.append(features)
            splits[split] = {"count": count, "layers": {"feature5": writer.entry()}}
        folder.publish({"schema": 1, "splits": splits})
    return JobContext(
        protocol=ImagenetKnn().protocol(overrides={"k": (3, 20, 150, 151)}),
        backbone=tmp_path / "backbone.safetensors",
        digest="",
        input=CONVENTIONS["rgb-mean-std"],
        data_root=tmp_path / "data",
        data=DataStamp("imagenet", "", {}),
        seed=None,
        numerics=Numerics(),
        attempt=tmp_path,
        features=tmp_path / "features",
        previous=(),
        threads=1,
        device="cpu",
    )


def hits(k: int, top: int, temperature: float) -> float:
    """Percent by a float64 loop over queries."""
    (labels, bank), (truth, queries) = make_split("train"), make_split("val")
    unit = bank.astype(np.float64) / np.linalg.norm(bank.astype(np.float64), axis=1, keepdims=True)
    count = 0
    for label, query in zip(truth, queries.astype(np.float64), strict=True):
        similarity = unit @ (query / np.linalg.norm(query))
        votes = np.zeros(CLASSES)
        for index in np.argsort(-similarity, kind="stable")[:k]:
            votes[labels[index]] += np.exp(similarity[index] / temperature)
        count += int(label in np.argsort(-votes, kind="stable")[: min(top, k)])
    return 100 * count / len(truth)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_metrics_equal_a_plain_loop(context: JobContext, temperature: float) -> None:
    protocol = ImagenetKnn().protocol(overrides={"k": (3, 20, 150), "temperature": temperature})
    outcome = ImagenetKnn().run(dataclasses.replace(context, protocol=protocol))
    for k in (3, 20, 150):
        assert outcome.metrics[f"knn_k{k}"].value == pytest.approx(hits(k, 1, temperature), abs=1e-9)
        assert outcome.metrics[f"knn_k{k}_top5"].value == pytest.approx(hits(k, 5, temperature), abs=1e-9)
    values = [metric.value for metric in outcome.metrics.values()]
    assert len(set(values)) > 2
    json.dumps(outcome.details, allow_nan=False)


def test_more_neighbours_than_images_leave_the_cell_blank(context: JobContext) -> None:
    outcome = ImagenetKnn().run(context)
    assert outcome.metrics["knn_k150"].value is not None
    for name in ("knn_k151", "knn_k151_top5"):
        assert outcome.metrics[name].value is None
        assert outcome.metrics[name].note == "the bank has 150 images, fewer than k=151"


def test_only_impossible_k(context: JobContext) -> None:
    protocol = ImagenetKnn().protocol(overrides={"k": (1000,)})
    outcome = ImagenetKnn().run(dataclasses.replace(context, protocol=protocol))
    assert [metric.value for metric in outcome.metrics.values()] == [None, None]


def test_every_column_has_a_metric_and_no_other(context: JobContext) -> None:
    columns = ImagenetKnn().columns(context.protocol)
    assert {column.metric for column in columns} == set(ImagenetKnn().run(context).metrics)
    shown = [(column.metric, column.title) for column in columns if column.table == ""]
    assert shown == [(f"knn_k{k}", f"k={k}") for k in (3, 20, 150, 151)]
    assert {column.table for column in columns if column.metric.endswith("_top5")} == {"hidden"}
    assert {column.decimals for column in columns} == {1}


def test_features_of_other_lists_are_refused(context: JobContext) -> None:
    listing = context.data_root / "imagenet" / "meta" / "val.txt"
    listing.write_text(listing.read_text() + "n00000000/new.JPEG 0\n")
    with pytest.raises(HarnessError, match="60 features for the 61 images"):
        ImagenetKnn().run(context)


def test_damaged_features_are_refused(context: JobContext) -> None:
    assert context.features is not None
    (context.features / "train-feature5-00001.npy").unlink()
    with pytest.raises(HarnessError, match="damaged features"):
        ImagenetKnn().run(context)


def test_the_full_protocol() -> None:
    protocol = ImagenetKnn().protocol()
    assert (protocol["k"], protocol["temperature"], protocol["classes"]) == ((10, 20, 100, 200), 0.07, 1000)
    request = ImagenetKnn().feature_request(protocol)
    assert request.pixels == PixelPipeline(256, crop=224)
    assert (request.data, request.splits) == ("imagenet", ("train", "val"))
    assert (request.layers, request.pooling) == (("feature5",), "global_average")
    assert all(field.source for field in protocol.fields.values())


def test_the_smoke_profile_shrinks_sizes_only() -> None:
    full, smoke = ImagenetKnn().protocol().values(), ImagenetKnn().protocol(profile="smoke").values()
    assert {name for name in full if full[name] != smoke[name]} == {"short_edge", "crop", "k"}
    assert smoke["crop"] / smoke["short_edge"] == full["crop"] / full["short_edge"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"k": ()}, "cannot be"),
        ({"k": (0,)}, "at least 1"),
        ({"temperature": 0.0}, "more than 0"),
        ({"similarity": "euclidean"}, "knows no similarity but 'cosine'"),
        ({"layer": "layer4"}, "unknown layer"),
        ({"crop": 300}, "not possible"),
        ({"classes": 10}, "knows no classes"),
    ],
)
def test_impossible_fields_are_refused_when_planning(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        ImagenetKnn().feature_request(ImagenetKnn().protocol(overrides=overrides))
