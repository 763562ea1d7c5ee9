"""``data check``: looking through a data set file by file, without stopping at the first fault."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.datasets import faults
from benchmarks.datasets.fingerprint import nonstandard_counts
from benchmarks.datasets.layout import Split, class_names, data_set, entries, list_files, read_split
from results.errors import HarnessError

NAMED = 20
"""So many faults of a kind are named; all are counted."""
_CHUNK = 2048
"""Files handed to the threads at a time, so that a million of them do not wait in memory at once."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found.

    Args:
        name: Name of the data set.
        title: Its name on a page.
        counts: Entries per split and ``classes``; only those that could be read.
        official: The same, as published.
        nonstandard: One sentence for each count that differs from the official one.
        missing: The first files that are not there, relative to the data root.
        missing_count: How many there are.
        broken: The first faults, each ``file: what is wrong with it``.
        broken_count: How many there are.
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
    images: int
    short_edges: tuple[int, int] | None
    decoded: bool

    @property
    def sound(self) -> bool:
        """Whether every file is there and none is broken; counts do not matter."""
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


def check(name: str, root: Path, decode: bool) -> Report:
    """Looks through a data set: lists, annotations, every listed image.

    Args:
        name: Name of the data set.
        root: The data root.
        decode: Whether to decode images and masks, and compare their sizes with the annotations; without it only
            missing and empty files show.

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
    sizes = _check_files(root, data.where, listed, decode, missing, broken)
    _check_annotations(root, data.where, listed, classes, sizes, decode, missing, broken)
    edges = [min(size) for size in sizes.values()]
    known = {what: counts.get(what, count) for what, count in data.official.items()}
    return Report(
        name,
        data.title,
        {what: counts[what] for what in data.official if what in counts},
        data.official,
        nonstandard_counts(name, known),
        tuple(missing.named),
        len(missing.seen),
        tuple(broken.named),
        len(broken.seen),
        len({where for split, found in listed.items() for where in _paths(data.where[split].image, found)}),
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
    trained: set[int] = set()
    for split, place in data_set(name).where.items():
        labels = read_split(name, root, split).labels.tolist()
        folders: dict[str, int] = {}
        for entry, label in zip(entries(name, root, split), labels, strict=True):
            folder = entry.rpartition("/")[0]
            # A flat folder of images says nothing about labels.
            if folder and folders.setdefault(folder, label) != label:
                broken.add(f"{place.listing}: folder {folder} has the labels {folders[folder]} and {label}")
        if split == "train":
            trained = set(labels)
        for label in sorted(set(labels) - trained):
            broken.add(f"{place.listing}: label {label} has no image in train")


def _check_files(
    root: Path,
    where: Mapping[str, Split],
    listed: Mapping[str, list[str]],
    decode: bool,
    missing: _Found,
    broken: _Found,
) -> dict[str, tuple[int, int]]:
    """Every listed image. Returns (width, height) of those that were decoded."""
    sizes: dict[str, tuple[int, int]] = {}
    names = dict.fromkeys(path for split, found in listed.items() for path in _paths(where[split].image, found))
    waiting = iter(names)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        while chunk := list(itertools.islice(waiting, _CHUNK)):
            # PIL decodes without holding the interpreter's lock.
            for name, found in zip(chunk, threads.map(lambda one: _look(root / one, decode), chunk), strict=True):
                if isinstance(found, tuple):
                    sizes[name] = found
                elif found == "missing":
                    missing.add(name)
                elif found:
                    broken.add(f"{name}: {found}")
    return sizes


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


def _check_annotations(
    root: Path,
    where: Mapping[str, Split],
    listed: Mapping[str, list[str]],
    classes: tuple[str, ...],
    sizes: Mapping[str, tuple[int, int]],
    decode: bool,
    missing: _Found,
    broken: _Found,
) -> None:
    """XML files, masks and COCO's json against the images."""
    for split, found in listed.items():
        place = where[split]
        if place.kind == "coco":
            prefix = place.image.format("")
            images = {path.removeprefix(prefix): size for path, size in sizes.items() if path.startswith(prefix)}
            for fault in faults.coco_faults(root / place.listing, images, classes):
                broken.add(f"{place.listing}: {fault}")
        for entry in found if place.annotation else ():
            path = place.annotation.format(entry)
            if not os.path.isfile(root / path):
                missing.add(path)
                continue
            size = sizes.get(place.image.format(entry))
            if path.endswith(".xml"):
                wrong = faults.xml_faults(root / path, size, classes)
            else:
                wrong = faults.mask_faults(root / path, size, len(classes)) if decode else iter(())
            for fault in wrong:
                broken.add(f"{path}: {fault}")
