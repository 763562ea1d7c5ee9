from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from benchmarks.input_convention import DEFAULT_CONVENTION
from results.pages.build import DEFAULT_INPUT
from results.pages.markdown import file_name
from tests.results.pages.reading import (
    LAYERS,
    only,
    render,
    tables,
)


def test_the_caption_says_how_it_was_measured(builder: Any) -> None:
    record = builder.finish("voc07_svm", seed=4, modified=["costs", "folds"], protocol="voc07_svm@vissl")
    builder.run({"a": "simclr"})
    for _, _, _, caption in tables(render(builder.workspace)[1]):
        assert "\n" not in caption
        assert record.protocol.hash[:12] in caption
        assert record.protocol.hash[:13] not in caption
        for fact in ("voc07_svm@vissl, version 1", "data voc07 (trainval 5011, test 4952, classes 20)", "seed 4"):
            assert fact in caption
        assert "modified: costs, folds" in caption
        assert "numerics: precision fp32" in caption
        for absent in ("input convention", "non-standard", "deviation"):
            assert absent not in caption


def test_another_input_convention_is_said_and_the_default_is_the_catalogues(builder: Any) -> None:
    assert DEFAULT_INPUT == DEFAULT_CONVENTION
    stamp = dataclasses.replace(builder.make().backbone, input="bgr-mean")
    builder.finish(backbone="byol")
    record = builder.make(seed=None)
    record = dataclasses.replace(record, backbone=stamp)
    folder = builder.workspace.job(record.benchmark, record.key)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(record.to_json())
    builder.run({"one": "simclr"}, input="bgr-mean")
    builder.run({"two": "byol"})
    paths = render(builder.workspace)
    assert "input convention bgr-mean (one)" in tables(only(paths, "model_zoo.md"))[0][3]
    assert "input convention" not in tables(only(paths, "two.md"))[0][3]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("a/b\\simclr.pth", "simclr.pth"),
        ("random:0", "random:0"),
        ("hf://timm/resnet50.a1_in1k/model.safetensors@0123", "hf://timm/resnet50.a1_in1k/model.safetensors@0123"),
    ],
)
def test_a_source_without_its_folder(source: str, shown: str) -> None:
    assert file_name(source) == shown


def test_several_seeds_give_mean_and_sample_deviation(builder: Any) -> None:
    records = [builder.finish("imagenet_mhead", seed=seed) for seed in (0, 1, 2)]
    builder.run({"a": "simclr"})
    ((_, _, cells, caption),) = tables(render(builder.workspace)[1])
    for layer, cell in zip(LAYERS, cells[1][1:], strict=True):
        values = [record.metrics[f"feature{layer}"].value for record in records]
        mean, deviation = (float(number) for number in cell.split(" ± "))
        # A page shows two decimals: half a unit of the last one.
        np.testing.assert_allclose([mean, deviation], [np.mean(values), np.std(values, ddof=1)], rtol=0, atol=0.00501)
    assert "seeds 0, 1, 2 (mean ± sample standard deviation, n = 3)" in caption


def test_a_seed_that_failed_is_told(builder: Any) -> None:
    first, second = (builder.finish(seed=seed) for seed in (0, 1))
    lost = builder.make(seed=2)
    builder.attempt(lost, 1, {"status": "failed", "reason": "disk full"})
    builder.run({"a": "simclr"}, [first, second, lost])
    page = render(builder.workspace)[1]
    ((_, _, cells, caption),) = tables(page)
    assert all(cell.endswith("(n = 2)") for cell in cells[1][1:])
    assert "seeds 0, 1 (" in caption
    assert "No value: k=10, k=20, k=100, k=200, seed 2: failed: disk full" in page.read_text()


def test_labels_with_different_seeds_are_told_apart_in_the_zoo(builder: Any) -> None:
    for seed in (0, 1):
        builder.finish(backbone="simclr", seed=seed)
    builder.finish(backbone="byol", seed=0)
    builder.run({"a": "simclr", "b": "byol"})
    ((_, _, cells, caption),) = tables(only(render(builder.workspace), "model_zoo.md"))
    assert [row[0] for row in cells[1:]] == ["a", "b"]
    assert "seed 0 for b" in caption
    assert "seeds 0, 1 (mean ± sample standard deviation, n = 2) for a" in caption


def test_best_layers_that_differ_between_seeds_are_all_named(builder: Any) -> None:
    builder.finish("voc07_svm", seed=0, details={"best_layer": "feature4"})
    builder.finish("voc07_svm", seed=1, details={"best_layer": "feature5"})
    builder.run({"a": "simclr"})
    assert tables(render(builder.workspace)[1])[0][2][1][1] == "feature4, feature5"


def test_where_numbers_come_from_is_told(builder: Any) -> None:
    record = builder.finish()
    builder.run({"a": "simclr"})
    text = render(builder.workspace)[1].read_text()
    origin = text[text.index("## How these numbers were made") :]
    assert f"| a | `{record.backbone.digest[:12]}` | simclr.pth | mmselfsup | backbone | rgb-mean-std |" in origin
    assert "Versions: git 0123456; numpy 2.2.6; torch 2.14.0." in origin


def test_numbers_made_by_differing_code_are_marked_under_their_table(builder: Any) -> None:
    builder.finish("imagenet_knn", seed=0, git="a" * 40)
    builder.finish("imagenet_knn", seed=1, git="b" * 40)
    builder.run({"a": "simclr"})
    assert "made by differing code: aaaaaaaaaaaa, bbbbbbbbbbbb" in tables(render(builder.workspace)[1])[0][3]


def test_versions_that_differ_are_told(builder: Any) -> None:
    builder.finish("imagenet_knn")
    builder.finish("voc07_svm", versions={"torch": "2.13.0", "numpy": "2.2.6"})
    builder.run({"a": "simclr"})
    text = render(builder.workspace)[1].read_text()
    assert "torch differs between records: 2.13.0 (voc07_svm) / 2.14.0 (imagenet_knn)" in text
    assert "numpy 2.2.6;" in text
