from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.errors import HarnessError
from results.record import MetricValue, Record, canonical_json, sha256_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_a_record_comes_back_equal(builder: Any) -> None:
    record = builder.finish(
        "voc07_svm",
        values={"svm": 0.1 + 0.2, "lowshot_k96": "class sheep has 95 positives"},
        seed=3,
        modified=["costs", "folds"],
        details={"best_layer": "feature4", "costs": [1.0, 0.5**19]},
        curves={"mAP": [[0, 1.5]]},
    )
    path = builder.workspace.job(record.benchmark, record.key) / "result.json"
    assert Record.read(path) == record


def test_a_record_holds_every_field_that_the_design_names(builder: Any) -> None:
    raw = json.loads(builder.make().to_json())
    expected = (
        "key benchmark protocol backbone data seed numerics metrics details display curves started finished seconds "
        "device versions config_digest git attempt protocol_fields schema"
    )
    assert set(raw) == set(expected.split())
    assert set(raw["protocol"]) == {"name", "version", "hash", "modified", "profile"}
    assert set(raw["backbone"]) == {"digest", "source", "format", "encoder", "input", "remarks"}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Record)])
def test_a_record_without_a_field_is_refused(field: str, builder: Any, tmp_path: Path) -> None:
    raw = json.loads(builder.make().to_json())
    del raw[field]
    path = tmp_path / "result.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(HarnessError, match=field) as caught:
        Record.read(path)
    assert caught.value.where == str(path)
    assert caught.value.mend


@pytest.mark.parametrize(
    "metric",
    [
        {"value": None, "unit": "percent", "note": ""},
        {"value": math.nan, "unit": "percent", "note": ""},
        {"value": "62.9", "unit": "percent", "note": ""},
        {"value": 1.0, "surprise": 1},
        {"value": True},
        {"value": 1.0, "unit": 3},
    ],
)
def test_a_record_with_a_metric_that_is_none_is_refused(metric: dict[str, Any], builder: Any, tmp_path: Path) -> None:
    raw = json.loads(builder.make().to_json())
    raw["metrics"]["knn_k10"] = metric
    path = tmp_path / "result.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(HarnessError, match="record"):
        Record.read(path)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"record"'])
def test_other_json_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(HarnessError, match="not a record"):
        Record.read(path)


def test_a_record_of_schema_0_is_read_without_its_protocol_fields(builder: Any, tmp_path: Path) -> None:
    record = builder.make(protocol_fields={"epochs": 90})
    raw = json.loads(record.to_json())
    del raw["protocol_fields"]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**raw, "schema": 0}))
    assert Record.read(path) == dataclasses.replace(record, protocol_fields={}, schema=0)


def test_a_record_of_a_newer_harness_is_refused_and_says_so(builder: Any, tmp_path: Path) -> None:
    raw = {**json.loads(builder.make().to_json()), "schema": 2, "new": 1}
    path = tmp_path / "result.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(HarnessError, match="schema 2, made by a newer harness; this one reads 0 to 1"):
        Record.read(path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"seed": "0"}, "seed"),
        ({"extra": 1}, "extra"),
        ({"versions": {"torch": 2}}, "versions.torch"),
        ({"display": [{"metric": "a", "title": "A", "decimals": -1}]}, "display.0"),
        ({"protocol": {"name": "x"}}, "protocol.version"),
    ],
)
def test_the_field_that_is_wrong_is_named(change: dict[str, Any], place: str, builder: Any, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**json.loads(builder.make().to_json()), **change}))
    with pytest.raises(HarnessError, match=f"not a record: {place}"):
        Record.read(path)


def test_infinity_in_a_detail_is_refused_however_it_is_written(builder: Any, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        path.write_text(builder.make(details={"mean": 0.125}).to_json().replace("0.125", word))
        with pytest.raises(HarnessError):
            Record.read(path)


def test_a_detail_may_speak_of_infinity(builder: Any, tmp_path: Path) -> None:
    record = builder.make(details={"layer": "Infinity", "NaN": 1})
    path = tmp_path / "result.json"
    path.write_text(record.to_json())
    assert Record.read(path) == record


def test_a_truncated_record_is_refused_wherever_it_is_cut(builder: Any, tmp_path: Path) -> None:
    text = builder.make().to_json().rstrip()
    path = tmp_path / "result.json"
    for length in range(0, len(text), 97):
        path.write_text(text[:length])
        with pytest.raises(HarnessError):
            Record.read(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_is_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        MetricValue(value)


def test_a_metric_without_a_value_has_a_reason() -> None:
    with pytest.raises(ValueError, match="note"):
        MetricValue(None)
    assert MetricValue(None, note="no positives").value is None


@given(JSON)
def test_canonical_json_reads_back_and_is_ascii_without_spaces(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_names_does_not_change_the_hash(value: dict[str, int]) -> None:
    assert sha256_of(value) == sha256_of(dict(reversed(value.items())))


def test_the_hash_is_sha256_of_the_text() -> None:
    assert sha256_of({"b": 1, "a": "é"}) == hashlib.sha256(b'{"a":"\\u00e9","b":1}').hexdigest()


@pytest.mark.parametrize("value", [math.nan, {"a": math.inf}])
def test_canonical_json_refuses_what_is_not_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


def test_canonical_json_refuses_objects() -> None:
    with pytest.raises(TypeError):
        canonical_json({"path": Path("x")})
