"""Writes ``pages/``: tables, pages and their machine-readable twins."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from results.entries import Entry, Reading, no_collection
from results.errors import HarnessError, did_you_mean
from results.files import write_whole
from results.metadata import Matched, Metadata, match
from results.pages.build import Summaries, build_page
from results.pages.card import model_card
from results.pages.figures import figures
from results.pages.html.page import to_html
from results.pages.latex import to_latex
from results.pages.markdown import part_to_markdown, to_markdown, zoo_to_markdown
from results.pages.metafile import MMPRETRAIN, MMSELFSUP, metafile, model_index
from results.pages.model import Page
from results.pages.public import MODEL_ZOO, page_stem
from results.pages.zoo import ZooPage, build_zoo_page
from results.table import summarise_cells, to_csv, to_frame, to_parquet, wide_tables
from results.workspace import Workspace

FORMATS = ("csv", "parquet", "markdown", "html", "metafile", "card", "latex", "figures", "wide")
"""Everything that can be written."""

DEFAULT_FORMATS = ("csv", "parquet", "markdown", "html", "metafile", "card")
"""What is written unless something else is asked for; metafiles and cards need metadata."""

ZOO_TITLE = "Model zoo"


@dataclasses.dataclass(frozen=True)
class Request:
    """What to write.

    Args:
        labels: Whose pages; None for all. Tables and the model zoo always hold all labels.
        formats: Names out of :data:`FORMATS`.
        metadata: What the metadata file says; None without one.
    """

    labels: Sequence[str] | None = None
    formats: Sequence[str] = DEFAULT_FORMATS
    metadata: Metadata | None = None


class Pages:
    """Everything that can be made of what was read; the same reading gives the same bytes.

    Args:
        reading: What was read.
        request: What is wanted.

    Raises:
        HarnessError: There is nothing to report, or a label or format is unknown.
    """

    def __init__(self, reading: Reading, request: Request) -> None:
        self.entries: tuple[Entry, ...] = reading.entries
        known = sorted({entry.label.name for entry in self.entries})
        self.labels = list(dict.fromkeys(request.labels or known))
        for label in self.labels:
            if label not in known:
                raise HarnessError(f"no run has the label '{label}'", "--label", did_you_mean(label, known))
        for name in request.formats:
            if name not in FORMATS:
                raise HarnessError(f"there is no format '{name}'", "--format", did_you_mean(name, FORMATS))
        self.formats = request.formats
        self.several = len(known) > 1
        self.summary: Summaries = summarise_cells(self.entries)
        self.by_label: dict[str, list[Entry]] = {}
        for entry in self.entries:
            self.by_label.setdefault(entry.label.name, []).append(entry)
        self.metadata = request.metadata
        self.algorithms = {each.name: each for each in (request.metadata.algorithms if request.metadata else ())}
        self.matched = Matched({}, ())
        if request.metadata is not None:
            self.matched = match(request.metadata, {each.label.name: each.label for each in self.entries}.values())

    def files(self) -> Iterator[tuple[str, str | bytes]]:
        """Names below ``pages/`` and contents, in the order in which they are written."""
        if "csv" in self.formats or "parquet" in self.formats:
            frame = to_frame(self.entries)
            if "csv" in self.formats:
                yield "results.csv", to_csv(frame)
            if "parquet" in self.formats:
                yield "results.parquet", to_parquet(frame)
        if "wide" in self.formats:
            for benchmark, table in wide_tables(self.entries).items():
                yield f"tables/{page_stem(benchmark)}.csv", to_csv(table)
        if "markdown" in self.formats:
            for label in self.labels:
                yield f"{page_stem(label)}.md", to_markdown(self.page(label))
            if self.several:
                yield f"{MODEL_ZOO}.md", to_markdown(self.zoo)
        if "html" in self.formats:
            yield "results.html", to_html(self.zoo, self.entries)
        if "latex" in self.formats:
            yield "results.tex", to_latex(self.zoo)
        if "figures" in self.formats:
            for name, content in figures(self.zoo):
                yield f"figures/{name}", content
        if self.algorithms:
            yield from self._files_of_algorithms()

    def _files_of_algorithms(self) -> Iterator[tuple[str, str]]:
        folders = []
        for name in self.algorithms:
            zoo = self.algorithm(name)
            folder = page_stem(name)
            folders.append(folder)
            if "markdown" in self.formats:
                yield f"zoo/{folder}/README.md", zoo_to_markdown(zoo)
            if "metafile" in self.formats:
                for name in (MMSELFSUP, MMPRETRAIN):
                    yield f"zoo/{folder}/{name}", metafile(zoo, self.entries, self.summary, name)
            if "card" in self.formats:
                for model, label in zoo.models:
                    if label is not None:
                        card = model_card(zoo, model, label, self.by_label[label], self.summary)
                        yield f"cards/{page_stem(model.name)}/README.md", card
        if "metafile" in self.formats:
            yield "zoo/model-index.yml", model_index(folders)

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of the checkpoint's file by label, where a run noted it."""
        return {each.label.name: each.label.sha256 for each in self.entries if each.label.sha256}

    @functools.cached_property
    def zoo(self) -> Page:
        """The page of all labels."""
        return build_page(ZOO_TITLE, self.entries, self.summary)

    def page(self, label: str) -> Page:
        """The page of one label."""
        return build_page(label, self.by_label[label], self.summary)

    def part_of(self, where: str) -> Callable[[str, str], str]:
        """What :func:`results.pages.refresh.refresh` asks for parts of pages.

        Args:
            where: Name of the README, for errors.
        """
        names = {*self.algorithms, *self.by_label}

        def part(name: str, page: str) -> str:
            if page == "" and len(self.algorithms) == 1:
                page = next(iter(self.algorithms))
            if page in self.algorithms:
                found = self.algorithm(page).page
            elif page == "":
                found = self.zoo
            elif page in self.by_label:
                found = self.page(page)
            else:
                raise HarnessError(f"there is no algorithm or label '{page}'", where, did_you_mean(page, names))
            text = part_to_markdown(found, name)
            if text is None:
                parts = [section.benchmark for group in found.groups for section in group.sections]
                mend = did_you_mean(name, [*parts, "results", "provenance"])
                raise HarnessError(f"a marker asks for '{name}', of which there is nothing here", where, mend)
            return text

        return part

    def algorithm(self, name: str) -> ZooPage:
        """The page of one algorithm of the metadata."""
        return build_zoo_page(self.algorithms[name], self.matched, self.entries, self.summary)


def make_pages(reading: Reading, workspace: Workspace, request: Request = Request()) -> Pages:
    """What can be written of a workspace.

    Raises:
        HarnessError: As :class:`Pages`; there is nothing to report.
    """
    if not reading.entries:
        command = f"python -m harness run --ckpt CHECKPOINT --suite all --workspace {shlex.quote(str(workspace.root))}"
        raise HarnessError("there is nothing to report: no run has left a job here", str(workspace.root), command)
    return Pages(reading, request)


def write_pages(pages: Pages, workspace: Workspace) -> list[Path]:
    """Writes all files.

    Returns:
        The files written.

    Raises:
        HarnessError: A file cannot be written.
    """
    paths = []
    with no_collection():
        for name, content in pages.files():
            paths.append(workspace.pages / name)
            write_whole(paths[-1], content)
    return paths
