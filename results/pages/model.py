"""What a page shows, as plain text in frozen data: no markup, numbers already rounded."""

from __future__ import annotations

import dataclasses

from results.entries import Entry, Label

FIRST_COLUMN = "Self-Supervised Config"
"""Head of the column that names the row, as in the published tables."""


@dataclasses.dataclass(frozen=True)
class Caption:
    """How the numbers of one table were measured.

    Args:
        protocol: Name of the protocol.
        version: Its version.
        hash: Its whole hash.
        modified: Fields that the user replaced.
        data: Name of the data set.
        counts: Images per split and classes.
        nonstandard: How the data differs from the official data set.
        inputs: Input convention and the labels that have it, where it is not the default.
        remarks: What belongs beside every number of a backbone, and the labels it concerns.
        seeds: Seeds with a result and the labels that have them; empty without randomness.
        numerics: Name and value of what is set.
        code: Versions of the code that made the numbers, where there are several.
    """

    protocol: str
    version: int
    hash: str
    modified: tuple[str, ...]
    data: str
    counts: tuple[tuple[str, int], ...]
    nonstandard: tuple[str, ...]
    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    remarks: tuple[tuple[str, tuple[str, ...]], ...]
    seeds: tuple[tuple[tuple[int, ...], tuple[str, ...]], ...]
    numerics: tuple[tuple[str, str], ...]
    code: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Remark:
    """Why cells are blank, or what to know about their numbers.

    Args:
        label: The row; empty where the table has one row only.
        seed: The seed it holds for; None where it holds for all.
        titles: Heads of the columns.
        reason: One line.
        blank: Whether the value is missing.
    """

    label: str
    seed: int | None
    titles: tuple[str, ...]
    reason: str
    blank: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Args:
        text: What it shows; empty without a value.
        metric: The metric; empty where it shows no number.
        value: Unrounded mean over the seeds; None without a value.
    """

    text: str
    metric: str = ""
    value: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class RowName:
    """What a row is called.

    Args:
        title: Its first cell.
        link: Where that leads; empty for nowhere.
    """

    title: str
    link: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row: a label and its cells.

    Args:
        name: Its first cell.
        cells: One for each column after the first.
        jobs: The jobs behind it, one a seed.
    """

    name: RowName
    cells: tuple[Cell, ...]
    jobs: tuple[Entry, ...]

    def texts(self) -> tuple[str, ...]:
        """Texts of the cells."""
        return tuple(cell.text for cell in self.cells)


@dataclasses.dataclass(frozen=True)
class Table:
    """One table: numbers of one benchmark, protocol, profile, data set and numerics.

    Args:
        benchmark: Name of the benchmark.
        heading: Empty for the section's main table.
        profile: Profile of its numbers.
        header: Heads of the columns, the first one's too.
        rows: The rows.
        caption: How they were measured.
        remarks: Reasons and notes.
    """

    benchmark: str
    heading: str
    profile: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: Caption
    remarks: tuple[Remark, ...]


@dataclasses.dataclass(frozen=True)
class Links:
    """Cell of links: titles and where they lead."""

    links: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """One model in the table of models."""

    backbone: str
    epochs: str
    batch_size: str
    results: tuple[str, ...]
    links: tuple[Links, ...]


@dataclasses.dataclass(frozen=True)
class ModelTable:
    """The table of models: what they are, their top-1 accuracies, and links.

    Args:
        algorithm: Stands once, over all rows.
        profile: Profile of its numbers.
        rows: One a model.
        captions: How its numbers were measured, one for each column that has any.
        remarks: Reasons and notes.
    """

    algorithm: str
    profile: str
    rows: tuple[ModelRow, ...]
    captions: tuple[Caption, ...]
    remarks: tuple[Remark, ...]


@dataclasses.dataclass(frozen=True)
class SectionView:
    """A section with its tables; neighbours of one heading share it.

    Args:
        benchmark: Name of the benchmark.
        heading: Fourth-level heading.
        intro: Paragraphs above its tables, in markdown.
        config: Link to the configuration that the numbers were made with; empty where none is known.
        tables: Tables of numbers.
        models: Tables of models, on the pages of algorithms.
    """

    benchmark: str
    heading: str
    intro: tuple[str, ...]
    tables: tuple[Table, ...]
    config: str = ""
    models: tuple[ModelTable, ...] = ()


@dataclasses.dataclass(frozen=True)
class GroupView:
    """A group with the names of the data sets that it shows."""

    name: str
    heading: str
    remark: str
    data: tuple[str, ...]
    sections: tuple[SectionView, ...]


@dataclasses.dataclass(frozen=True)
class Version:
    """Version of one package, with the benchmarks it was used for where records differ (else empty)."""

    name: str
    uses: tuple[tuple[str, tuple[str, ...]], ...]


@dataclasses.dataclass(frozen=True)
class Page:
    """A page.

    Args:
        title: Its heading.
        groups: Groups that have rows, in page order.
        labels: Whose numbers it shows.
        versions: Packages, by name.
        profiles: Profiles other than ``full`` that stand on it.
        mixed: Whether full numbers stand on it too.
    """

    title: str
    groups: tuple[GroupView, ...]
    labels: tuple[Label, ...]
    versions: tuple[Version, ...]
    profiles: tuple[str, ...]
    mixed: bool
