"""``data check``: looking through a data set file by file, without stopping at the first fault."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.datasets import faults
from benchmarks.datasets.fingerprint import nonstandard_counts
from benchmarks.datasets.layout import Split, class_names, data_set, entries, list_files, read_split
from results.errors import HarnessError

NAMED = 20
"""So many faults of a kind are named; all are counted."""
_CHUNK = 2048
"""Files handed to the threads at a time, so that a million of them do not wait in memory at once."""
_ALL_LISTED = ("imagenet", "inaturalist2018", "voc07_classification", "coco")
"""Data sets whose lists name every image that lies in their folders."""

Progress = Callable[[int, int], object]
"""Told how many files of a data set were looked at, and how many there are."""
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found.

    Args:
        name: Name of the data set.
        title: Its name on a page.
        counts: Entries per split and ``classes``; only those that could be read.
        official: The same, as published.
        nonstandard: One sentence for each count that differs from the official one.
        missing: The first files that are not there, relative to the data root, each with the list that names it.
        missing_count: How many there are.
        broken: The first faults, each ``file: what is wrong with it``.
        broken_count: How many there are.
        unlisted: The first images that lie there and that no list names, each with the lists that could.
        unlisted_count: How many there are.
        images: How many image files are listed.
        short_edges: Smallest and largest short edge of the images, in pixels; None where none was opened.
        decoded: Whether images were decoded.
    """

    name: str
    title: str
    counts: Mapping[str, int]
    official: Mapping[str, int]
    nonstandard: tuple[str, ...]
    missing: tuple[str, ...]
    missing_count: int
    broken: tuple[str, ...]
    broken_count: int
    unlisted: tuple[str, ...]
    unlisted_count: int
    images: int
    short_edges: tuple[int, int] | None
    decoded: bool

    @property
    def sound(self) -> bool:
        """Whether every file is there and none is broken; counts, and images that no list names, do not matter."""
        return not self.missing_count and not self.broken_count

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**values, "counts": dict(self.counts), "official": dict(self.official), "sound": self.sound}


@dataclasses.dataclass
class _Found:
    """Faults of one kind: each once, the first of them kept."""

    named: list[str] = dataclasses.field(default_factory=list)
    seen: set[str] = dataclasses.field(default_factory=set)

    def add(self, fault: str) -> None:
        if fault not in self.seen:
            self.seen.add(fault)
            if len(self.named) < NAMED:
                self.named.append(fault)


def check(name: str, root: Path, decode: bool, progress: Progress = lambda done, total: None) -> Report:
    """Looks through a data set: lists, annotations, every listed image.

    Args:
        name: Name of the data set.
        root: The data root.
        decode: Whether to decode images and masks, and compare their sizes with the annotations; without it only
            missing and empty files show.
        progress: Called now and then.

    Raises:
        HarnessError: Unknown data set. Faults of the data are in the report.
    """
    data = data_set(name)
    missing, broken = _Found(), _Found()
    for path in list_files(name, root):
        if not os.path.exists(root / path):
            missing.add(path)
    listed: dict[str, list[str]] = {}
    for split, where in data.where.items():
        if where.listing not in missing.seen:
            with _into(broken, root):
                listed[split] = entries(name, root, split)
    counts = {split: len(found) for split, found in listed.items()}
    classes: tuple[str, ...] = ()
    if not missing.seen:
        with _into(broken, root):
            classes = class_names(name, root)
            counts["classes"] = len(classes)
    _check_lists(name, root, listed, classes, broken)
    work = _Work(root, data.where, listed, decode, missing, broken, progress)
    sizes = work.look_at_images()
    work.look_at_annotations(classes, sizes, voc=name.startswith("voc"))
    unlisted = _Found()
    if name in _ALL_LISTED and len(listed) == len(data.where):
        work.look_for_unlisted(unlisted)
    edges = [min(size) for size in sizes.values()]
    known = {what: counts.get(what, count) for what, count in data.official.items()}
    return Report(
        name,
        data.title,
        {what: counts[what] for what in data.counted if what in counts},
        data.official,
        nonstandard_counts(name, known),
        tuple(missing.named),
        len(missing.seen),
        tuple(broken.named),
        len(broken.seen),
        tuple(unlisted.named),
        len(unlisted.seen),
        len(work.images),
        (min(edges), max(edges)) if edges else None,
        decode,
    )


