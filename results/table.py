"""The long table of everything that a workspace holds: one row per label, job and metric."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from results.errors import HarnessError
from results.files import read_json, write_whole
from results.pages.public import public_text
from results.record import BackboneStamp, Column, DataStamp, MetricValue, ProtocolStamp, Record, canonical_json
from results.workspace import Workspace

LOG = logging.getLogger(__name__)

FEATURES = "features"
"""Benchmark name of feature extraction jobs, which have no numbers to show."""

COLUMNS = {
    "label": "str",
    "benchmark": "str",
    "metric": "str",
    "value": "float64",
    "unit": "str",
    "protocol": "str",
    "protocol_version": "int64",
    "protocol_hash": "str",
    "modified": "str",
    "profile": "str",
    "data": "str",
    "data_fingerprint": "str",
    "seed": "Int64",
    "backbone_digest": "str",
    "input": "str",
    "key": "str",
    "finished": "str",
    "note": "str",
}
"""Columns of ``results.csv`` in order, with their pandas types. Scripts of other people read them."""

SUMMARY_KEYS = [name for name in COLUMNS if name not in ("value", "unit", "seed", "key", "finished", "note")]
SUMMARY_KEYS += ["numerics"]
"""What rows must have in common for a mean over their seeds."""


@dataclasses.dataclass(frozen=True)
class Label:
    """A name that a run gave to a backbone under an input convention."""

    name: str
    backbone: BackboneStamp

    @property
    def identity(self) -> tuple[str, str]:
        """Backbone digest and input convention: what ties records to the label."""
        return self.backbone.digest, self.backbone.input


@dataclasses.dataclass(frozen=True)
class Entry:
    """One job under one label.

    Args:
        label: The label.
        benchmark: Name of the benchmark.
        key: Job key.
        protocol: Protocol that was or will be followed.
        data: Data it was or will be measured on.
        seed: None for benchmarks without randomness.
        numerics: Precision, memory format, batch sizes; empty where unknown.
        metrics: By name; all without a value where the job has no result.
        display: How they are shown.
        record: The record; None where the job has no result.
    """

    label: Label
    benchmark: str
    key: str
    protocol: ProtocolStamp
    data: DataStamp
    seed: int | None
    numerics: Mapping[str, Any]
    metrics: Mapping[str, MetricValue]
    display: tuple[Column, ...]
    record: Record | None

    @property
    def modified(self) -> str:
        """Names of the modified protocol fields, joined by ``;``."""
        return ";".join(self.protocol.modified)

    @property
    def group(self) -> tuple[str, ...]:
        """Equal where numbers may stand in one table: the same protocol, profile, data and numerics.

        Full numbers sort before those of any other profile.
        """
        protocol, data = self.protocol, self.data
        return (
            "" if protocol.profile == "full" else protocol.profile,
            protocol.name,
            f"{protocol.version:09d}",
            protocol.hash,
            self.modified,
            data.name,
            data.fingerprint,
            canonical_json(self.numerics),
        )

    def metric_names(self) -> list[str]:
        """Metrics in page order, then those that no page shows."""
        shown = [column.metric for column in self.display if column.metric in self.metrics]
        return list(dict.fromkeys(shown + sorted(self.metrics)))


@dataclasses.dataclass(frozen=True)
class _PlannedJob:
    """A job as its run planned it."""

    benchmark: str
    key: str
    identity: tuple[str, str]
    seed: int | None
    protocol: ProtocolStamp
    data: DataStamp
    display: tuple[Column, ...]
    numerics: Mapping[str, Any] | None


@dataclasses.dataclass(frozen=True)
class _Run:
    created: datetime.datetime
    id: str
    labels: tuple[Label, ...]
    jobs: tuple[_PlannedJob, ...]


def collect(workspace: Workspace) -> pd.DataFrame:
    """Everything that a workspace holds.

    Args:
        workspace: The workspace; one that is not there gives an empty table.

    Returns:
        One row per label, job and metric with the columns of :data:`COLUMNS`. Jobs without a result have rows
        without a value and a note that says why. Unreadable files are skipped with a warning in the log.
    """
    return to_frame(read_entries(workspace))


def to_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """The table of :func:`collect` from entries that are already read."""
    rows = [row for entry in entries for row in _rows(entry)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _rows(entry: Entry) -> Iterator[tuple[Any, ...]]:
    protocol, data, backbone = entry.protocol, entry.data, entry.label.backbone
    for name in entry.metric_names():
        metric = entry.metrics[name]
        yield (
            entry.label.name,
            entry.benchmark,
            name,
            metric.value,
            metric.unit,
            protocol.name,
            protocol.version,
            protocol.hash,
            entry.modified,
            protocol.profile,
            data.name,
            data.fingerprint,
            entry.seed,
            backbone.digest,
            backbone.input,
            entry.key,
            entry.record.finished if entry.record else "",
            public_text(metric.note),
        )


def summarise(entries: Sequence[Entry]) -> pd.DataFrame:
    """Mean and deviation over seeds.

    Args:
        entries: Jobs, of any labels and benchmarks.

    Returns:
        :data:`SUMMARY_KEYS` (``numerics`` as canonical JSON), then ``mean``, ``deviation`` (sample standard
        deviation, divisor n - 1; missing for one seed) and ``n`` (number of values). In the entries' order.
    """
    frame = to_frame(entries)
    frame["numerics"] = [canonical_json(entry.numerics) for entry in entries for _ in entry.metrics]
    groups = frame.groupby(SUMMARY_KEYS, sort=False, dropna=False)["value"]
    return groups.agg(mean="mean", deviation="std", n="count").reset_index()


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes the table as CSV; every float reads back as the same float.

    Raises:
        HarnessError: Disk full, not writable.
    """
    write_whole(path, frame.to_csv(index=False, lineterminator="\n"))


