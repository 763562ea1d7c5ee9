"""The record of one finished job (``result.json``) and the canonical JSON that keys are made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.errors import HarnessError
from results.files import read_json, to_json

SCHEMA = 0
"""Version of the record's form; 0 until the pages are complete."""


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted names, no spaces, ASCII, no NaN.

    Raises:
        ValueError: The value holds NaN or infinity.
        TypeError: The value holds something that JSON has no form for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256_of(value: Any) -> str:
    """Hexadecimal sha256 of :func:`canonical_json`."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


@dataclasses.dataclass(frozen=True)
class MetricValue:
    """One number, or the reason why there is none.

    Args:
        value: In the unit, unrounded; None where it could not be measured.
        unit: ``percent`` for every metric of the suite.
        note: Why the value is missing, or what to know about it; else empty.
    """

    value: float | None
    unit: str = "percent"
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a metric is a finite number or None, not {self.value}; give None and a note")
        if self.value is None and not self.note:
            raise ValueError("a metric without a value needs a note that says why")


@dataclasses.dataclass(frozen=True)
class Column:
    """How one metric is shown, so that pages need no import of the benchmark.

    Args:
        metric: Name of the metric.
        title: Head of its column.
        decimals: Digits after the point on a page.
        table: Heading of the table in which it stands; several tables may come of one benchmark.
    """

    metric: str
    title: str
    decimals: int
    table: str = ""


@dataclasses.dataclass(frozen=True)
class ProtocolStamp:
    """Which protocol made a number."""

    name: str
    version: int
    hash: str
    modified: tuple[str, ...] = ()
    profile: str = "full"


@dataclasses.dataclass(frozen=True)
class BackboneStamp:
    """Which backbone a number belongs to; labels live in runs, never here.

    Args:
        digest: sha256 of the canonical tensors.
        source: File name (no folder) or ``random:SEED``.
        format: Publisher's format it was read from.
        encoder: Which of several networks in the file (``backbone``, ``teacher``...).
        input: Name of the input convention.
        remarks: What belongs beside every number of this backbone, one sentence each: that its file was read with
            ``--trust``, that it looks untrained.
    """

    digest: str
    source: str
    format: str
    encoder: str
    input: str
    remarks: tuple[str, ...] = ()

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> BackboneStamp:
        """The inverse of ``dataclasses.asdict``; files of before there were remarks have none."""
        return BackboneStamp(**{**raw, "remarks": tuple(raw.get("remarks", ()))})


@dataclasses.dataclass(frozen=True)
class DataStamp:
    """Which data a number was measured on.

    Args:
        name: Name of the data set.
        fingerprint: sha256 of its lists, annotations, counts and label map.
        counts: Images per split and ``classes``.
        nonstandard: Where the counts differ from the official ones, one sentence each.
    """

    name: str
    fingerprint: str
    counts: Mapping[str, int]
    nonstandard: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Record:
    """Everything that is known of one finished job. Field by field as in docs/design.md."""

    key: str
    benchmark: str
    protocol: ProtocolStamp
    backbone: BackboneStamp
    data: DataStamp
    seed: int | None
    numerics: Mapping[str, Any]
    metrics: Mapping[str, MetricValue]
    details: Mapping[str, Any]
    display: tuple[Column, ...]
    curves: Mapping[str, Any]
    started: str
    finished: str
    seconds: float
    device: str
    versions: Mapping[str, str]
    config_digest: str
    git: str
    attempt: str
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The text of ``result.json``."""
        return to_json(dataclasses.asdict(self))

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> Record:
        """Builds a record from parsed JSON.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: The JSON is not a record.
        """
        names = {field.name for field in dataclasses.fields(Record)}
        fields = {name: raw[name] for name in names}
        protocol = dict(raw["protocol"])
        data = dict(raw["data"])
        fields["protocol"] = ProtocolStamp(**{**protocol, "modified": tuple(protocol["modified"])})
        fields["backbone"] = BackboneStamp.from_dict(raw["backbone"])
        fields["data"] = DataStamp(**{**data, "nonstandard": tuple(data["nonstandard"])})
        fields["metrics"] = {name: MetricValue(**value) for name, value in raw["metrics"].items()}
        fields["display"] = tuple(Column(**column) for column in raw["display"])
        return Record(**fields)

    @staticmethod
    def read(path: Path) -> Record:
        """Reads ``result.json``.

        Raises:
            HarnessError: Missing, not JSON, or not a record.
        """
        raw = read_json(path)
        try:
            return Record.from_dict(raw)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise HarnessError(
                f"not a record of this harness: {error!r}",
                str(path),
                "move the file away and run the same command again",
            ) from error
