from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from results.record_schema import record_schema

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "record.schema.json"


def published() -> dict[str, Any]:
    return dict(json.loads(PUBLISHED.read_text()))


def test_the_published_schema_is_that_of_the_code() -> None:
    assert published() == record_schema(), "run `python -m results.record_schema > docs/record.schema.json`"
    jsonschema.Draft202012Validator.check_schema(published())


def test_a_record_fits_the_published_schema(builder: Any) -> None:
    record = builder.make("voc07_svm", values={"svm": "no images"}, seed=1, protocol_fields={"costs": [1.0, 0.5]})
    jsonschema.validate(json.loads(record.to_json()), published())


@pytest.mark.parametrize("change", [{"seed": "0"}, {"schema": 0}, {"extra": 1}, {"metrics": {"a": {"unit": ""}}}])
def test_what_is_no_record_does_not_fit_it(change: dict[str, Any], builder: Any) -> None:
    raw = {**json.loads(builder.make().to_json()), **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, published())


@pytest.mark.parametrize("name", sorted(record_schema()["properties"]))
def test_every_field_is_required(name: str, builder: Any) -> None:
    raw = json.loads(builder.make().to_json())
    del raw[name]
    with pytest.raises(jsonschema.ValidationError, match=name):
        jsonschema.validate(raw, published())
