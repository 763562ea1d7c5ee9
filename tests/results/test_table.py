from __future__ import annotations

import csv
import dataclasses
import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from results.entries import read_entries
from results.record import sha256_of
from results.table import COLUMNS, collect, summarise, to_parquet, wide_tables, write_csv
from results.workspace import Workspace

DESIGN_COLUMNS = (
    "label,benchmark,metric,value,unit,protocol,protocol_version,protocol_hash,modified,profile,data,"
    "data_fingerprint,seed,backbone_digest,input,key,finished,note"
)
"""The head of ``results.csv`` as other people's scripts read it."""


def test_columns_are_those_of_the_design(builder: Any) -> None:
    assert ",".join(collect(builder.workspace).columns) == DESIGN_COLUMNS
    builder.finish()
    builder.run({"a": "simclr"})
    frame = collect(builder.workspace)
    assert ",".join(frame.columns) == DESIGN_COLUMNS
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {**COLUMNS}


def test_a_row_says_what_its_record_says(builder: Any) -> None:
    record = builder.finish("voc07_svm", seed=2, modified=["costs", "folds"], profile="smoke")
    builder.run({"a": "simclr"})
    frame = collect(builder.workspace)
    assert len(frame) == len(record.metrics)
    row = frame.set_index("metric").loc["svm"].to_dict()
    assert row == {
        "label": "a",
        "benchmark": "voc07_svm",
        "value": record.metrics["svm"].value,
        "unit": "percent",
        "protocol": "voc07_svm",
        "protocol_version": 1,
        "protocol_hash": record.protocol.hash,
        "modified": "costs;folds",
        "profile": "smoke",
        "data": "voc07",
        "data_fingerprint": record.data.fingerprint,
        "seed": 2,
        "backbone_digest": record.backbone.digest,
        "input": "rgb-mean-std",
        "key": record.key,
        "finished": record.finished,
        "note": "",
    }


def test_csv_values_read_back_bit_for_bit(builder: Any, tmp_path: Path) -> None:
    values = [0.1 + 0.2, 5e-324, 1e22, 62.91, 100.0, 1 / 3, 0.0, 77.4]
    hostile = 'a,"b"\n=c\r;é'
    record = builder.finish(values=dict(zip([f"knn_k{k}" for k in (10, 20, 100, 200)], values, strict=False)), seed=0)
    svm = builder.finish("voc07_svm", values={f"lowshot_k{2**n}": value for n, value in enumerate(values[:7])})
    builder.run({hostile: "simclr"})
    write_csv(collect(builder.workspace), tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["label"] for row in rows} == {hostile}
    assert {row["seed"] for row in rows} == {"0", ""}
    read = {(row["key"], row["metric"]): float(row["value"]) for row in rows}
    for job in (record, svm):
        for name, metric in job.metrics.items():
            assert read[job.key, name].hex() == metric.value.hex()


@pytest.mark.parametrize("label", ["=1+1", "+a", "-a", "@a", "\ta", "'=a", "''@a", "'a", "plain", "a\rb"])
def test_a_label_that_a_spreadsheet_would_compute_is_text_in_the_csv(label: str, builder: Any, tmp_path: Path) -> None:
    builder.finish()
    builder.run({label: "simclr"})
    write_csv(collect(builder.workspace), tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as stream:
        (written,) = {row["label"] for row in csv.DictReader(stream)}
    assert written[0] not in "=+-@\t\r"
    # Taking one apostrophe away gives the label back.
    assert re.sub(r"^'(?='*[=+\-@\t\r])", "", written) == label


def test_parquet_holds_the_same_table(builder: Any) -> None:
    builder.finish("voc07_svm", seed=1, values={"svm": "no images"})
    builder.finish("imagenet_knn")
    builder.run({"=a": "simclr", "b": "byol"}, [builder.make(backbone="byol")])
    frame = collect(builder.workspace)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(to_parquet(frame))), frame)


