"""What stands behind each number, as JSON that the page carries: each protocol, data set and backbone once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from results.entries import Entry
from results.pages.markdown import file_name
from results.pages.model import Table
from results.pages.public import public_text
from results.published import Published
from results.record import BackboneStamp, Record

_PROTOCOL = ("name", "version", "hash", "profile", "modified")


class Provenance:
    """Collects jobs and published numbers and gives each a number, by which the page asks for it."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[Hashable, int]] = {"protocols": {}, "data": {}, "backbones": {}, "settings": {}}
        self._values: dict[str, list[Any]] = {name: [] for name in self._parts}
        self._jobs: dict[tuple[str, str], int] = {}
        self._rows: list[list[Any]] = []
        self._tables: list[dict[str, Any]] = []
        self._published: list[list[dict[str, Any]]] = []

    def table(self, table: Table, published: Iterable[tuple[Published, ...]]) -> int:
        """Notes a table and the published rows under it; its number."""
        self._tables.append(
            {
                "benchmark": table.benchmark,
                "metrics": [cell.metric for cell in table.rows[0].cells],
                "titles": list(table.header[1:]),
                "rows": [[self.job(job) for job in row.jobs if job.record] for row in table.rows],
            }
        )
        self._published.append(
            [
                {
                    "name": row[0].name,
                    "config": row[0].config,
                    "backbone": row[0].backbone,
                    "source": row[0].source,
                    "values": {each.metric: each.text for each in row},
                }
                for row in published
            ]
        )
        return len(self._tables) - 1

    def job(self, entry: Entry) -> int:
        """The number of a finished job under its label."""
        key = entry.label.name, entry.key
        if key not in self._jobs:
            self._jobs[key] = len(self._rows)
            self._rows.append(self._row(entry))
        return self._jobs[key]

    def _row(self, entry: Entry) -> list[Any]:
        record = entry.record
        if record is None:
            raise ValueError("a job without a record has no provenance")
        stamp, data = entry.protocol, entry.data
        facts = (stamp.name, stamp.version, stamp.hash, stamp.profile, stamp.modified)
        settings = entry.numerics_text, tuple(record.versions.items()), record.git, record.device
        return [
            entry.label.name,
            # Fields are one object wherever they are equal (see `results.entries`).
            self._part("protocols", (*facts, id(record.protocol_fields)), lambda: _protocol(facts, record)),
            self._part("data", (data.name, data.fingerprint, data.nonstandard), lambda: dataclasses.asdict(data)),
            self._part("backbones", entry.label.backbone, lambda: _backbone(entry.label.backbone)),
            self._part("settings", settings, lambda: _settings(record)),
            record.key,
            record.seed,
            record.finished,
            record.seconds,
            record.config_digest,
            {name: metric.value for name, metric in entry.metrics.items()},
        ]

    def _part(self, kind: str, key: Hashable, make: Callable[[], Mapping[str, Any]]) -> int:
        """The number of what many jobs share, which is made for the first of them."""
        known = self._parts[kind]
        if key not in known:
            known[key] = len(known)
            self._values[kind].append(_public(make()))
        return known[key]

    def to_json(self) -> str:
        """All of it, safe inside a script element: nothing in it ends the element or begins a comment."""
        value = {**self._values, "jobs": self._rows, "tables": self._tables, "published": self._published}
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _protocol(facts: tuple[object, ...], record: Record) -> dict[str, Any]:
    return {**dict(zip(_PROTOCOL, facts, strict=True)), "fields": record.protocol_fields}


def _backbone(stamp: BackboneStamp) -> dict[str, Any]:
    return {**dataclasses.asdict(stamp), "source": file_name(stamp.source)}


def _settings(record: Record) -> dict[str, Any]:
    return {
        "numerics": record.numerics,
        "versions": record.versions,
        "git": record.git,
        "device": record.device,
    }


def _public(value: Any) -> Any:
    """The same without absolute paths."""
    if isinstance(value, str):
        return public_text(value)
    if isinstance(value, Mapping):
        return {public_text(str(name)): _public(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_public(item) for item in value]
    return value
