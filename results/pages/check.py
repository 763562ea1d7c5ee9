"""Whether what is published is what was measured: pages against records, links against the models they stand beside."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from results.files import file_sha256
from results.metadata import Links, Matched, Metadata, Model
from results.pages.markdown import to_markdown, zoo_to_markdown
from results.pages.model import FIRST_COLUMN
from results.pages.parse import ParsedTable, parse_tables
from results.pages.refresh import outside, read_readme, refresh
from results.pages.render import Pages

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?(?: \(n = \d+\))?")
MODELS = "Algorithm"
"""First head of a table of models, whose first four columns say what a row is."""

HASH = re.compile(r"-(?P<hash>[0-9a-f]{8})\.(?:pth|pt|ckpt|safetensors|pth\.tar|bin)$")
"""How the name of a weight file ends: the first eight digits of its sha256."""

MEND = "python -m harness report"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        where: File and line, or field of the metadata.
        what: What is wrong, one line.
    """

    where: str
    what: str


def check_pages(pages: Pages, folder: Path) -> list[Problem]:
    """Holds the files below ``pages/`` against the records.

    Args:
        pages: What the records make.
        folder: Where the files lie.
    """
    problems: list[Problem] = []
    for name, content in pages.files():
        path = folder / name
        expected = content if isinstance(content, bytes) else content.encode()
        try:
            found = path.read_bytes()
        except OSError:
            problems.append(Problem(str(path), f"it is not there; `{MEND}` writes it"))
            continue
        if found == expected:
            continue
        told: list[Problem] = []
        if isinstance(content, str) and path.suffix in (".md", ".csv"):
            text = found.decode("utf-8", "replace")
            compare = _compare_tables if path.suffix == ".md" else _compare_lines
            told = list(compare(text, content, str(path)))
        problems += told or [Problem(str(path), f"it is not what the records make; `{MEND}` writes it anew")]
    return problems


def check_readme(pages: Pages, path: Path) -> list[Problem]:
    """Holds a hand-written README against the records: what stands between markers, and every table of results.

    Raises:
        HarnessError: It cannot be read; a marker has no partner.
    """
    text = read_readme(path)
    problems: list[Problem] = []
    fresh = refresh(text, str(path), pages.part_of(str(path)), optional=True)
    if fresh != text:
        told = list(_compare_tables(text, fresh, str(path)))
        problems += told or [Problem(str(path), "what stands between markers is not what the records make")]
    expected = _expected(pages)
    for table in parse_tables(outside(text)):
        problems += _check_table(table, expected, str(path))
    return problems


def _compare_tables(text: str, expected: str, where: str) -> Iterator[Problem]:
    """Cells in which two pages differ."""
    ours, theirs = parse_tables(expected), parse_tables(text)
    made: dict[tuple[str, tuple[str, ...]], list[ParsedTable]] = {}
    for table in ours:
        made.setdefault((table.heading, table.header), []).append(table)
    for table in theirs:
        same = made.get((table.heading, table.header))
        if not same:
            yield Problem(f"{where}, line {table.line}", f"no record makes the table under '{table.heading}'")
            continue
        fresh = same.pop(0)
        keys = 4 if table.header[:1] == (MODELS,) else 1
        rows: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for row in fresh.rows:
            rows.setdefault(row[:keys], []).append(row)
        for row in table.rows:
            twins = rows.get(row[:keys])
            if not twins:
                yield Problem(f"{where}, line {table.line}", f"no record makes the row {', '.join(row[:keys])}")
                continue
            for head, cell, right in zip(table.header[keys:], row[keys:], twins.pop(0)[keys:], strict=False):
                if cell != right:
                    what = f"{', '.join(row[:keys])}, {head}: the page says '{cell}', the records say '{right}'"
                    yield Problem(f"{where}, line {table.line}", what)
        missing = [row for left in rows.values() for row in left]
        if missing:
            what = f"the table under '{table.heading}' lacks {', '.join(row[0] for row in missing)}"
            yield Problem(f"{where}, line {table.line}", what)
    for left in made.values():
        for table in left:
            yield Problem(where, f"the table under '{table.heading}' is missing")


def _compare_lines(text: str, expected: str, where: str) -> Iterator[Problem]:
    """The first line in which two CSV files differ, and how many more there are."""
    lines, right = text.splitlines(), expected.splitlines()
    lines += [""] * (len(right) - len(lines))
    right += [""] * (len(lines) - len(right))
    differ = [number for number, (one, other) in enumerate(zip(lines, right, strict=True), start=1) if one != other]
    if differ:
        more = f", and {len(differ) - 1} more lines" if len(differ) > 1 else ""
        yield Problem(f"{where}, line {differ[0]}", f"it is not what the records say{more}")


_Expected = dict[tuple[tuple[str, ...], str, str], set[str]]


