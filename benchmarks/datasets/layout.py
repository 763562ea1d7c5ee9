"""What must lie where for every data set of the suite, and reading its lists."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.datasets import lists
from benchmarks.datasets.folder import read_folder
from benchmarks.datasets.official import CITYSCAPES_CLASSES, DATA_SETS, VOC_CLASSES, DataSet, Split, data_set
from results.errors import HarnessError, did_you_mean

__all__ = [
    "CITYSCAPES_CLASSES",
    "DATA_SETS",
    "VOC_CLASSES",
    "DataSet",
    "LabelledImages",
    "Split",
    "annotation_files",
    "class_names",
    "data_set",
    "entries",
    "list_files",
    "missing_files",
    "read_categories",
    "read_split",
    "voc_classes",
]

EVERY_IMAGE_UP_TO = 20_000
"""Splits of at most so many entries are looked through image by image."""
SPACED_IMAGES = 1_000
"""Of a larger split so many evenly spaced entries are looked at, so that a plan stays quick."""

_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """The images of a split, in the order of its list.

    Args:
        paths: Image files; they need not exist.
        labels: int64 of shape [images], the class index; for VOC classification int8 of shape [images, classes]
            with 1 present, 0 absent, -1 only difficult objects.
        classes: Names of the classes. Where lists name none, the folder of the class, or else its index.
    """

    paths: tuple[Path, ...]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.int8]
    classes: tuple[str, ...]


def _split(name: str, split: str) -> Split:
    where = data_set(name).where
    if split not in where:
        raise HarnessError(f"{name} has no split '{split}'", "", did_you_mean(split, where))
    return where[split]


def entries(name: str, root: Path, split: str) -> list[str]:
    """What a split lists, in its order; each is put into the patterns of its :class:`Split`.

    Raises:
        HarnessError: The list is missing or bad.
    """
    return _entries(root, _split(name, split), every=True)


def _entries(root: Path, split: Split, every: bool) -> list[str]:
    """All entries of a split, or, where there are many and not ``every`` one is asked for, evenly spaced ones."""
    if split.kind == "folder":
        images = read_folder(root).images[split.listing]
        return [images[index][0] for index in _spaced(len(images), every)]
    listing = root / split.listing
    if split.kind in ("coco", "cityscapes"):
        names = _coco_names(listing) if split.kind == "coco" else _cityscapes_names(root, split)
        return [names[index] for index in _spaced(len(names), every)]
    lines = lists.read_lines(listing)
    if split.kind == "labels":
        return [lists.labelled_entry(listing, i + 1, lines[i])[0] for i in _spaced(len(lines), every)]
    return [lists.image_name(listing, i + 1, lines[i]) for i in _spaced(len(lines), every)]


def _coco_names(path: Path) -> list[str]:
    """File names of a COCO json, found without parsing it: train2017's 450 MB take a second, not ten."""
    try:
        names = [str(json.loads(match)) for match in _FILE_NAME.findall(lists.read_bytes(path))]
    except ValueError as error:
        raise HarnessError(f"{path.name} is broken: {error}", str(path), "take the official file again") from error
    if not names:
        raise HarnessError(f"{path.name} lists no images", str(path), "take the official file again")
    for name in names:
        lists.check_name(name, path.name, str(path))
    return names


def _cityscapes_names(root: Path, split: Split) -> list[str]:
    """What has an image or a mask, so that the lack of either shows."""
    names = sorted({*_stems(root, split.image), *_stems(root, split.annotation)})
    if not names:
        raise HarnessError(
            f"no images *{split.image.partition('{}')[2]}",
            str(root / split.listing),
            "unpack leftImg8bit_trainvaltest.zip there",
        )
    return names


def _spaced(count: int, every: bool) -> Iterable[int]:
    if every or count <= EVERY_IMAGE_UP_TO:
        return range(count)
    return [int(index) for index in np.linspace(0, count - 1, SPACED_IMAGES).round()]


def _stems(root: Path, pattern: str) -> Iterator[str]:
    """``city/city_000000_000019`` of every file ``<folder>/<city>/<stem><suffix>``."""
    folder, suffix = pattern.split("/{}")
    for path in (root / folder).glob(f"*/*{suffix}"):
        yield f"{path.parent.name}/{path.name.removesuffix(suffix)}"


