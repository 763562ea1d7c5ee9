"""Labels, workspaces and record sets side by side, and each among the published numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.entries import Entry, Label, LeftOut, Reading, entry_of_record, read_workspace
from results.errors import HarnessError, did_you_mean
from results.pages.sections import HIDDEN, all_sections
from results.published import Published, Rank, apart, comparable, rank
from results.record import Column, Record, explain
from results.table import Summary, summarise_cells
from results.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Standing:
    """One label's number of one metric among the published ones.

    Args:
        side: The label.
        rank: Its place.
    """

    side: str
    rank: Rank


@dataclasses.dataclass(frozen=True)
class Best:
    """Which side has the highest number of a metric, and whether seeds alone could have put it there.

    Args:
        side: The label.
        runner_up: The label with the next number.
        lead: How much higher the best mean is.
        spread: Standard deviation of a difference of two runs: the root of the sum of both sides' variances over their
            seeds. None where a side has one seed only.
    """

    side: str
    runner_up: str
    lead: float
    spread: float | None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.spread is None:
            return "of unknown weight: a side has one run"
        return "beyond the seeds' spread" if self.lead > self.spread else "within the seeds' spread"


@dataclasses.dataclass(frozen=True)
class Line:
    """One metric of all sides.

    Args:
        metric: Its name.
        title: Head of its column on pages.
        decimals: Digits after the point.
        values: Mean, deviation and count of each side; None where a side has no number here.
        differences: Each side's mean minus the first side's; None for the first and where either is missing.
        best: The highest of them; None where fewer than two sides have a number.
        standings: Places among the published, for sides whose numbers may be compared with them.
        published: The published numbers they were compared with, the best first.
        apart: Published numbers of other backbones or protocol variants.
    """

    metric: str
    title: str
    decimals: int
    values: tuple[Summary | None, ...]
    differences: tuple[float | None, ...]
    best: Best | None
    standings: tuple[Standing, ...]
    published: tuple[Published, ...]
    apart: tuple[Published, ...]


@dataclasses.dataclass(frozen=True)
class Block:
    """Numbers that may be compared: of one benchmark, protocol, profile, data and numerics.

    Args:
        benchmark: Name of the benchmark.
        protocol: Name of the protocol.
        version: Its version.
        hash: Its hash.
        data: Name of the data set.
        marks: What sets these numbers apart from results by the published protocol, one phrase each.
        lines: One a metric, in page order.
    """

    benchmark: str
    protocol: str
    version: int
    hash: str
    data: str
    marks: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Args:
        sides: Labels, in the order in which they were asked for.
        blocks: In page order, results by unmodified full protocols first.
    """

    sides: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Side:
    """What is compared: a name and its jobs."""

    name: str
    entries: tuple[Entry, ...]


def read_sides(workspace: Workspace, targets: Sequence[str]) -> tuple[list[Side], list[LeftOut]]:
    """Finds what is to be compared.

    Args:
        workspace: Whose labels may be named.
        targets: Labels of it; folders that are workspaces, all of whose labels are taken; folders of records; files
            of records.

    Returns:
        The sides, each with a name of its own, and files that could not be used.

    Raises:
        HarnessError: A target is none of these, or holds nothing.
    """
    sides: list[Side] = []
    left_out: list[LeftOut] = []
    own: Reading | None = None
    for target in targets:
        path = Path(target)
        if own is None:
            own = read_workspace(workspace)
            left_out += own.left_out
        known = {entry.label.name for entry in own.entries}
        if target in known:
            found = [Side(target, tuple(entry for entry in own.entries if entry.label.name == target))]
        elif path.exists():
            reading = _read_path(path)
            left_out += reading.left_out
            found = _by_label(reading)
        else:
            raise HarnessError(
                f"there is no label, workspace or record '{target}'", "compare", did_you_mean(target, known)
            )
        if not found:
            raise HarnessError("there is nothing to compare: no result lies here", target, "give a folder with results")
        sides += found
    return _with_names(sides), left_out


def _read_path(path: Path) -> Reading:
    if path.is_dir() and (path / "runs").is_dir():
        return read_workspace(Workspace(path))
    left_out: list[LeftOut] = []
    entries: list[Entry] = []
    files = [path] if path.is_file() else sorted(path.glob("jobs/*/result.json")) or sorted(path.rglob("*.json"))
    for file in files:
        try:
            record = Record.from_json(file.read_bytes())
        except (OSError, ValueError) as error:
            left_out.append(LeftOut(file, explain(error)))
            continue
        entries.append(entry_of_record(Label(Path(record.backbone.source).stem, record.backbone), record))
    return Reading(tuple(entries), tuple(left_out))