def _expected(pages: Pages) -> _Expected:
    """Numbers by the key of their row, head and heading; under its title and under its label."""
    found: _Expected = {}
    texts = [to_markdown(pages.zoo), *(zoo_to_markdown(pages.algorithm(name)) for name in pages.algorithms)]
    for text in texts:
        for table in parse_tables(text):
            keys = 4 if table.header[:1] == (MODELS,) else 1
            for row in table.rows:
                for head, cell in zip(table.header[keys:], row[keys:], strict=False):
                    found.setdefault((row[:keys], head, table.heading), set()).add(cell)
    return found


def _check_table(table: ParsedTable, expected: _Expected, where: str) -> Iterator[Problem]:
    """Numbers of a table of results that no record has; other tables are none of ours."""
    if table.header[:1] not in ((FIRST_COLUMN,), (MODELS,)):
        return
    keys = 4 if table.header[0] == MODELS else 1
    for row in table.rows:
        for head, cell in zip(table.header[keys:], row[keys:], strict=False):
            if not NUMBER.fullmatch(cell):
                continue
            right = expected.get((row[:keys], head, table.heading), set())
            name = f"{', '.join(row[:keys])}, {head}"
            if not right - {"", "/"}:
                yield Problem(f"{where}, line {table.line}", f"{name}: no record makes the number {cell}")
            elif cell not in right:
                told = " or ".join(sorted(right))
                yield Problem(f"{where}, line {table.line}", f"{name}: the page says {cell}, the records say {told}")


def check_links(metadata: Metadata, matched: Matched, hashes: dict[str, str], folder: Path) -> list[Problem]:
    """Whether each link stands beside the model that it belongs to.

    Args:
        metadata: The metadata.
        matched: Which label is which model.
        hashes: sha256 of the checkpoint's file by label, where a run noted it.
        folder: Folder of the metadata file, from which links that are paths lead.
    """
    problems: list[Problem] = []
    models = [model for algorithm in metadata.algorithms for model in algorithm.models]
    seen: dict[str, str] = {}
    for model in models:
        known = {digest for digest in (model.sha256, hashes.get(matched.labels.get(model.name, ""))) if digest}
        if len(known) > 1:
            problems.append(Problem(model.name, "its sha256 is not that of the file that was measured"))
        if model.weights is not None and known:
            problems += _check_hash(model, known, models)
        for place, link, alone in _links(model):
            problems += _check_owner(model, place, link, models)
            problems += _check_file(f"{model.name}.{place}", link, folder, place.endswith("weights"))
            if alone and link in seen:
                problems.append(Problem(f"{model.name}.{place}", f"{seen[link]} has the same link: {link}"))
            seen.setdefault(link, f"{model.name}.{place}")
    return problems


def _links(model: Model) -> Iterator[tuple[str, str, bool]]:
    """Field, link, and whether no other model may have the same."""
    parts: list[tuple[str, Links]] = [("", model)]
    parts += [(f"downstream.{benchmark}.", links) for benchmark, links in model.downstream.items()]
    for prefix, links in parts:
        for name in ("config", "weights", "log"):
            link = getattr(links, name)
            if link is not None:
                yield prefix + name, link, name != "config"


def _check_hash(model: Model, known: set[str], models: Sequence[Model]) -> Iterator[Problem]:
    """The name of the weight file against the hash of its content."""
    found = HASH.search(urlsplit(model.weights or "").path)
    where = f"{model.name}.weights"
    if found is None:
        yield Problem(where, f"the file's name does not end in the first 8 digits of its sha256: {model.weights}")
    elif not any(digest.startswith(found["hash"]) for digest in known):
        other = next((each.name for each in models if (each.sha256 or "").startswith(found["hash"])), "")
        whose = f", which is that of {other}" if other else ""
        right = " or ".join(sorted(digest[:8] for digest in known))
        yield Problem(where, f"the file's name says {found['hash']}{whose}; the model's sha256 begins with {right}")


def _check_owner(model: Model, place: str, link: str, models: Sequence[Model]) -> Iterator[Problem]:
    """A link in whose path another model is named, and this one is not."""
    parts = PurePosixPath(unquote(urlsplit(link).path)).parts
    own = _length(model, parts)
    for other in models:
        if other is not model and _length(other, parts) > own:
            yield Problem(f"{model.name}.{place}", f"this link is that of {other.name}: {link}")
            return


def _length(model: Model, parts: Sequence[str]) -> int:
    """Characters of the longest name of a model that is a part of a path, or begins one; 0 for none."""
    names = {model.name, *([PurePosixPath(urlsplit(model.config).path).stem] if model.config else [])}
    begins = [name for name in names for part in parts if part == name or re.match(rf"{re.escape(name)}[_.]", part)]
    return max(map(len, begins), default=0)


def _check_file(where: str, link: str, folder: Path, weights: bool) -> Iterator[Problem]:
    """A link that is a path: whether a file is there, and whether a weight file's name tells its content."""
    if urlsplit(link).scheme:
        return
    path = folder / unquote(link)
    if not path.is_file():
        yield Problem(where, f"it leads nowhere: {link}")
    elif weights and (found := HASH.search(path.name)) and not file_sha256(path).startswith(found["hash"]):
        yield Problem(where, f"the content's sha256 begins with {file_sha256(path)[:8]}, the name says {found['hash']}")