def voc_classes(root: Path) -> tuple[str, ...]:
    """The classes that VOC2007 has lists of, alphabetically.

    A list is a file of ``ImageSets/Main`` whose name parts at ``_`` in exactly two; ``train_val.txt`` is the list of
    the class ``train`` in the split ``val``.
    """
    folder = root / "VOCdevkit/VOC2007/ImageSets/Main"
    found = (path.stem.split("_") for path in folder.glob("*_*.txt"))
    return tuple(sorted({parts[0] for parts in found if len(parts) == 2 and parts[1] in ("trainval", "test")}))


def list_files(name: str, root: Path) -> list[str]:
    """Lists and json files that the layout of a data set needs, relative to ``root``; they may be missing."""
    needed: list[str] = []
    for split in data_set(name).where.values():
        if split.kind == "folder":
            continue
        needed.append(split.listing)
        if split.class_lists:
            classes = voc_classes(root) or VOC_CLASSES[:1]
            needed.extend(split.class_lists.format(one) for one in classes)
    return needed


def missing_files(name: str, root: Path, limit: int = 20) -> list[str]:
    """What the layout needs and is not there.

    Args:
        name: Name of the data set.
        root: The data root.
        limit: Stop after so many.

    Returns:
        Paths relative to ``root``: lists and json files, then annotations and images of what is listed (every one
        where a split has at most 20,000 entries, else those of 1,000 evenly spaced entries).

    Raises:
        HarnessError: Unknown data set, or a list that cannot be read.
    """
    missing = [path for path in list_files(name, root) if not os.path.exists(root / path)]
    missing += [f"{path}/" for path in _empty_folders(name, root) if path not in missing]
    lacking = {path.rstrip("/") for path in missing}
    splits = [split for split in data_set(name).where.values() if split.listing not in lacking]
    listed = [(split, _entries(root, split, every=False)) for split in splits]
    needed = (
        pattern.format(entry)
        for kind in ("annotation", "image")
        for split, found in listed
        if (pattern := str(getattr(split, kind)))
        for entry in found
    )
    # Not Path.is_file: it raises where a name is too long or a folder may not be searched.
    absent = (path for path in needed if not os.path.isfile(root / path))
    return list(itertools.islice(itertools.chain(missing, absent), limit))


def _empty_folders(name: str, root: Path) -> list[str]:
    """Folders that stand for a list and hold no image."""
    splits = [split for split in data_set(name).where.values() if split.kind == "cityscapes"]
    return [split.listing for split in splits if not any(_stems(root, split.image))]


def annotation_files(name: str, root: Path) -> list[Path]:
    """Every list, json, XML file and mask of a data set: what its fingerprint covers.

    Returns:
        Paths below ``root``, each once, sorted by their path relative to it.

    Raises:
        HarnessError: A list is missing or bad.
    """
    where = data_set(name).where.values()
    found = set(list_files(name, root)) - {split.listing for split in where if split.kind == "cityscapes"}
    for split in where:
        if split.annotation:
            found.update(split.annotation.format(entry) for entry in _entries(root, split, every=True))
    return [root / path for path in sorted(found)]


def read_categories(path: Path) -> tuple[str, ...]:
    """Names of the categories of a COCO json, in the order of their ids.

    Raises:
        HarnessError: Not JSON, or without categories.
    """
    try:
        categories = json.loads(lists.read_bytes(path))["categories"]
        return tuple(str(one["name"]) for one in sorted(categories, key=lambda one: int(one["id"])))
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"{path.name} is not a COCO annotation file: {error!r}", str(path), "take the official file again"
        ) from error


def class_names(name: str, root: Path) -> tuple[str, ...]:
    """Classes of the data that lies at ``root``; their number is that of a head's outputs.

    Raises:
        HarnessError: A list is missing or bad.
    """
    first = data_set(name).where[data_set(name).splits[0]]
    if first.kind == "folder":
        return read_folder(root).classes
    if first.kind == "labels":
        return _labelled_classes(_all_labelled(name, root))
    if first.class_lists:
        return _required_voc_classes(root)
    if first.kind == "coco":
        return read_categories(root / data_set(name).where["val"].listing)
    return CITYSCAPES_CLASSES if first.kind == "cityscapes" else ("background", *VOC_CLASSES)