@contextlib.contextmanager
def _into(broken: _Found, root: Path) -> Iterator[None]:
    """Turns a HarnessError into a fault of the report."""
    try:
        yield
    except HarnessError as error:
        where = error.where.removeprefix(f"{root}/")
        broken.add(f"{where}: {error.what}" if where else error.what)


def _paths(pattern: str, found: Iterable[str]) -> Iterator[str]:
    return (pattern.format(entry) for entry in found)


def _check_lists(
    name: str, root: Path, listed: Mapping[str, list[str]], classes: tuple[str, ...], broken: _Found
) -> None:
    """An image listed twice or in two splits; folders that hold two labels; labels without training images."""
    where = data_set(name).where
    first: dict[str, str] = {}
    for split, found in listed.items():
        for path in _paths(where[split].image, found):
            if path in first:
                other = first[path]
                broken.add(f"{path}: listed twice in {split}" if other == split else f"{path}: in {other} and {split}")
            first[path] = split
    if not classes:
        return
    if name == "voc07_classification":
        for split in where:
            with _into(broken, root):
                read_split(name, root, split)
    if all(place.kind == "labels" for place in where.values()):
        _check_labels(name, root, broken)


def _check_labels(name: str, root: Path, broken: _Found) -> None:
    """Labels against the folders of their images, the official classes and the training images."""
    limit = data_set(name).official["classes"]
    trained: set[int] = set()
    for split, place in data_set(name).where.items():
        labels = read_split(name, root, split).labels.tolist()
        folders: dict[str, int] = {}
        first: dict[int, int] = {}
        for number, (entry, label) in enumerate(zip(entries(name, root, split), labels, strict=True), 1):
            where = f"{place.listing}:{number}"
            folder = entry.rpartition("/")[0]
            # A flat folder of images says nothing about labels.
            if folder and folders.setdefault(folder, label) != label:
                broken.add(f"{where}: folder {folder} has the labels {folders[folder]} and {label}")
            if label >= limit:
                broken.add(
                    f"{where}: label {label} is out of range: {limit:,} classes have the labels 0 to {limit - 1}"
                )
            first.setdefault(label, number)
        if split == "train":
            trained = set(labels)
            gaps = sorted(set(range(min(max(labels) + 1, limit))) - trained)
            if gaps:
                broken.add(
                    f"{place.listing}:{first[max(labels)]}: labels run to {max(labels)}, but {len(gaps)} below have no"
                    f" image: {', '.join(map(str, gaps[:5]))}{'...' if len(gaps) > 5 else ''}"
                )
        for label in sorted(set(labels) - trained):
            broken.add(f"{place.listing}:{first[label]}: label {label} has no image in train")