def test_rows_do_not_depend_on_the_order_of_files(builder: Any, tmp_path: Path) -> None:
    records = [builder.finish(backbone=backbone, seed=seed) for backbone in "ba" for seed in (1, 0)]
    builder.run({"x": "a", "w": "b"})
    other = type(builder)(tmp_path / "other")
    for record in reversed(records):
        folder = other.workspace.job(record.benchmark, record.key)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(record.to_json())
    other.run({"w": "b", "x": "a"})
    frame = collect(builder.workspace)
    pd.testing.assert_frame_equal(frame, collect(other.workspace))
    assert list(dict.fromkeys(zip(frame["label"], frame["seed"], strict=True))) == [
        ("w", 0),
        ("w", 1),
        ("x", 0),
        ("x", 1),
    ]


def test_metrics_stand_in_page_order(builder: Any) -> None:
    record = builder.finish("voc07_svm")
    builder.run({"a": "simclr"})
    assert list(collect(builder.workspace)["metric"]) == [column.metric for column in record.display]


def test_features_are_no_results(builder: Any) -> None:
    record = builder.finish("features")
    builder.finish("imagenet_knn")
    builder.run({"a": "simclr"}, [record, builder.make("features", "other")])
    assert set(collect(builder.workspace)["benchmark"]) == {"imagenet_knn"}


def test_two_labels_of_one_backbone_share_its_job(builder: Any) -> None:
    builder.finish()
    builder.run({"a": "simclr", "b": "simclr"})
    frame = collect(builder.workspace)
    first, second = (frame[frame["label"] == label].drop(columns="label") for label in "ab")
    assert len(first) > 0
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))


def test_the_latest_run_decides_what_a_label_means(builder: Any) -> None:
    for backbone in ("old", "new"):
        builder.finish(backbone=backbone)
    # Later in time though earlier in the alphabet of texts: 23:30 at -01:00 is after midnight UTC.
    builder.run({"a": "new"}, created="2026-01-01T23:30:00-01:00")
    builder.run({"a": "old"}, created="2026-01-02T00:00:00Z")
    new = builder.make(backbone="new").backbone.digest
    assert set(collect(builder.workspace)["backbone_digest"]) == {new}


def test_a_label_gets_records_of_older_runs_but_not_of_another_input(builder: Any) -> None:
    old = builder.finish(seed=0)
    builder.run({"other name": "simclr"}, [old])
    other = builder.make(seed=1)
    other = dataclasses.replace(other, backbone=dataclasses.replace(other.backbone, input="bgr-mean"))
    folder = builder.workspace.job(other.benchmark, other.key)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(other.to_json())
    builder.run({"a": "simclr"})
    frame = collect(builder.workspace)
    assert set(frame[frame["label"] == "a"]["key"]) == {old.key}


def test_a_record_of_no_label_is_not_shown(builder: Any) -> None:
    builder.finish(backbone="nobody's")
    builder.run({"a": "simclr"})
    assert collect(builder.workspace).empty


@pytest.mark.parametrize(
    ("attempts", "note"),
    [
        ([], "not run yet"),
        ([{"status": "failed", "reason": "out of\n memory"}], "failed: out of memory"),
        ([{"status": "failed", "reason": ""}], "failed: no reason given"),
        ([{"status": "interrupted", "reason": "preempted"}], "interrupted"),
        ([{"status": "failed", "reason": "first"}, {"status": "failed", "reason": "last"}], "failed: last"),
        ([{"status": "failed", "reason": "first"}, None], "not finished yet"),
        ([{"status": "done"}], "not run yet"),
    ],
)
def test_a_job_without_a_result_has_rows_that_say_why(
    attempts: list[dict[str, str] | None], note: str, builder: Any
) -> None:
    job = builder.make("voc07_svm", seed=1)
    # Numbers 9 and 10: attempts count as numbers, not as texts.
    for sequence, outcome in enumerate(attempts, start=9):
        builder.attempt(job, sequence, outcome)
    builder.run({"a": "simclr"}, [job])
    frame = collect(builder.workspace)
    assert list(frame["metric"]) == [column.metric for column in job.display]
    assert frame["value"].isna().all()
    assert set(frame["note"]) == {note}
    assert set(frame["finished"]) == {""}
    assert set(frame["key"]) == {job.key}
    assert set(frame["seed"]) == {1}