def _required_voc_classes(root: Path) -> tuple[str, ...]:
    classes = voc_classes(root)
    if not classes:
        raise HarnessError(
            "VOC2007 has no class lists (aeroplane_trainval.txt and so on)",
            str(root / "VOCdevkit/VOC2007/ImageSets/Main"),
            "unpack VOCtrainval_06-Nov-2007.tar and VOCtest_06-Nov-2007.tar there",
        )
    return classes


def _labelled(root: Path, split: Split) -> tuple[list[str], npt.NDArray[np.int64]]:
    listing = root / split.listing
    lines = lists.read_lines(listing)
    names: list[str] = []
    labels = np.empty(len(lines), dtype=np.int64)
    for index, line in enumerate(lines):
        name, labels[index] = lists.labelled_entry(listing, index + 1, line)
        names.append(name)
    return names, labels


def _all_labelled(name: str, root: Path) -> dict[str, tuple[list[str], npt.NDArray[np.int64]]]:
    return {split: _labelled(root, where) for split, where in data_set(name).where.items()}


def _labelled_classes(parts: Mapping[str, tuple[list[str], npt.NDArray[np.int64]]]) -> tuple[str, ...]:
    """One name for each label from 0 to the largest in any split: the folder in which the training images lie."""
    names, labels = parts["train"]
    count = max(int(part.max()) for _, part in parts.values()) + 1
    classes = [str(label) for label in range(count)]
    found, first = np.unique(labels, return_index=True)
    for label, index in zip(found.tolist(), first.tolist(), strict=True):
        folder = names[index].rpartition("/")[0]
        # Places205 sorts its classes into folders of one letter, which is no part of their names.
        classes[label] = re.sub(r"^[a-z]/", "", folder) or classes[label]
    return tuple(classes)


def read_split(name: str, root: Path, split: str) -> LabelledImages:
    """Reads a split for classification: imagenet, places205, inaturalist2018, voc07_classification or folder.

    Raises:
        HarnessError: Unknown data set or split, a data set without image labels, a missing or bad list.
    """
    where = _split(name, split)
    if where.kind == "folder":
        found = read_folder(root)
        images = found.images[split]
        labels = np.array([label for _, label in images], dtype=np.int64)
        return LabelledImages(tuple(root / path for path, _ in images), labels, found.classes)
    if where.kind == "labels":
        parts = _all_labelled(name, root)
        names, labels = parts[split]
        return LabelledImages(_images(root, where, names), labels, _labelled_classes(parts))
    if name != "voc07_classification":
        raise HarnessError(f"{name} has no labels of whole images", "", "use one of its own readers")
    names = _entries(root, where, every=True)
    classes = _required_voc_classes(root)
    columns = [_class_column(root / where.class_lists.format(one), names) for one in classes]
    return LabelledImages(_images(root, where, names), np.stack(columns, axis=1), classes)


def _images(root: Path, split: Split, names: list[str]) -> tuple[Path, ...]:
    # Joining text first: quicker than joining paths, which tells with ImageNet's 1.3 million names.
    folder, after = split.image.split("/{}")
    before = str(root / folder)
    return tuple(Path(f"{before}/{name}{after}") for name in names)


def _class_column(path: Path, names: list[str]) -> npt.NDArray[np.int8]:
    """One class's labels of the named images: VOC's 1, -1, 0 become 1, 0, -1."""
    flags: dict[str, int] = {}
    for number, line in enumerate(lists.read_lines(path), 1):
        name, flag = lists.flagged_entry(path, number, line)
        if name in flags:
            raise lists.bad_line(path, number, f"names image {name} a second time")
        flags[name] = {1: 1, -1: 0, 0: -1}[flag]
    for name in names:
        if name not in flags:
            raise HarnessError(f"{path.name} has no line for image {name}", str(path), "take the official list again")
    return np.array([flags[name] for name in names], dtype=np.int8)
