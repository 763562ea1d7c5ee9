"""The published SimCLR page against ours with its values.

Rule: a metric has the same number of decimals everywhere, and a config has one link.
Exceptions, in which the original does not follow its own rule: numbers of ``EXCEPTIONS``, and the branch ``dev-1.x``
that its table of models links where its other tables link ``1.x``.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

import pytest

from results.entries import Entry
from results.metadata import Metadata, read_metadata
from results.pages.sections import SECTIONS
from results.published import Published, published
from results.record import Column, MetricValue
from tests.results.pages.zoo_pages import (
    FOLDER,
    Cells,
    columns,
    entries_of,
    numbers_of,
    pages_of,
    read_cells,
    rule,
    simclr,
    without_value,
)

GOLDEN = json.loads((FOLDER / "simclr_page.json").read_text())
"""Headings and tables of the published page, read from it once by the same reader as ours are."""

ORIGIN = "How these numbers were made"


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    return read_metadata(FOLDER / "simclr.yaml")


def page(entries: list[Entry], metadata: Metadata) -> Cells:
    text = pages_of(entries, metadata)["zoo/SimCLR/README.md"]
    assert isinstance(text, str)
    return read_cells(text)


def test_the_headings_are_those_of_the_published_page(metadata: Metadata) -> None:
    assert page(simclr(), metadata).headings == [*GOLDEN["headings"], ["h2", ORIGIN]]


def test_every_table_is_that_of_the_published_page_cell_for_cell(metadata: Metadata) -> None:
    ours = page(simclr(), metadata).tables[:-1]
    differences = []
    assert [table["heading"] for table in ours] == [table["heading"] for table in GOLDEN["tables"]]
    for own, golden in zip(ours, GOLDEN["tables"], strict=True):
        assert [len(row) for row in own["rows"]] == [len(row) for row in golden["rows"]]
        for own_row, golden_row in zip(own["rows"], golden["rows"], strict=True):
            for cell, expected in zip(own_row, golden_row, strict=True):
                if cell != expected:
                    differences.append((cell, expected))
    zeros = [(own["text"], golden["text"]) for own, golden in differences if own["text"] != golden["text"]]
    assert zeros == [("77.40", "77.4")]
    branches = [(own, golden) for own, golden in differences if own["text"] == golden["text"]]
    # Pretraining and linear evaluation of three checkpoints.
    assert len(branches) == 6
    for own, golden in branches:
        assert own["links"] == [link.replace("/dev-1.x/", "/1.x/") for link in golden["links"]]


def test_a_line_under_each_table_says_how_it_was_measured(metadata: Metadata) -> None:
    text = pages_of(simclr(), metadata)["zoo/SimCLR/README.md"]
    assert isinstance(text, str)
    captions = [line for line in text.splitlines() if line.startswith("Protocol ")]
    assert len(captions) == len(GOLDEN["tables"])
    for entry in simclr():
        assert any(f"hash `{entry.protocol.hash[:12]}`" in caption for caption in captions)


def test_what_the_metadata_says_stands_on_the_page(metadata: Metadata) -> None:
    text = pages_of(simclr(), metadata)["zoo/SimCLR/README.md"]
    assert isinstance(text, str)
    lines = text.splitlines()
    assert lines[2].startswith("> [A Simple Framework for Contrastive Learning of Visual Representations](https://")
    assert "<!-- [ALGORITHM] -->" in lines
    assert "```bibtex" in lines
    assert '<img src="https://example.org/simclr.png" alt="Figure of SimCLR" width="400" />' in lines
    assert "The [config](https://github.com/open-mmlab/mmselfsup/blob/1.x/configs/benchmarks/mmdetection/coco/" in text


EXCEPTIONS = {
    # Lost the zero at their end.
    ("SimCLR", "lowshot_k96", "77.4"),
    ("DenseCL", "svm", "82.5"),
    # Two decimals in a column of one: two were left over from OpenSelfSup, three come from other code.
    ("DeepCluster", "top1", "46.92"),
    ("ODC", "top1", "53.42"),
    ("EVA", "top1", "69.02"),
    ("EVA", "top1", "83.72"),
    ("MixMIM", "top1", "84.63"),
}
"""Published numbers with other decimals than their column has elsewhere."""


def test_the_rule_of_decimals_holds_but_for_the_exceptions() -> None:
    decimals = {each: next(c.decimals for c in rule(each) if c.metric == each.metric) for each in published()}
    others = [each for each in published() if len(each.text.partition(".")[2]) != decimals[each]]
    assert {(each.algorithm, each.metric, each.text) for each in others} == EXCEPTIONS


def model(number: Published) -> str:
    """One model for each config; two fine-tunings of one config are two."""
    name = number.config or f"{number.algorithm.lower()}_{number.backbone}"
    if number.benchmark == "imagenet_finetune" and number.variant.endswith("-448"):
        name += "-448"
    return name


def metadata_of(algorithm: str) -> Metadata:
    models: dict[str, dict[str, Any]] = {}
    for each in numbers_of(algorithm):
        facts = {"epochs": each.epochs, "batch_size": each.batch_size, "backbone": each.backbone}
        name = model(each)
        models[name] = {"name": name, "label": name, **facts}
    return Metadata.model_validate({"algorithms": [{"name": algorithm, "models": list(models.values())}]})


def cell_values(read: Cells, algorithm: str) -> Counter[tuple[str, str, str]]:
    """Heading of the section, first cell or facts of the model, head of the column and number, of every cell."""
    found: Counter[tuple[str, ...]] = Counter()
    for table in read.tables:
        if table["heading"] == ORIGIN:
            continue
        rows = table["rows"]
        if rows[0][0]["text"] == "Algorithm":
            for row in rows[2:]:
                texts = [cell["text"] for cell in row if cell["text"] != algorithm or "rowspan" not in cell]
                facts = "|".join(texts[:3])
                for head, text in zip(("Linear Eval", "Fine-tuning"), texts[3:5], strict=True):
                    if text != "/":
                        found[facts, head, text] += 1
        else:
            heads = [cell["text"] for cell in rows[0]]
            for row in rows[1:]:
                for head, cell in zip(heads[1:], row[1:], strict=True):
                    if head != "Best Layer" and cell["text"]:
                        found[row[0]["text"], f"{table['heading']}: {head}", cell["text"]] += 1
    return found  # type: ignore[return-value]


def expected_values(algorithm: str) -> Counter[tuple[str, str, str]]:
    headings = {section.benchmark: section.heading for section in SECTIONS}
    found: Counter[tuple[str, str, str]] = Counter()
    for each in numbers_of(algorithm):
        column = next(column for column in columns(each) if column.metric == each.metric)
        text = f"{float(each.text):.{column.decimals}f}"
        assert float(text) == float(each.text), each
        if each.benchmark in ("imagenet_linear", "imagenet_finetune"):
            facts = "|".join(str(fact or "/") for fact in (each.backbone, each.epochs, each.batch_size))
            found[facts, {"imagenet_linear": "Linear Eval"}.get(each.benchmark, "Fine-tuning"), text] += 1
        else:
            found[model(each), f"{headings[each.benchmark]}: {column.title}", text] += 1
    return found


@pytest.mark.parametrize("algorithm", sorted({each.algorithm for each in published()}))
def test_the_published_numbers_of_every_algorithm_come_back_from_its_page(algorithm: str) -> None:
    files = pages_of(entries_of(numbers_of(algorithm), model), metadata_of(algorithm))
    (text,) = [content for name, content in files.items() if name.startswith("zoo/") and name.endswith("README.md")]
    assert isinstance(text, str)
    assert cell_values(read_cells(text), algorithm) == expected_values(algorithm)


def test_partial_suites_leave_blanks_with_reasons_and_shift_no_column(metadata: Metadata) -> None:
    whole = simclr()
    entries = [
        without_value(each, "failed: disk full")
        if (each.label.name, each.benchmark) in (("8xb32-200e", "imagenet_mhead"), ("16xb256-800e", "imagenet_linear"))
        else each
        for each in whole
        if each.benchmark != "coco_mask_rcnn"
    ]
    text = pages_of(entries, metadata)["zoo/SimCLR/README.md"]
    assert isinstance(text, str)
    tables = read_cells(text).tables
    assert "COCO2017" not in {table["heading"] for table in tables}
    features = tables[1]["rows"]
    assert [cell["text"] for cell in features[1][1:]] == [""] * 5
    assert [cell["text"] for cell in features[2][1:]] == ["15.44", "31.47", "41.83", "59.44", "66.41"]
    rows = tables[2]["rows"]
    assert [row[-5]["text"] for row in rows[2:]] == ["62.7", "66.9", "/"]
    assert [row[-4]["text"] for row in rows[2:]] == ["/"] * 3
    columns = "Feature1, Feature2, Feature3, Feature4, Feature5"
    assert "- No value: resnet50&#95;8xb32" not in text
    assert f"resnet50_8xb32-coslr-200e, {columns}: failed: disk full" in text.replace("&#95;", "_")
    assert "resnet50_16xb256-coslr-800e, Linear Eval: failed: disk full" in text.replace("&#95;", "_")


def test_the_svm_of_each_layer_stands_on_no_zoo_page(metadata: Metadata) -> None:
    entries = [
        dataclasses.replace(
            each,
            display=(*each.display, Column("svm_feature1", "Feature1", 2, "SVM per layer")),
            metrics={**each.metrics, "svm_feature1": MetricValue(12.34)},
        )
        for each in simclr()
    ]
    files = pages_of(entries, metadata)
    assert "SVM per layer" in str(files["8xb32-200e.md"])
    assert "SVM per layer" not in str(files["zoo/SimCLR/README.md"])
    assert "12.34" not in str(files["zoo/SimCLR/README.md"])


def test_what_nobody_published_has_tables_too(metadata: Metadata, builder: Any) -> None:
    entries = simclr()
    for benchmark in ("inaturalist2018_mhead", "cityscapes_fcn"):
        numbers = [
            Published("SimCLR", "", "ResNet-50", 200, 256, benchmark, "", metric, "12.34", "", "")
            for metric in (["feature1", "feature5"] if benchmark.startswith("inat") else ["mIoU"])
        ]
        entries += entries_of(numbers, lambda each: "8xb32-200e")
    read = page(sorted(entries, key=lambda each: (each.label.name, each.benchmark, each.group)), metadata)
    headings = [heading for _, heading in read.headings]
    assert headings.index("iNaturalist2018 Linear Evaluation") < headings.index("Detection")
    assert headings.index("Cityscapes") > headings.index("Pascal VOC 2012 + Aug")
    (table,) = [table for table in read.tables if table["heading"] == "Cityscapes"]
    assert [cell["text"] for cell in table["rows"][1]] == ["resnet50_8xb32-coslr-200e", "12.34"]