def test_a_result_replaces_the_missing_rows_of_every_run(builder: Any) -> None:
    job = builder.finish(seed=0)
    builder.attempt(job, 1, {"status": "failed", "reason": "first try"})
    builder.run({"a": "simclr"}, [job])
    builder.run({"a": "simclr"}, [job])
    frame = collect(builder.workspace)
    assert len(frame) == len(job.metrics)
    assert set(frame["note"]) == {""}


def test_a_backbone_that_is_yet_to_be_made_is_left_out(builder: Any) -> None:
    job = builder.finish()
    path = builder.run({"a": "simclr", "b": "pending"}, [job, builder.make(backbone="pending")])
    raw = json.loads(path.read_text())
    raw["checkpoints"][1]["digest"] = None
    raw["jobs"][1]["key"] = None
    path.write_text(json.dumps(raw))
    assert set(collect(builder.workspace)["label"]) == {"a"}


def broken(path: Path, how: str) -> None:
    raw = json.loads(path.read_text())
    if how == "truncated":
        path.write_text(path.read_text()[:-40])
    elif how == "empty":
        path.write_text("")
    elif how == "binary":
        path.write_bytes(b"\xff\x00")
    elif how == "list":
        path.write_text("[1]")
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "surrogate":
        raw["argv" if "argv" in raw else "git"] = "\ud800"
        path.write_text(json.dumps(raw))
    elif how == "inner list":
        raw["jobs" if "jobs" in raw else "metrics"] = ["x"]
        path.write_text(json.dumps(raw))
    elif how == "wrong type":
        raw["id" if "id" in raw else "seed"] = {}
        path.write_text(json.dumps(raw))


BREAKAGES = ["truncated", "empty", "binary", "list", "folder", "surrogate", "inner list", "wrong type"]