@dataclasses.dataclass
class _Work:
    """Looking at the files of one data set, with a thread for each core.

    Args:
        root: The data root.
        where: Where each split lies.
        listed: Entries of the splits whose lists could be read.
        decode: Whether images and masks are decoded.
        missing: Takes what is not there.
        broken: Takes what is wrong.
        progress: Told how far it is.
        images: Image files by name, each with the list, and where it has lines the line, that names it.
        done: Files looked at.
    """

    root: Path
    where: Mapping[str, Split]
    listed: Mapping[str, list[str]]
    decode: bool
    missing: _Found
    broken: _Found
    progress: Progress
    images: dict[str, tuple[str, int]] = dataclasses.field(default_factory=dict)
    done: int = 0

    def __post_init__(self) -> None:
        for split, found in self.listed.items():
            place = self.where[split]
            lines = place.kind in ("labels", "names")
            for number, path in enumerate(_paths(place.image, found), 1):
                self.images.setdefault(path, (place.listing, number if lines else 0))

    def _total(self) -> int:
        return len(self.images) + sum(
            len(found) for split, found in self.listed.items() if self.where[split].annotation
        )

    def _map(self, look: Callable[[_Item], _Answer], items: Iterable[_Item]) -> Iterator[tuple[_Item, _Answer]]:
        """Each item with what was found, in order. PIL decodes without holding the interpreter's lock."""
        waiting = iter(items)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            while chunk := list(itertools.islice(waiting, _CHUNK)):
                for item, answer in zip(chunk, threads.map(look, chunk), strict=True):
                    self.done += 1
                    if self.done % 64 == 0:
                        self.progress(self.done, self._total())
                    yield item, answer

    def _add_missing(self, path: str, listing: str, line: int) -> None:
        self.missing.add(f"{path}, listed in {listing}{f':{line}' if line else ''}")

    def look_at_images(self) -> dict[str, tuple[int, int]]:
        """Every listed image. Returns (width, height) of those that were decoded."""
        sizes: dict[str, tuple[int, int]] = {}
        for name, found in self._map(lambda one: _look(self.root / one, self.decode), self.images):
            if isinstance(found, tuple):
                sizes[name] = found
            elif found == "missing":
                self._add_missing(name, *self.images[name])
            elif found:
                self.broken.add(f"{name}: {found}")
        return sizes

    def look_at_annotations(self, classes: tuple[str, ...], sizes: Mapping[str, tuple[int, int]], voc: bool) -> None:
        """XML files, masks and COCO's json against the images."""
        for split, found in self.listed.items():
            place = self.where[split]
            if place.kind == "coco":
                prefix = place.image.format("")
                images = {path.removeprefix(prefix): size for path, size in sizes.items() if path.startswith(prefix)}
                for fault in faults.coco_faults(self.root / place.listing, images, classes):
                    self.broken.add(f"{place.listing}: {fault}")

            def look(entry: str, place: Split = place) -> list[str] | None:
                path = self.root / place.annotation.format(entry)
                if not os.path.isfile(path):
                    return None
                size = sizes.get(place.image.format(entry))
                if path.suffix == ".xml":
                    return list(faults.xml_faults(path, size, classes))
                return list(faults.mask_faults(path, size, len(classes), voc)) if self.decode else []

            lines = place.kind == "names"
            for number, (entry, wrong) in enumerate(self._map(look, found if place.annotation else ()), 1):
                path = place.annotation.format(entry)
                if wrong is None:
                    self._add_missing(path, place.listing, number if lines else 0)
                for fault in wrong or ():
                    self.broken.add(f"{path}: {fault}")

    def look_for_unlisted(self, unlisted: _Found) -> None:
        """Images that lie in a folder and that no list names."""
        listings: dict[str, list[str]] = {}
        for place in self.where.values():
            listings.setdefault(place.image.partition("/{}")[0], []).append(place.listing)
        for folder, lists_of_it in listings.items():
            for path in _images_below(self.root, folder):
                if path not in self.images:
                    unlisted.add(f"{' and '.join(lists_of_it)}: no entry for {path}, which lies there")


def _images_below(root: Path, folder: str) -> Iterator[str]:
    """Image files below a folder, relative to the root; names that begin with a point are no images."""
    for place, folders, files in os.walk(root / folder, followlinks=True):
        folders.sort()
        before = os.path.relpath(place, root)
        for name in sorted(files):
            if name[0] != "." and name.lower().endswith((".jpg", ".jpeg", ".png")):
                yield f"{before}/{name}"


def _look(path: Path, decode: bool) -> tuple[int, int] | str:
    """(width, height) of an image, or what is wrong with it; empty text where it was not decoded."""
    if not os.path.isfile(path):
        return "missing"
    try:
        if path.stat().st_size == 0:
            return "empty file"
        return faults.decode_size(path) if decode else ""
    except HarnessError as error:
        return error.what
    except OSError as error:
        return f"cannot be read: {error.strerror}"
