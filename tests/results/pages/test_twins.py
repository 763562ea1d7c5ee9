from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import modelindex  # type: ignore[import-untyped]
import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from results.entries import Entry
from results.metadata import read_metadata
from tests.results.pages.zoo_pages import FOLDER, LABELS, numbers_of, pages_of, simclr

TEXT = {"type": "string", "minLength": 1}
RESULT = {
    "type": "object",
    "required": ["Task", "Dataset", "Metrics"],
    "additionalProperties": False,
    "properties": {
        "Task": TEXT,
        "Dataset": TEXT,
        "Metrics": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number"}},
    },
}
METADATA = {"type": "object"}
COLLECTION = {
    "type": "object",
    "required": ["Name", "Metadata", "README"],
    "additionalProperties": False,
    "properties": {
        "Name": TEXT,
        "Metadata": {
            "type": "object",
            "required": ["Training Data"],
            "properties": {"Architecture": {"type": "array", "items": TEXT}},
        },
        "Paper": {"type": "object", "required": ["URL", "Title"]},
        "README": TEXT,
    },
}
MODEL = {"Name": TEXT, "In Collection": TEXT, "Metadata": METADATA, "Config": TEXT, "Weights": TEXT}
RESULTS = {"type": ["array", "null"], "items": RESULT}
NESTED = {
    "type": "object",
    "required": ["Type", "Metadata", "Results"],
    "additionalProperties": False,
    "properties": {"Type": TEXT, "Metadata": METADATA, "Results": RESULTS, "Config": TEXT, "Weights": TEXT},
}


def dialect(downstream: dict[str, Any]) -> dict[str, Any]:
    """The form of the toolboxes' own metafiles, read off mmselfsup 1.x and mmpretrain 1.2."""
    return {
        "type": "object",
        "required": ["Collections", "Models"],
        "additionalProperties": False,
        "properties": {
            "Collections": {"type": "array", "minItems": 1, "items": COLLECTION},
            "Models": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["Name", "In Collection", "Metadata", "Results"],
                    "additionalProperties": False,
                    "properties": {
                        **MODEL,
                        "Results": RESULTS,
                        "Downstream": {"type": "array", "minItems": 1, "items": downstream},
                    },
                },
            },
        },
    }


DIALECTS = {"metafile.yml": dialect(NESTED), "metafile-mmpretrain.yml": dialect(TEXT)}


def files(entries: list[Entry] | None = None) -> dict[str, Any]:
    metadata = read_metadata(FOLDER / "simclr.yaml")
    return pages_of(entries if entries is not None else simclr(), metadata, formats=("metafile", "card", "latex"))


def metrics(results: list[dict[str, Any]]) -> list[float]:
    return [value for result in results for value in result["Metrics"].values()]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_metafile_fits_its_dialect_and_holds_every_number_once(name: str) -> None:
    raw = yaml.safe_load(files()[f"zoo/SimCLR/{name}"])
    jsonschema.validate(raw, DIALECTS[name])
    names = [model["Name"] for model in raw["Models"]]
    assert len(set(names)) == len(names)
    found = []
    for model in raw["Models"]:
        found += metrics(model["Results"] or [])
        for each in model.get("Downstream", []):
            if isinstance(each, str):
                assert each in names
            else:
                found += metrics(each["Results"])
    assert sorted(found) == sorted(each.value for each in numbers_of("SimCLR"))


def test_a_number_stands_beside_its_own_links() -> None:
    raw = yaml.safe_load(files()["zoo/SimCLR/metafile.yml"])
    model = next(each for each in raw["Models"] if each["Name"] == "simclr_resnet50_8xb32-coslr-200e_in1k")
    assert model["Metadata"] == {"Epochs": 200, "Batch Size": 256, "Training Data": "ImageNet-1k"}
    (linear,) = [each for each in model["Downstream"] if "Top 1 Accuracy" in each["Results"][0]["Metrics"]]
    assert linear["Results"] == [
        {"Task": "Image Classification", "Dataset": "ImageNet-1k", "Metrics": {"Top 1 Accuracy": 62.7}}
    ]
    # The published metafile has another model's weights here.
    assert linear["Weights"].endswith("-9596a505.pth")
    assert re.fullmatch(r"imagenet_linear, version 1, hash [0-9a-f]{12}", linear["Metadata"]["Protocol"])


def test_the_index_names_every_metafile() -> None:
    made = files()
    for name in yaml.safe_load(made["zoo/model-index.yml"])["Import"]:
        assert f"zoo/{name}" in made


def test_model_index_reads_the_metafiles(tmp_path: Path) -> None:
    for name, content in files().items():
        if name.startswith("zoo/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    (tmp_path / "zoo/SimCLR/README.md").write_text("# SimCLR")
    index = modelindex.load(str(tmp_path / "zoo/model-index.yml"))
    assert index.check(silent=True) == []
    assert [model.name for model in index.models] == list(LABELS)
    assert [model.metadata.data["Epochs"] for model in index.models] == [200, 200, 800]


def test_a_card_is_read_by_the_hub_with_every_number() -> None:
    for config, label in LABELS.items():
        card = ModelCard(files()[f"cards/{config}/README.md"])
        name, results = model_index_to_eval_results(card.data.to_dict()["model-index"])
        assert name == config
        expected = [each.value for each in numbers_of("SimCLR") if LABELS[each.config] == label]
        assert sorted(float(each.metric_value) for each in results) == sorted(expected)
        assert all(each.metric_config.partition(",")[0].startswith(each.dataset_config) for each in results)
        assert f"# {config}" in card.text.replace("&#95;", "_")


def test_a_card_without_results_has_no_model_index() -> None:
    entries = [each for each in simclr() if each.label.name == "8xb32-200e"][:1]
    smoke = dataclasses.replace(entries[0], protocol=dataclasses.replace(entries[0].protocol, profile="smoke"))
    card = ModelCard(files([smoke])["cards/simclr_resnet50_8xb32-coslr-200e_in1k/README.md"])
    assert "model-index" not in card.data.to_dict()
    assert "Smoke profile: no results" in card.text


@pytest.mark.parametrize("change", [{"profile": "smoke"}, {"modified": ("epochs",)}])
def test_what_is_no_result_is_in_no_twin(change: dict[str, Any]) -> None:
    entries = [dataclasses.replace(each, protocol=dataclasses.replace(each.protocol, **change)) for each in simclr()]
    for name in DIALECTS:
        raw = yaml.safe_load(files(entries)[f"zoo/SimCLR/{name}"])
        assert len(raw["Models"]) == 3
        assert not any(model.get("Downstream") for model in raw["Models"])


def test_latex_holds_every_table_with_its_numbers() -> None:
    text = files()["results.tex"]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    cells = [re.findall(r"\{((?:[^{}]|\\[{}])*)\}", row.replace("{-}", "-")) for row in rows]
    assert "\\begin{tabular}{lrrrrr}" in text
    assert ["8xb32-200e", "16.29", "31.11", "39.99", "55.06", "62.91"] in cells
    # The braces balance, so nothing of a cell reaches into the next.
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\{", "").replace(r"\}", "").count(
        "}"
    )
