from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.base import JobContext, Numerics, PixelPipeline
from benchmarks.classification.voc07_svm import Voc07Svm
from benchmarks.input_convention import CONVENTIONS
from benchmarks.probes.feature_store import FeatureFolder, LayerWriter
from benchmarks.probes.svm.data import SvmData, SvmSettings, normalise_rows
from benchmarks.probes.svm.full import full_svm
from benchmarks.probes.svm.low_shot import low_shot_rows, low_shot_svm
from benchmarks.protocol import Protocol
from results.errors import HarnessError
from results.record import DataStamp

CLASSES = ("bicycle", "cat", "dog")
ROWS = {"trainval": 160, "test": 90}
OVERRIDES = {"layers": ("feature5", "feature4"), "costs": (1.0, 0.01), "low_shot_k": (1, 2, 50), "low_shot_samples": 2}


def labels_of(split: str, seed: int = 0) -> Any:
    generator = np.random.default_rng([seed, len(split)])
    labels = (generator.random((ROWS[split], len(CLASSES))) < 0.3).astype(np.int8)
    labels[(generator.random(labels.shape) < 0.05) & (labels == 0)] = -1
    return labels


def features_of(split: str, layer: str) -> Any:
    """The labels' own directions under noise, less of it in feature5."""
    generator = np.random.default_rng([int(layer[-1]), len(split)])
    directions = np.random.default_rng(5).normal(size=(len(CLASSES), 10))
    noise = {"feature4": 3.0, "feature5": 0.5}[layer]
    clean = 2 + (labels_of(split) == 1) @ directions
    return (clean + noise * generator.normal(size=clean.shape)).astype(np.float32)


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    return make_context(tmp_path, Voc07Svm().protocol(overrides=OVERRIDES))


def make_context(tmp_path: Path, protocol: Protocol) -> JobContext:
    main = tmp_path / "data" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    main.mkdir(parents=True)
    with FeatureFolder(tmp_path / "features") as folder:
        splits: dict[str, Any] = {}
        for split, count in ROWS.items():
            write_lists(main, split, labels_of(split))
            layers = {}
            for layer in ("feature4", "feature5"):
                writer = LayerWriter(folder.path, split, layer, count, 64)
                writer.append(features_of(split, layer))
                layers[layer] = writer.entry()
            splits[split] = {"count": count, "layers": layers}
        folder.publish({"schema": 1, "splits": splits})
    return JobContext(
        protocol=protocol,
        backbone=tmp_path / "backbone.safetensors",
        digest="",
        input=CONVENTIONS["rgb-mean-std"],
        data_root=tmp_path / "data",
        data=DataStamp("voc07_classification", "", {}),
        seed=4,
        numerics=Numerics(),
        attempt=tmp_path,
        features=tmp_path / "features",
        previous=(),
        threads=1,
        device="cpu",
    )


