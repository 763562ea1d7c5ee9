"""The long table of everything that a workspace holds: one row per label, job and metric."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from results.entries import Entry, read_entries
from results.files import write_whole
from results.pages.public import public_text
from results.workspace import Workspace

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

FORMULA = r"^('*[=+\-@\t\r])"
"""What a spreadsheet would take for a formula; ``results.csv`` has an apostrophe before it."""


def collect(*workspaces: Workspace) -> pd.DataFrame:
    """Everything that workspaces hold, one after the other.

    Args:
        *workspaces: The workspaces; one that is not there gives an empty table.

    Returns:
        One row per label, job and metric with the columns of :data:`COLUMNS`. Jobs without a result have rows
        without a value and a note that says why. Unreadable files are skipped with a warning in the log.
    """
    return to_frame(entry for workspace in workspaces for entry in read_entries(workspace))


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
            public_text(metric.note) if metric.note else "",
        )


def summarise(entries: Sequence[Entry]) -> pd.DataFrame:
    """Mean and deviation over seeds.

    Args:
        entries: Jobs, of any labels and benchmarks.

    Returns:
        :data:`SUMMARY_KEYS` (``numerics`` as canonical JSON), then ``mean``, ``deviation`` (sample standard
        deviation, divisor n - 1; missing for one seed) and ``n`` (number of values). In the entries' order.
    """
    first = {entry.row: entry for entry in reversed(entries)}
    keys, rows = [], []
    for (row, metric), values in summarise_cells(entries).items():
        keys.append(_facts(first[row], metric))
        rows.append((values.mean, values.deviation, values.n))
    numbers = pd.DataFrame(rows, columns=["mean", "deviation", "n"])
    return pd.concat([pd.DataFrame(keys, columns=SUMMARY_KEYS), numbers], axis=1)


def _facts(entry: Entry, metric: str) -> tuple[Any, ...]:
    """Values of :data:`SUMMARY_KEYS`."""
    protocol, data = entry.protocol, entry.data
    facts = (protocol.name, protocol.version, protocol.hash, entry.modified, protocol.profile)
    stamps = (*entry.label.identity, entry.numerics_text)
    return (entry.label.name, entry.benchmark, metric, *facts, data.name, data.fingerprint, *stamps)


class Summary(NamedTuple):
    """One metric over the seeds of one row.

    Args:
        mean: NaN without a value.
        deviation: Sample standard deviation; NaN for fewer than two values.
        n: Number of values.
    """

    mean: float
    deviation: float
    n: int


def summarise_cells(entries: Sequence[Entry]) -> dict[tuple[tuple[Any, ...], str], Summary]:
    """The same by :attr:`results.entries.Entry.row` and metric."""
    numbers: dict[tuple[Any, ...], int] = {}
    cells = [
        (numbers.setdefault(entry.row, len(numbers)), name, entry.metrics[name].value)
        for entry in entries
        for name in entry.metric_names()
    ]
    frame = pd.DataFrame(cells, columns=["row", "metric", "value"]).astype({"value": "float64"})
    found = frame.groupby(["row", "metric"], sort=False)["value"].agg(["mean", "std", "count"])
    rows = list(numbers)
    return {(rows[row], metric): Summary(*values) for (row, metric), *values in found.itertuples(index=True, name=None)}


def wide_tables(entries: Sequence[Entry]) -> dict[str, pd.DataFrame]:
    """One table a benchmark: a row for each label and for each thing that keeps numbers apart.

    Args:
        entries: Jobs, of any labels and benchmarks.

    Returns:
        By benchmark, in alphabetical order: :data:`SUMMARY_KEYS` but for benchmark and metric, ``nonstandard`` (how the
        data differs from the official data), ``code`` (versions of the code, joined by ``;``), and for each metric its
        mean under its name, ``NAME_deviation`` and ``NAME_n``.
    """
    first: dict[tuple[Any, ...], Entry] = {}
    code: dict[tuple[Any, ...], set[str]] = {}
    for entry in entries:
        first.setdefault(entry.row, entry)
        code.setdefault(entry.row, set()).update({entry.record.git} if entry.record else ())
    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for (row, metric), values in summarise_cells(entries).items():
        entry = first[row]
        facts = dict(zip(SUMMARY_KEYS, _facts(entry, ""), strict=True))
        facts["nonstandard"] = " ".join(public_text(sentence) for sentence in entry.data.nonstandard)
        facts["code"] = ";".join(sorted(public_text(version) for version in code[row]))
        wide = rows.setdefault(entry.benchmark, {}).setdefault(row, facts)
        wide |= {metric: values.mean, f"{metric}_deviation": values.deviation, f"{metric}_n": values.n}
    return {
        name: pd.DataFrame(list(found.values())).drop(columns=["benchmark", "metric"])
        for name, found in sorted(rows.items())
    }


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes the table as CSV; every float reads back as the same float.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        HarnessError: Disk full, not writable.
    """
    write_whole(path, to_csv(frame))


def to_csv(frame: pd.DataFrame) -> str:
    """The text of :func:`write_csv`."""
    texts = [str(name) for name in frame.columns if isinstance(frame[name].dtype, pd.StringDtype)]
    # A long table has few different texts: those are looked at, not its cells.
    texts = [name for name in texts if any(re.match(FORMULA, text) for text in frame[name].dropna().unique())]
    safe = frame.assign(**{name: frame[name].str.replace(FORMULA, r"'\1", regex=True) for name in texts})
    text = safe.to_csv(index=False, lineterminator="\n")
    # A carriage return alone is not quoted, but ends the line for those who read.
    return safe.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The table as parquet: the same columns and types, texts as they are."""
    return frame.to_parquet(index=False)