@pytest.mark.parametrize("how", BREAKAGES)
def test_a_broken_record_is_named_and_skipped(how: str, builder: Any, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = builder.finish(seed=0), builder.finish(seed=1)
    builder.run({"a": "simclr"}, [good, bad])
    path = builder.workspace.job(bad.benchmark, bad.key) / "result.json"
    broken(path, how)
    with caplog.at_level(logging.WARNING):
        frame = collect(builder.workspace)
    assert str(path) in caplog.text
    assert set(frame[frame["value"].notna()]["key"]) == {good.key}
    assert set(frame[frame["value"].isna()]["note"]) == {"the result file cannot be read"}


@pytest.mark.parametrize("how", BREAKAGES)
def test_a_broken_run_is_named_and_skipped(how: str, builder: Any, caplog: pytest.LogCaptureFixture) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    path = builder.run({"b": "simclr"}, [builder.make("voc07_svm")])
    broken(path, how)
    with caplog.at_level(logging.WARNING):
        frame = collect(builder.workspace)
    assert str(path) in caplog.text
    assert set(frame["label"]) == {"a"}


def test_a_broken_outcome_is_named(builder: Any, caplog: pytest.LogCaptureFixture) -> None:
    job = builder.make()
    folder = builder.attempt(job, 1, None)
    (folder / "outcome.json").write_text('{"status": ')
    builder.run({"a": "simclr"}, [job])
    with caplog.at_level(logging.WARNING):
        frame = collect(builder.workspace)
    assert "outcome.json" in caplog.text
    assert set(frame["note"]) == {"not finished yet"}


def test_a_copied_job_folder_is_no_second_result(builder: Any, caplog: pytest.LogCaptureFixture) -> None:
    record = builder.finish()
    copy = builder.workspace.jobs / "imagenet_knn-copy"
    copy.mkdir()
    (copy / "result.json").write_text(record.to_json())
    builder.run({"a": "simclr"})
    with caplog.at_level(logging.WARNING):
        assert len(collect(builder.workspace)) == len(record.metrics)
    assert "imagenet_knn-copy" in caplog.text


def test_a_workspace_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert collect(Workspace(tmp_path / "nowhere")).empty


def test_mean_and_sample_deviation_over_seeds(builder: Any) -> None:
    records = [builder.finish(seed=seed) for seed in range(5)]
    builder.run({"a": "simclr"})
    summary = summarise(read_entries(builder.workspace)).set_index("metric")
    for metric in records[0].metrics:
        values = np.array([record.metrics[metric].value for record in records])
        # Sums of five numbers below 100 in another order: a few units in the last place.
        np.testing.assert_allclose(summary.loc[metric, "mean"], values.mean(), rtol=1e-13)
        np.testing.assert_allclose(summary.loc[metric, "deviation"], values.std(ddof=1), rtol=1e-12)
    assert set(summary["n"]) == {5}


def test_one_seed_has_no_deviation_and_blanks_do_not_count(builder: Any) -> None:
    one = builder.finish(seed=0, values={"knn_k20": "why not"})
    builder.finish(seed=1, values={"knn_k10": "why not", "knn_k20": "why not"})
    builder.run({"a": "simclr"})
    summary = summarise(read_entries(builder.workspace)).set_index("metric")
    assert summary.loc["knn_k10", "mean"] == one.metrics["knn_k10"].value
    assert summary["deviation"].isna().loc["knn_k10"]
    assert list(summary.loc[["knn_k10", "knn_k20", "knn_k100"], "n"]) == [1, 0, 2]
    assert summary["mean"].isna().loc["knn_k20"]


def test_a_wide_table_has_a_row_for_each_label_and_protocol(builder: Any) -> None:
    for seed, value in enumerate((1.0, 2.0, 6.0)):
        builder.finish(seed=seed, values={"knn_k10": value}, git="abc")
    builder.finish(backbone="byol", values={"knn_k10": 5.0, "knn_k20": "why not"})
    builder.finish(profile="smoke", values={"knn_k10": 9.0})
    builder.finish("voc07_svm")
    builder.run({"a": "simclr", "b": "byol"})
    tables = wide_tables(read_entries(builder.workspace))
    assert list(tables) == ["imagenet_knn", "voc07_svm"]
    knn = tables["imagenet_knn"]
    assert list(knn["label"]) == ["a", "a", "b"]
    assert list(knn["profile"]) == ["full", "smoke", "full"]
    assert list(knn["knn_k10"]) == [3.0, 9.0, 5.0]
    assert list(knn["knn_k10_n"]) == [3, 1, 1]
    assert knn["knn_k10_deviation"][0] == pytest.approx(7**0.5)
    assert knn["knn_k20"].isna().tolist() == [False, False, True]
    assert list(knn["code"]) == ["abc", "0123456", "0123456"]
    assert not {"benchmark", "metric", "svm"} & set(knn.columns)


def test_several_workspaces_make_one_long_table(builder: Any, tmp_path: Path) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    other = type(builder)(tmp_path / "other")
    other.finish(backbone="byol")
    other.run({"b": "byol"})
    frame = collect(builder.workspace, other.workspace)
    assert list(dict.fromkeys(frame["label"])) == ["a", "b"]
    assert len(frame) == len(collect(builder.workspace)) + len(collect(other.workspace))


def test_what_differs_is_never_averaged(builder: Any) -> None:
    fingerprint = sha256_of("other data")
    builder.finish(seed=0)
    builder.finish(seed=1, profile="smoke")
    builder.finish(seed=2, salt="other protocol")
    builder.finish(seed=3, modified=["temperature"])
    builder.finish(seed=4, numerics={"precision": "bf16", "channels_last": False})
    builder.finish(seed=5, data=dataclasses.replace(builder.make().data, fingerprint=fingerprint))
    builder.finish(seed=6, backbone="byol")
    builder.run({"a": "simclr", "b": "byol"})
    summary = summarise(read_entries(builder.workspace))
    assert set(summary["n"]) == {1}
    assert (summary["metric"] == "knn_k10").sum() == 7


def test_a_job_not_yet_run_joins_the_numerics_of_finished_ones(builder: Any) -> None:
    done = builder.finish(seed=0)
    builder.run({"a": "simclr"}, [done, builder.make(seed=1)])
    entries = read_entries(builder.workspace)
    assert len(entries) == 2
    assert len({entry.group for entry in entries}) == 1


def test_the_numerics_that_a_run_tells_are_kept(builder: Any) -> None:
    path = builder.run({"a": "simclr"}, [builder.make(seed=1)])
    raw = json.loads(path.read_text())
    raw["jobs"][0]["numerics"] = {"precision": "bf16"}
    path.write_text(json.dumps(raw))
    builder.finish(seed=0)
    assert len({entry.group for entry in read_entries(builder.workspace)}) == 2
