"""What a workspace holds, job by job: runs (labels, planned jobs) joined with the records of finished ones."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import gc
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from results.errors import HarnessError
from results.files import read_json
from results.record import (
    BackboneStamp,
    Column,
    DataStamp,
    MetricValue,
    ProtocolStamp,
    Record,
    canonical_json,
    explain,
)
from results.workspace import Workspace

LOG = logging.getLogger(__name__)

FEATURES = "features"
"""Benchmark name of feature extraction jobs, which have no numbers to show."""


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A file that cannot be used; everything else is reported.

    Args:
        path: The file.
        reason: Why, one line.
    """

    path: Path
    reason: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read of a workspace.

    Args:
        entries: Jobs under their labels, in a fixed order.
        left_out: Files that could not be used.
    """

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]


@dataclasses.dataclass(frozen=True)
class Label:
    """A name that a run gave to a backbone under an input convention.

    Args:
        name: The name.
        backbone: The backbone.
        sha256: Of the checkpoint's file, hexadecimal; empty where there is no file or its run did not note it.
    """

    name: str
    backbone: BackboneStamp
    sha256: str = ""

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

    @functools.cached_property
    def numerics_text(self) -> str:
        """Numerics as canonical JSON."""
        return canonical_json(self.numerics)

    @functools.cached_property
    def row(self) -> tuple[Any, ...]:
        """Equal where values are of one row: the same label, backbone and benchmark, and comparable."""
        return self.label.name, self.benchmark, *self.label.identity, self.group

    @functools.cached_property
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
            self.numerics_text,
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


def read_entries(workspace: Workspace) -> list[Entry]:
    """The entries of :func:`read_workspace`; files that cannot be used are named in the log."""
    return list(read_workspace(workspace).entries)


def read_workspace(workspace: Workspace) -> Reading:
    """Joins runs (labels, planned jobs) and records, in a fixed order.

    A label that later runs gave to another backbone belongs to the last one. A record belongs to every label of
    its backbone digest and input convention, whichever run made it.
    """
    left_out: list[LeftOut] = []
    runs = _read_runs(workspace, left_out)
    labels = {label.name: label for run in runs for label in run.labels}
    with no_collection():
        records = _read_records(workspace, left_out)
    planned = {job.key: job for run in runs for job in run.jobs if job.key not in records}
    found: dict[tuple[str, str], list[_PlannedJob | Record]] = {}
    for record in records.values():
        found.setdefault((record.backbone.digest, record.backbone.input), []).append(record)
    for job in planned.values():
        found.setdefault(job.identity, []).append(job)
    reasons = {key: _reason(workspace, job, left_out) for key, job in planned.items()}
    numerics = _numerics_by_protocol(records.values())
    entries = [
        entry_of_record(label, job) if isinstance(job, Record) else _entry_of_plan(label, job, reasons, numerics)
        for label in labels.values()
        for job in found.get(label.identity, [])
    ]
    return Reading(tuple(sorted(entries, key=_order)), tuple(left_out))


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Of thousands of records none is garbage; the collector would walk through all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _order(entry: Entry) -> tuple[Any, ...]:
    return entry.label.name, entry.benchmark, entry.group, -1 if entry.seed is None else entry.seed, entry.key


def entry_of_record(label: Label, job: Record) -> Entry:
    """A finished job under a label."""
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


def _reason(workspace: Workspace, job: _PlannedJob, left_out: list[LeftOut]) -> str:
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
        _leave_out(outcome, error, left_out)
        return "not finished yet"
    if status == "failed":
        return f"failed: {reason or 'no reason given'}"
    return "interrupted" if status == "interrupted" else "not run yet"


def _attempt_order(attempt: Path) -> tuple[int, str]:
    sequence = attempt.name.partition("-")[0]
    return (int(sequence) if sequence.isdecimal() else -1), attempt.name


def _read_records(workspace: Workspace, left_out: list[LeftOut]) -> dict[str, Record]:
    """Readable records by key, in the order of their folders' names."""
    records: dict[str, Record] = {}
    fields: dict[str, Mapping[str, Any]] = {}
    for path in sorted(workspace.jobs.glob("*/result.json")):
        if path.parent.name.startswith(f"{FEATURES}-"):
            continue
        try:
            record = Record.from_json(path.read_bytes())
            if path.parent != workspace.job(record.benchmark, record.key):
                raise ValueError(f"it is the result of another job, {record.benchmark} {record.key[:12]}")
        except (OSError, ValueError) as error:
            _leave_out(path, error, left_out)
            continue
        if record.benchmark != FEATURES:
            # Thousands of records follow few protocols: one table of fields is kept for each.
            shared = fields.setdefault(record.protocol.hash, record.protocol_fields)
            if shared is not record.protocol_fields and shared == record.protocol_fields:
                record = dataclasses.replace(record, protocol_fields=shared)
            records[record.key] = record
    return records


def _expect(values: Iterable[object], kind: Any) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} is of the wrong type")


def _read_runs(workspace: Workspace, left_out: list[LeftOut]) -> list[_Run]:
    """Readable runs, oldest first."""
    runs = []
    for path in sorted(workspace.runs.glob("*.json")):
        try:
            runs.append(_parse_run(_read_object(path)))
        except (HarnessError, KeyError, TypeError, ValueError, AttributeError) as error:
            _leave_out(path, error, left_out)
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
    sha256 = raw.get("sha256", "")
    _expect((sha256,), str)
    return Label(raw["label"], stamp, sha256)


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


def _leave_out(path: Path, error: Exception, left_out: list[LeftOut]) -> None:
    reason = explain(error) if isinstance(error, (HarnessError, OSError)) else f"{type(error).__name__}: {error}"
    if isinstance(error, ValueError):
        reason = explain(error)
    left_out.append(LeftOut(path, reason))
    LOG.warning("left out of the report: %s (%s)", path, reason)