def read_entries(workspace: Workspace) -> list[Entry]:
    """Joins runs (labels, planned jobs) and records, in a fixed order.

    A label that later runs gave to another backbone belongs to the last one. A record belongs to every label of
    its backbone digest and input convention, whichever run made it.
    """
    runs = _read_runs(workspace)
    labels = {label.name: label for run in runs for label in run.labels}
    records = _read_records(workspace)
    planned = {job.key: job for run in runs for job in run.jobs if job.key not in records}
    found: dict[tuple[str, str], list[_PlannedJob | Record]] = {}
    for record in records.values():
        found.setdefault((record.backbone.digest, record.backbone.input), []).append(record)
    for job in planned.values():
        found.setdefault(job.identity, []).append(job)
    reasons = {key: _reason(workspace, job) for key, job in planned.items()}
    numerics = _numerics_by_protocol(records.values())
    entries = [
        _entry_of_record(label, job) if isinstance(job, Record) else _entry_of_plan(label, job, reasons, numerics)
        for label in labels.values()
        for job in found.get(label.identity, [])
    ]
    return sorted(entries, key=_order)


def _order(entry: Entry) -> tuple[Any, ...]:
    return entry.label.name, entry.benchmark, entry.group, -1 if entry.seed is None else entry.seed, entry.key


def _entry_of_record(label: Label, job: Record) -> Entry:
    stamps = (job.protocol, job.data, job.seed, job.numerics)
    return Entry(label, job.benchmark, job.key, *stamps, job.metrics, job.display, job)


def _entry_of_plan(
    label: Label,
    job: _PlannedJob,
    reasons: Mapping[str, str],
    numerics: Mapping[tuple[str, str, str], Mapping[str, Any]],
) -> Entry:
    """An entry without values. Numerics that its run does not tell are taken to be those of finished jobs."""
    likely = numerics.get((job.benchmark, job.protocol.hash, job.data.fingerprint), {})
    stamps = (job.protocol, job.data, job.seed, likely if job.numerics is None else job.numerics)
    metrics = {column.metric: MetricValue(None, note=reasons[job.key]) for column in job.display}
    return Entry(label, job.benchmark, job.key, *stamps, metrics, job.display, None)


def _numerics_by_protocol(records: Iterable[Record]) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    numerics: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for record in records:
        numerics.setdefault((record.benchmark, record.protocol.hash, record.data.fingerprint), record.numerics)
    return numerics


def _reason(workspace: Workspace, job: _PlannedJob) -> str:
    """Why a job has no result, from its last attempt."""
    folder = workspace.job(job.benchmark, job.key)
    if (folder / "result.json").exists():
        return "the result file cannot be read"
    attempts = sorted(folder.glob("attempts/*-*"), key=_attempt_order)
    if not attempts:
        return "not run yet"
    outcome = attempts[-1] / "outcome.json"
    if not outcome.exists():
        return "not finished yet"
    try:
        raw = _read_object(outcome)
        status, reason = raw["status"], str(raw["reason"])
    except (HarnessError, KeyError, TypeError, ValueError) as error:
        _warn(outcome, error)
        return "not finished yet"
    if status == "failed":
        return f"failed: {reason or 'no reason given'}"
    return "interrupted" if status == "interrupted" else "not run yet"


