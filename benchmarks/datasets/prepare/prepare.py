"""``data prepare``: from archives and folders that the user names to the layout that benchmarks read."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.datasets.layout import data_set, missing_files
from benchmarks.datasets.prepare.cityscapes import CITYSCAPES
from benchmarks.datasets.prepare.coco import COCO
from benchmarks.datasets.prepare.imagenet import IMAGENET
from benchmarks.datasets.prepare.inaturalist2018 import INATURALIST2018
from benchmarks.datasets.prepare.members import Member, Progress, is_archive, members
from benchmarks.datasets.prepare.place import Placer, read_small
from benchmarks.datasets.prepare.places205 import PLACES205
from benchmarks.datasets.prepare.recipe import Recipe
from benchmarks.datasets.prepare.voc import VOC07_CLASSIFICATION, VOC0712_DETECTION, VOC12AUG_SEGMENTATION
from results.errors import HarnessError
from results.files import make_folder, write_whole

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "imagenet": IMAGENET,
        "places205": PLACES205,
        "inaturalist2018": INATURALIST2018,
        "voc07_classification": VOC07_CLASSIFICATION,
        "voc0712_detection": VOC0712_DETECTION,
        "coco": COCO,
        "voc12aug_segmentation": VOC12AUG_SEGMENTATION,
        "cityscapes": CITYSCAPES,
    }
)
"""How each data set is prepared."""

ProgressOf = Callable[[str], Progress]
"""Given the name of a source, what is told how far it is."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What was done.

    Args:
        name: Name of the data set.
        already: Whether everything was there, so that no archive was opened.
        written: Files written.
        kept: Files that were there.
        made: Lists that were made, each with what it holds.
    """

    name: str
    already: bool = False
    written: int = 0
    kept: int = 0
    made: tuple[str, ...] = ()


def prepare(name: str, sources: Sequence[Path], root: Path, progress: ProgressOf) -> Prepared:
    """Puts a data set below the data root. Goes on where a killed call stopped; does nothing where all is there.

    Args:
        name: Name of the data set.
        sources: Archives and unpacked folders, in any order.
        root: The data root; made where it is missing.
        progress: See :data:`ProgressOf`.

    Raises:
        HarnessError: Unknown data set; no sources, or such as hold nothing of it; damaged or hostile archives; files
            that the layout needs and that no source had; a full disk; another call at work.
    """
    data_set(name)
    recipe = RECIPES[name]
    mark = root / f".prepare-{name}"
    if not mark.exists() and _complete(name, root):
        return Prepared(name, already=True)
    if not sources:
        raise HarnessError(
            f"{name} is not there yet, and nothing says from what to prepare it",
            "--from",
            f"name what you have got: {_flags(recipe)}; an unpacked folder will do as well",
        )
    for source in sources:
        if not (source.is_dir() or source.is_file()):
            raise HarnessError(
                f"there is no file or folder {source}", "--from", f"name {_flags(recipe)}, or an unpacked folder"
            )
    make_folder(root)
    with _alone(root):
        write_whole(mark, "unfinished: run the same command again\n")
        placer = Placer(root)
        kept: dict[str, bytes] = {}
        for source in sorted(sources, key=lambda one: not (recipe.first and recipe.first in one.name)):
            _take(source, recipe, placer, kept, progress(source.name or str(source)))
        recipe.finish(placer, kept)
        _refuse_incomplete(name, root, recipe)
        mark.unlink(missing_ok=True)
    return Prepared(name, False, placer.written, placer.kept, tuple(placer.made))


def _flags(recipe: Recipe) -> str:
    return " ".join(f"--from {archive}" for archive in recipe.archives)


def _complete(name: str, root: Path) -> bool:
    """Whether the layout finds what it needs; a list that cannot be read is made again."""
    try:
        return not missing_files(name, root, limit=1)
    except HarnessError:
        return False


def _take(source: Path, recipe: Recipe, placer: Placer, kept: dict[str, bytes], progress: Progress) -> None:
    """Everything that the recipe wants of one source."""
    found = 0
    for member in members(source, recipe.forms, progress):
        found += _use(member, recipe, placer, kept)
    if not found:
        kind = "archive" if is_archive(source) else "place"
        raise HarnessError(
            f"nothing of the data set is in this {kind}",
            str(source),
            f"it is prepared from {', '.join(recipe.archives)}, or from folders unpacked from them",
        )


def _use(member: Member, recipe: Recipe, placer: Placer, kept: dict[str, bytes]) -> bool:
    """Does with a member what the first rule says that fits it."""
    for rule in recipe.rules:
        target = rule.match(member.name, kept)
        if target is None:
            continue
        if rule.how == "keep":
            kept[target] = read_small(member)
        elif rule.how == "convert":
            placer.convert(member, target, rule.change)
        else:
            placer.place(member, target)
        return True
    return False


def _refuse_incomplete(name: str, root: Path, recipe: Recipe) -> None:
    missing = missing_files(name, root, limit=1001)
    if missing:
        count = "more than 1,000" if len(missing) > 1000 else f"{len(missing):,}"
        raise HarnessError(
            f"{name} is not complete: {count} files are missing, the first is {missing[0]}",
            str(root),
            f"run again with all of {_flags(recipe)}; what is there stays",
        )


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Holds the data root, so that two calls do not write the same temporary files; freed however the process ends."""
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # A file system without locks is no reason to refuse.
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise HarnessError(
                    "another data prepare is at work there", str(root), "wait until it has ended, then run again"
                ) from error
        yield
    finally:
        os.close(handle)
