"""The record of one finished job (``result.json``) and the canonical JSON that keys are made of."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from results.errors import HarnessError
from results.files import to_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 1
"""Version of the record's form, which ``docs/record.schema.json`` describes. Records of version 0 are read too: they
lack the protocol's fields."""

MOST_DECIMALS = 12
"""Digits after the point that a page may show."""

_AS_WRITTEN = re.compile(rb'"schema": ?%d\b' % SCHEMA)
_HUGE = re.compile(rb"[eE]\+?\d{3,}[\s,\]}]")
"""A text that has the first, names the youngest field and has neither the second nor NaN nor infinity is parsed once
instead of twice: with ten thousand records that is a third of the time of a report."""

_CLOSED: dict[str, Any] = {"extra": "forbid"}
"""How pydantic reads the dataclasses below: a name that they do not have is an error."""


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

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED

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

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED

    metric: str
    title: str
    decimals: int
    table: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.decimals <= MOST_DECIMALS:
            raise ValueError(f"a column shows 0 to {MOST_DECIMALS} decimals, not {self.decimals}")


@dataclasses.dataclass(frozen=True)
class ProtocolStamp:
    """Which protocol made a number."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED

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

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED

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

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED

    name: str
    fingerprint: str
    counts: Mapping[str, int]
    nonstandard: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Record:
    """Everything that is known of one finished job. Field by field as in docs/design.md."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CLOSED

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
    protocol_fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The text of ``result.json``."""
        return to_json(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: bytes) -> Record:
        """Builds a record from the text of ``result.json``, of schema 0 or 1.

        Raises:
            ValueError: The text is no JSON, no record, or a record of another schema.
        """
        from pydantic_core import from_json, to_json

        finite = b"NaN" not in text and b"Infinity" not in text and not _HUGE.search(text)
        if finite and b'"protocol_fields"' in text and _AS_WRITTEN.search(text):
            return record_adapter().validate_json(text, strict=True)
        raw = from_json(text, allow_inf_nan=False)
        if not isinstance(raw, dict):
            raise ValueError("not a record: no JSON object")
        # A number that no float can hold has become infinite.
        json.dumps(raw, allow_nan=False)
        schema = raw.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise ValueError(f"a record of schema {schema}, made by a newer harness; this one reads 0 to {SCHEMA}")
        absent = [field.name for field in dataclasses.fields(Record) if field.name not in raw]
        if schema == 0 and absent == ["protocol_fields"]:
            text, absent = to_json({**raw, "protocol_fields": {}}), []
        if absent:
            raise ValueError(f"not a record: it lacks {', '.join(absent)}")
        return record_adapter().validate_json(text, strict=True)

    @staticmethod
    def read(path: Path) -> Record:
        """Reads ``result.json``.

        Raises:
            HarnessError: Missing, not JSON, or not a record.
        """
        try:
            return Record.from_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise HarnessError(
                f"cannot read a record: {explain(error)}",
                str(path),
                "move the file away and run the same command again",
            ) from error


@functools.cache
def record_adapter() -> TypeAdapter[Record]:
    """What pydantic knows of :class:`Record`: it reads records, and its JSON Schema is published."""
    # Verbs that read no record start without pydantic.
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def explain(error: Exception) -> str:
    """What is wrong with a file that should be a record, as one line."""
    from pydantic import ValidationError

    if isinstance(error, HarnessError):
        return error.what
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"not a record: {place}: {first['msg']}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return " ".join(str(error).split())