def _attempt_order(attempt: Path) -> tuple[int, str]:
    sequence = attempt.name.partition("-")[0]
    return (int(sequence) if sequence.isdecimal() else -1), attempt.name


def _read_records(workspace: Workspace) -> dict[str, Record]:
    """Readable records by key, in the order of their folders' names."""
    records: dict[str, Record] = {}
    for path in sorted(workspace.jobs.glob("*/result.json")):
        if path.parent.name.startswith(f"{FEATURES}-"):
            continue
        try:
            record = Record.from_dict(_read_object(path))
            _check(record)
            if path.parent != workspace.job(record.benchmark, record.key):
                raise ValueError(f"it is the result of another job, {record.benchmark} {record.key[:12]}")
        except (HarnessError, KeyError, TypeError, ValueError, AttributeError) as error:
            _warn(path, error)
            continue
        if record.benchmark != FEATURES:
            records[record.key] = record
    return records


def _check(record: Record) -> None:
    """Refuses what a dataclass does not: values of the wrong type that would break a page later."""
    stamps = (record.protocol.name, record.protocol.hash, record.protocol.profile, *record.protocol.modified)
    texts = (record.benchmark, record.key, *stamps, record.data.name, record.data.fingerprint, record.git)
    _expect(texts, str)
    _expect((record.finished, record.backbone.digest, record.backbone.input, *record.versions.values()), str)
    _expect((record.seed,), int | None)
    _expect((record.protocol.version, *(column.decimals for column in record.display)), int)
    _expect((record.numerics, record.details, record.versions, record.data.counts), Mapping)
    _expect((text for metric in record.metrics.values() for text in (metric.unit, metric.note)), str)
    _expect((text for column in record.display for text in (column.metric, column.title, column.table)), str)


def _expect(values: Iterable[object], kind: Any) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} is of the wrong type")


def _read_runs(workspace: Workspace) -> list[_Run]:
    """Readable runs, oldest first."""
    runs = []
    for path in sorted(workspace.runs.glob("*.json")):
        try:
            runs.append(_parse_run(_read_object(path)))
        except (HarnessError, KeyError, TypeError, ValueError, AttributeError) as error:
            _warn(path, error)
    return sorted(runs, key=lambda run: (run.created, run.id))


def _parse_run(raw: Mapping[str, Any]) -> _Run:
    created = datetime.datetime.fromisoformat(raw["created"])
    if created.tzinfo is None:
        created = created.replace(tzinfo=datetime.UTC)
    # A backbone that pretraining has yet to make has no digest, and its jobs no key.
    labels = tuple(_parse_label(checkpoint) for checkpoint in raw["checkpoints"] if checkpoint["digest"])
    jobs = tuple(_parse_job(job) for job in raw["jobs"] if job["benchmark"] != FEATURES and job["key"])
    _expect((raw["id"],), str)
    return _Run(created, raw["id"], labels, jobs)


def _parse_label(raw: Mapping[str, Any]) -> Label:
    fields = ("digest", "source", "format", "encoder", "input", "remarks")
    stamp = BackboneStamp.from_dict({name: raw[name] for name in fields if name in raw})
    _expect((raw["label"], stamp.digest, stamp.source, stamp.format, stamp.encoder, stamp.input, *stamp.remarks), str)
    return Label(raw["label"], stamp)


def _parse_job(raw: Mapping[str, Any]) -> _PlannedJob:
    protocol, data = dict(raw["protocol"]), dict(raw["data"])
    job = _PlannedJob(
        raw["benchmark"],
        raw["key"],
        (raw["backbone"], raw["input"]),
        raw["seed"],
        ProtocolStamp(**{**protocol, "modified": tuple(protocol["modified"])}),
        DataStamp(**{**data, "nonstandard": tuple(data["nonstandard"])}),
        tuple(Column(**column) for column in raw["display"]),
        raw.get("numerics"),
    )
    _expect((job.benchmark, job.key, *job.identity, job.protocol.name, job.protocol.hash, job.data.name), str)
    _expect((job.seed,), int | None)
    _expect((job.numerics,), Mapping | None)
    _expect((job.protocol.version, *(column.decimals for column in job.display)), int)
    return job


def _read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object; lone surrogates, which no UTF-8 file can hold, are refused here and not while writing."""
    raw = read_json(path)
    _expect((raw,), dict)
    json.dumps(raw, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return dict(raw)


def _warn(path: Path, error: Exception) -> None:
    what = error.what if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    LOG.warning("left out of the report: %s (%s)", path, what)
