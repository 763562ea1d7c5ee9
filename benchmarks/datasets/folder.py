"""Anybody's images in a folder a class: which there are, and what is held out where nothing is set apart.

``train/<class>/`` and ``val/<class>/``, or ``train/`` alone, or the classes themselves. Without ``val/`` a fifth of
each class is held out: those whose names have the lowest hashes, so that the split is the same everywhere and one image
more moves no other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from results.errors import HarnessError

NAME = "folder"
SPLITS = ("train", "val")
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Endings of what counts as an image, whatever their case; OpenCV decodes all of them."""

HELD_OUT = 5
"""One image of so many is held out of each class, at least one and never the last."""
SPLIT_SEED = "transfer-harness folder 0"
"""Stands before every name that is hashed."""


@dataclasses.dataclass(frozen=True)
class FolderImages:
    """What lies in a folder.

    Args:
        classes: Names of the class folders, sorted; their places are the labels.
        images: For each split, paths relative to the data root and labels, sorted by label and path.
        is_held_out: Whether ``val`` was held out and has no folder.
    """

    classes: tuple[str, ...]
    images: Mapping[str, tuple[tuple[str, int], ...]]
    is_held_out: bool


def read_folder(root: Path) -> FolderImages:
    """Looks through a folder; no image is opened.

    Args:
        root: What stands after ``--data``.

    Raises:
        HarnessError: There are not two classes, a class has no image to train on, ``val`` has a class that ``train``
            lacks or no image, or a name that is no text.
    """
    has_val = (root / "val").is_dir()
    if has_val and not (root / "train").is_dir():
        raise HarnessError("there is val/ and no train/", str(root), f"put class folders into {root}/train")
    top = "train" if (root / "train").is_dir() else ""
    classes = _class_folders(root / top)
    if len(classes) < 2:
        raise HarnessError(
            f"a folder of images needs two classes or more, here are {len(classes)}",
            str(root / top),
            "put the images of each class into a folder of its own: --data DIR with DIR/train/CLASS/ and "
            "DIR/val/CLASS/, or DIR/CLASS/",
        )
    train = {name: _images(root, os.path.join(top, name)) for name in classes}
    empty = [name for name, images in train.items() if not images]
    if empty:
        raise HarnessError(
            f"{len(empty)} of {len(classes)} classes have no image to train on: {', '.join(map(_shown, empty[:5]))}",
            str(root / top / empty[0]),
            f"remove the folder, or put images ({' '.join(SUFFIXES)}) into it",
        )
    val = _val(root, classes) if has_val else {}
    if not has_val:
        for name in classes:
            train[name], val[name] = _hold_out(train[name], top)
    if not any(val.values()):
        raise HarnessError(
            "there is no image to measure on",
            str(root / "val" if has_val else root / top),
            "put images into val/CLASS/, or two or more into each class",
        )
    images = {
        split: tuple((path, label) for label, name in enumerate(classes) for path in found.get(name, ()))
        for split, found in zip(SPLITS, (train, val), strict=True)
    }
    return FolderImages(classes, images, not has_val)


def listing(root: Path) -> list[list[str]]:
    """What the fingerprint of the data covers: for each split, the sha256 over label, size and path of every image.

    Raises:
        HarnessError: As :func:`read_folder`; an image that cannot be looked at.
    """
    found = read_folder(root)
    lines = []
    for split in SPLITS:
        digest = hashlib.sha256()
        for path, label in found.images[split]:
            try:
                size = os.stat(root / path).st_size
            except OSError as error:
                raise HarnessError(
                    f"cannot look at an image: {error.strerror}", str(root / path), "mend or remove the file"
                ) from error
            digest.update(f"{label} {size} {path}\0".encode())
        lines.append([split, digest.hexdigest()])
    return lines


def _class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the folders below one, sorted; those that begin with a point are none."""
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if entry.name[0] != "." and entry.is_dir()]
    except OSError as error:
        raise HarnessError(
            f"cannot read the folder: {error.strerror}", str(folder), "give a folder of images with --data"
        ) from error
    for name in names:
        _require_text(name, folder)
    return tuple(sorted(names))


def _images(root: Path, folder: str) -> list[str]:
    """Images below a class's folder, at any depth, relative to the root, sorted; links to folders are not followed."""
    return sorted(_walk(root, folder))


def _walk(root: Path, folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise HarnessError(
            f"cannot read the folder: {error.strerror}", str(error.filename), "make it readable, or remove it"
        ) from error

    for place, folders, files in os.walk(root / folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in files:
            if name[0] != "." and name.lower().endswith(SUFFIXES):
                path = os.path.relpath(os.path.join(place, name), root)
                _require_text(path, root)
                yield path


def _val(root: Path, classes: Sequence[str]) -> dict[str, list[str]]:
    strange = [name for name in _class_folders(root / "val") if name not in classes]
    if strange:
        raise HarnessError(
            f"val/ has classes that train/ lacks: {', '.join(map(_shown, strange[:5]))}",
            str(root / "val" / strange[0]),
            "give both the same class folders",
        )
    return {name: _images(root, os.path.join("val", name)) for name in classes if (root / "val" / name).is_dir()}


def _hold_out(images: Sequence[str], top: str) -> tuple[list[str], list[str]]:
    """Images to train on and to measure on; a single one is trained on.

    Whether the classes lie in ``train/`` or not changes nothing.
    """
    count = min(max(1, len(images) // HELD_OUT), len(images) - 1)

    def drawn(path: str) -> bytes:
        return hashlib.sha256(f"{SPLIT_SEED}\0{path.removeprefix(f'{top}/')}".encode()).digest()

    held_out = set(sorted(images, key=drawn)[:count])
    return [path for path in images if path not in held_out], [path for path in images if path in held_out]


def _require_text(name: str, folder: Path) -> None:
    """Refuses a name that is not UTF-8: it could stand in no record."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise HarnessError(
            f"a name is not UTF-8: {_shown(name)}", _shown(str(folder)), "rename it, or leave it out"
        ) from error


def _shown(name: str) -> str:
    """A name as it may be printed."""
    return name if name.isprintable() else ascii(name)