def write_lists(main: Path, split: str, labels: Any) -> None:
    names = [f"{number:06d}" for number in range(len(labels))]
    (main / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    for index, one in enumerate(CLASSES):
        flags = [{1: 1, 0: -1, -1: 0}[int(label)] for label in labels[:, index]]
        lines = [f"{name} {flag:2d}\n" for name, flag in zip(names, flags, strict=True)]
        (main / f"{one}_{split}.txt").write_text("".join(lines))


def test_the_metrics_are_those_of_the_probe(context: JobContext) -> None:
    outcome = Voc07Svm().run(context)
    settings = SvmSettings((1.0, 0.01), 3, 2.0, 1.0, 1e-4, 2000, 1.0, 4)
    values = {}
    for layer in ("feature4", "feature5"):
        train, test = (normalise_rows(features_of(split, layer), 1e-5) for split in ROWS)
        data = SvmData(train, labels_of("trainval"), test, labels_of("test"), CLASSES)
        results = full_svm(data, settings, 1)
        values[layer] = 100 * float(np.mean([result.ap for result in results]))
        # 1e-10 of a percent: the mean of three float64 in another order.
        assert outcome.metrics[f"svm_{layer}"].value == pytest.approx(values[layer], abs=1e-10)
        details = outcome.details["layers"][layer]
        assert details["costs"] == {name: result.cost for name, result in zip(CLASSES, results, strict=True)}
    assert values["feature5"] > values["feature4"] + 5
    assert outcome.details["best_layer"] == "feature5"
    assert outcome.metrics["svm"] == outcome.metrics["svm_feature5"]
    shots = low_shot_svm(data, settings, (1, 2), 2, 19, 1)
    for k in (1, 2):
        metric, details = outcome.metrics[f"lowshot_k{k}"], outcome.details["low_shot"][f"k{k}"]
        assert metric.value == pytest.approx(100 * np.mean(shots[k].samples), abs=1e-10)
        assert details["cost"] == shots[k].cost
        assert details["std"] == pytest.approx(100 * np.std(shots[k].samples), abs=1e-10)
        assert details["min"] <= metric.value <= details["max"]
    assert outcome.metrics["lowshot_k50"].value is None
    assert "950 negatives" in outcome.metrics["lowshot_k50"].note
    json.dumps(outcome.details, allow_nan=False)


def test_every_column_has_a_metric_and_no_other(context: JobContext) -> None:
    outcome = Voc07Svm().run(context)
    columns = Voc07Svm().columns(context.protocol)
    assert {column.metric for column in columns} == set(outcome.metrics)
    assert [column.metric for column in columns] == [
        "svm", "lowshot_k1", "lowshot_k2", "lowshot_k50", "svm_feature5", "svm_feature4",
    ]  # fmt: skip
    assert [column.title for column in columns[:3]] == ["SVM", "k=1", "k=2"]
    assert {column.table for column in columns[:4]} == {""}
    assert {column.table for column in columns[4:]} == {"SVM per layer"}
    assert {column.decimals for column in columns} == {2}


def test_the_low_shot_samples_lie_in_the_attempt(context: JobContext) -> None:
    Voc07Svm().run(context)
    labels = labels_of("trainval")
    with np.load(context.attempt / "low_shot_samples.npz") as stored:
        # Not those of k=50, for which the classes have too few images.
        assert set(stored) == {f"train_targets_sample{sample}_k{k}" for sample in (1, 2) for k in (1, 2)}
        for sample, k, index in itertools.product((1, 2), (1, 2), range(3)):
            targets = stored[f"train_targets_sample{sample}_k{k}"][:, index]
            rows = low_shot_rows(labels[:, index], k, 19, (4, sample - 1, k, index))
            assert np.flatnonzero(targets >= 0).tolist() == rows.tolist()
            assert (targets[rows] == labels[rows, index]).all()


def test_another_seed_draws_other_samples(context: JobContext) -> None:
    values = [Voc07Svm().run(dataclasses.replace(context, seed=seed)) for seed in (4, 5, 4)]
    assert values[0].metrics == values[2].metrics
    assert values[0].metrics["lowshot_k2"] != values[1].metrics["lowshot_k2"]


def relabel(context: JobContext, split: str, change: Any) -> None:
    labels = labels_of(split)
    change(labels)
    write_lists(context.data_root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main", split, labels)


def test_a_class_without_positives_is_left_out_with_a_note(context: JobContext) -> None:
    before = Voc07Svm().run(context).details["layers"]["feature5"]["ap"]
    relabel(context, "trainval", lambda labels: labels[:, 1].fill(0))
    outcome = Voc07Svm().run(context)
    assert outcome.metrics["svm"].value == pytest.approx((before["bicycle"] + before["dog"]) / 2, abs=1e-10)
    assert "2 of 3 classes" in outcome.metrics["svm"].note
    assert "cat (0 positives" in outcome.metrics["svm"].note
    assert outcome.details["layers"]["feature5"]["ap"]["cat"] is None
    assert outcome.metrics["lowshot_k1"].value is None
    assert "cat has 0" in outcome.metrics["lowshot_k1"].note


def test_skipped_folds_stand_in_the_note(context: JobContext) -> None:
    def two_positives(labels: Any) -> None:
        labels[:, 0] = 0
        labels[:2, 0] = 1

    relabel(context, "trainval", two_positives)
    metric = Voc07Svm().run(context).metrics["svm"]
    assert metric.value is not None
    assert metric.note == "cross-validation folds without positives or negatives skipped for bicycle"


def test_no_class_at_all_gives_reasons_and_no_numbers(context: JobContext) -> None:
    relabel(context, "test", lambda labels: labels.fill(0))
    outcome = Voc07Svm().run(context)
    assert {metric.value for metric in outcome.metrics.values()} == {None}
    assert all("no positive in the test split" in metric.note for metric in outcome.metrics.values())
    assert outcome.details["best_layer"] is None


def test_features_of_other_lists_are_refused(context: JobContext) -> None:
    ROWS["test"] += 1
    try:
        relabel(context, "test", lambda labels: None)
    finally:
        ROWS["test"] -= 1
    with pytest.raises(HarnessError, match="90 features for the 91 images"):
        Voc07Svm().run(context)
    with pytest.raises(HarnessError, match="without features"):
        Voc07Svm().run(dataclasses.replace(context, features=None))


def test_the_full_protocol() -> None:
    protocol = Voc07Svm().protocol()
    assert protocol["costs"] == (1, 10, 100, *(2.0**-power for power in range(4, 20)))
    assert len(protocol["costs"]) == 19
    request = Voc07Svm().feature_request(protocol)
    assert request.pixels == PixelPipeline(256, squash=224)
    assert (request.data, request.splits, request.pooling) == ("voc07_classification", ("trainval", "test"), "grid")
    assert request.layers == ("feature1", "feature2", "feature3", "feature4", "feature5")
    metrics = [column.metric for column in Voc07Svm().columns(protocol)]
    assert metrics[:3] == ["svm", "lowshot_k1", "lowshot_k2"]
    assert {"lowshot_k96", "svm_feature1", "svm_feature5"} < set(metrics)
    assert all(field.source for field in protocol.fields.values())


def test_the_smoke_profile_shrinks_sizes_only() -> None:
    full, smoke = Voc07Svm().protocol().values(), Voc07Svm().protocol(profile="smoke").values()
    changed = {name for name in full if full[name] != smoke[name]}
    assert changed == {"short_edge", "squash", "layers", "costs", "low_shot_k", "low_shot_samples"}
    assert set(smoke["costs"]) <= set(full["costs"])
    Voc07Svm().feature_request(Voc07Svm().protocol(profile="smoke"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"layers": ("feature6",)}, "unknown layer"),
        ({"pooling": "global_average"}, "knows no pooling but 'grid'"),
        ({"solver": "libsvm"}, "solver cannot be 'libsvm'"),
        ({"tolerance": 1e-8}, "tolerance is liblinear's, and the solver is 'exact'"),
        ({"max_iterations": 10}, "max_iterations is liblinear's"),
        ({"classes": 10}, "knows no classes but 20"),
        ({"costs": ()}, "costs of voc07_svm cannot be"),
        ({"costs": (1.0, 0.0)}, "more than 0"),
        ({"costs": (1.0, 1.0)}, "each entry once"),
        ({"folds": 1}, "at least 2"),
        ({"low_shot_k": (0,)}, "at least 1"),
        ({"squash": 16}, "not possible"),
    ],
)
def test_impossible_fields_are_refused_when_planning(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        Voc07Svm().feature_request(Voc07Svm().protocol(overrides=overrides))


def test_planning_imports_no_heavy_package() -> None:
    code = (
        "import sys\n"
        "from benchmarks.classification.voc07_svm import Voc07Svm as V\n"
        "from benchmarks.classification.imagenet_knn import ImagenetKnn as K\n"
        "[b.columns(b.protocol()) and b.resources(b.protocol()) for b in (V(), K())]\n"
        "light = 'numpy' not in sys.modules\n"
        "[b.feature_request(b.protocol()) for b in (V(), K())]\n"
        "print(light, {'torch', 'sklearn', 'pandas', 'cv2', 'scipy'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "True set()\n"


def test_the_solver_of_the_protocol_fits_and_says_how_sure_it_is(context: JobContext) -> None:
    overrides = {**OVERRIDES, "solver": "liblinear", "tolerance": 1e-8, "max_iterations": 1_000_000}
    reference = dataclasses.replace(context, protocol=Voc07Svm().protocol(overrides=overrides))
    found, expected = Voc07Svm().run(context), Voc07Svm().run(reference)
    for outcome, sign, other in (
        (found, "largest_relative_gap", "unconverged_fits"),
        (expected, "unconverged_fits", "largest_relative_gap"),
    ):
        for part in (outcome.details["layers"]["feature5"], outcome.details["low_shot"]["k2"]):
            assert part[sign] <= 1e-6
            assert other not in part
    for name, metric in expected.metrics.items():
        if metric.value is not None:
            assert found.metrics[name].value == pytest.approx(metric.value, abs=1e-3)
    assert Voc07Svm().resources(context.protocol).hours < Voc07Svm().resources(reference.protocol).hours