def _by_label(reading: Reading) -> list[Side]:
    sides: dict[Any, list[Entry]] = {}
    for entry in reading.entries:
        sides.setdefault((entry.label.name, entry.label.identity), []).append(entry)
    return [Side(name, tuple(entries)) for (name, _), entries in sides.items()]


def _with_names(sides: Sequence[Side]) -> list[Side]:
    """Gives sides of one name numbers, so that each column has a head of its own."""
    named: list[Side] = []
    seen: dict[str, int] = {}
    for side in sides:
        seen[side.name] = count = seen.get(side.name, 0) + 1
        named.append(side if count == 1 else Side(f"{side.name} ({count})", side.entries))
    return named


def compare(sides: Sequence[Side], with_published: bool = False) -> Comparison:
    """Puts numbers side by side; such that are not comparable stand in blocks of their own.

    Args:
        sides: What is compared; differences are to the first.
        with_published: Whether places among the published numbers are looked up.
    """
    groups: dict[Any, dict[str, list[Entry]]] = {}
    for side in sides:
        for entry in side.entries:
            by_side = groups.setdefault((entry.benchmark, entry.group), {})
            by_side.setdefault(side.name, []).append(entry)
    order = {section.benchmark: number for number, section in enumerate(all_sections())}
    keys = sorted(groups, key=lambda key: (_set_apart(groups[key]) != [], order.get(key[0], len(order)), key))
    names = tuple(side.name for side in sides)
    return Comparison(names, tuple(_block(names, groups[key], with_published) for key in keys))


def _block(names: Sequence[str], by_side: dict[str, list[Entry]], with_published: bool) -> Block:
    entries = [entry for found in by_side.values() for entry in found]
    # Two sides may be one label at two times: each is summarised for itself.
    cells = {name: summarise_cells(found) for name, found in by_side.items()}
    columns: dict[str, Column] = {}
    for column in (column for entry in entries for column in entry.display if column.table != HIDDEN):
        columns.setdefault(column.metric, column)
    first = entries[0]
    lines = []
    for column in columns.values():
        values = tuple(_summary(by_side, cells, name, column.metric) for name in names)
        lines.append(_line(names, column, values, first, with_published))
    protocol = first.protocol
    facts = (protocol.name, protocol.version, protocol.hash, first.data.name)
    return Block(first.benchmark, *facts, _marks(by_side), tuple(lines))


def _summary(by_side: dict[str, list[Entry]], cells: dict[str, Any], name: str, metric: str) -> Summary | None:
    if name not in by_side:
        return None
    found: Summary | None = cells[name].get((by_side[name][0].row, metric))
    return found if found is not None and found.n else None


def _line(
    names: Sequence[str], column: Column, values: tuple[Summary | None, ...], entry: Entry, with_published: bool
) -> Line:
    base = values[0]
    differences = tuple(
        None if number == 0 or base is None or value is None else value.mean - base.mean
        for number, value in enumerate(values)
    )
    others = comparable(entry, column.metric) if with_published else ()
    standings = tuple(
        Standing(name, rank(value.mean, column.decimals, others))
        for name, value in zip(names, values, strict=True)
        if value is not None and others
    )
    variant = entry.protocol.name.partition("@")[2]
    rest = apart(entry.benchmark, variant, column.metric) if with_published else ()
    best = best_of(names, values)
    return Line(column.metric, column.title, column.decimals, values, differences, best, standings, others, rest)


def best_of(names: Sequence[str], values: Sequence[Summary | None]) -> Best | None:
    """The side with the highest mean; of equal ones the first."""
    there = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
    if len(there) < 2:
        return None
    (side, first), (runner_up, second), *_ = sorted(there, key=lambda pair: -pair[1].mean)
    spread = math.hypot(first.deviation, second.deviation) if min(first.n, second.n) > 1 else None
    return Best(side, runner_up, first.mean - second.mean, spread)


def _set_apart(by_side: dict[str, list[Entry]]) -> list[str]:
    """Why the numbers of a block are no results of a published protocol."""
    first = next(iter(by_side.values()))[0]
    marks = []
    if first.protocol.profile != "full":
        marks.append(f"{first.protocol.profile} profile: no results")
    if first.protocol.modified:
        marks.append(f"modified: {', '.join(first.protocol.modified)}")
    if first.data.nonstandard:
        marks.append("non-standard data: " + " ".join(first.data.nonstandard))
    return marks


def _marks(by_side: dict[str, list[Entry]]) -> tuple[str, ...]:
    marks = _set_apart(by_side)
    code = {entry.record.git for entries in by_side.values() for entry in entries if entry.record}
    if len(code) > 1:
        marks.append("made by differing code: " + ", ".join(version[:12] or "unknown" for version in sorted(code)))
    return tuple(marks)
