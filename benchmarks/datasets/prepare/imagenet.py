"""ImageNet-1k: one folder a class for training and validation images, and the two lists.

A label is the place of a class's synset id among the sorted ids of the training folders: torchvision's and
mmpretrain's labels, where all thousand are there.
"""

from __future__ import annotations

import functools
import io
import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.datasets.prepare.place import Placer
from benchmarks.datasets.prepare.recipe import Kept, Recipe, Rule
from results.errors import HarnessError

_TRAIN = "ILSVRC2012_img_train.tar"
_VAL = "ILSVRC2012_img_val.tar"
_DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_FLAT = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_SYNSET = re.compile(r"n\d{8}")


@functools.lru_cache(maxsize=1)
def validation_synsets(meta: bytes, truth: bytes) -> Mapping[int, str]:
    """Synset id of each validation image, by its number from 1.

    Args:
        meta: ``meta.mat`` of the development kit: ``synsets`` with ``ILSVRC2012_ID``, ``WNID`` and ``num_children``,
            which is 0 for the classes and more for what stands above them.
        truth: ``ILSVRC2012_validation_ground_truth.txt``: line i has the ILSVRC2012_ID of image i.

    Raises:
        HarnessError: Not such files.
    """
    from scipy.io import loadmat

    mend = f"take the official {_DEVKIT} again"
    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"].reshape(-1)
        known = {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in synsets if int(one["num_children"]) == 0}
    except Exception as error:
        # loadmat documents no exceptions and raises whatever its parts do.
        raise HarnessError(f"meta.mat has no synsets ({repr(error)[:200]})", _DEVKIT, mend) from error
    found: dict[int, str] = {}
    for number, line in enumerate(truth.decode("ascii", "replace").splitlines(), 1):
        if not line.strip().isdigit() or int(line) not in known:
            raise HarnessError(
                f"line {number} of ILSVRC2012_validation_ground_truth.txt is no class: {line[:80]!r}", _DEVKIT, mend
            )
        found[number] = known[int(line)]
    return MappingProxyType(found)


def _synset_of(name: str, kept: Kept) -> str:
    number = int(name.removesuffix(".JPEG").rpartition("_")[2])
    synsets = validation_synsets(kept["meta"], kept["truth"])
    if number not in synsets:
        raise HarnessError(
            f"the development kit says nothing about {name}: it has {len(synsets):,} validation images",
            _DEVKIT,
            "take archives of the same release",
        )
    return synsets[number]


def _validation_target(match: re.Match[str], kept: Kept) -> str:
    """The class's folder where the development kit was read; else none as yet, see :func:`_sort_validation`."""
    name = match[1]
    known = "meta" in kept and "truth" in kept
    return f"imagenet/val/{_synset_of(name, kept)}/{name}" if known else f"imagenet/val/{name}"


def _sort_validation(placer: Placer, kept: Kept) -> None:
    """Puts validation images that came before the development kit into the folders of their classes."""
    folder = placer.root / "imagenet/val"
    flat = sorted(name for name in _listed(str(folder)) if _FLAT.fullmatch(name))
    if flat and not ("meta" in kept and "truth" in kept):
        raise HarnessError(
            f"nothing says which classes the {len(flat):,} validation images have",
            str(folder),
            f"give {_DEVKIT} too, with --from",
        )
    for name in flat:
        placer.move(f"imagenet/val/{name}", f"imagenet/val/{_synset_of(name, kept)}/{name}")


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def _images(placer: Placer, split: str) -> dict[str, list[str]]:
    """Sorted image names of each class folder that holds any."""
    home = placer.root / "imagenet" / split
    found = {}
    for synset in sorted(name for name in _listed(str(home)) if _SYNSET.fullmatch(name)):
        names = sorted(
            name
            for name in _listed(str(home / synset))
            if name[0] != "." and name.lower().endswith((".jpeg", ".jpg", ".png"))
        )
        if names:
            found[synset] = names
    return found


def _write_lists(placer: Placer, kept: Kept) -> None:
    _sort_validation(placer, kept)
    found = {split: _images(placer, split) for split in ("train", "val")}
    for split, archive in (("train", _TRAIN), ("val", _VAL)):
        if not found[split]:
            raise HarnessError(
                f"there are no images of {split}",
                str(placer.root / "imagenet" / split),
                f"give {archive} too, with --from",
            )
    labels = {synset: label for label, synset in enumerate(found["train"])}
    strange = [synset for synset in found["val"] if synset not in labels]
    if strange:
        raise HarnessError(
            f"{len(strange):,} classes have validation images but no training images, the first is {strange[0]}",
            str(placer.root / "imagenet"),
            f"give the whole {_TRAIN}, or move their folders out of val",
        )
    for split, images in found.items():
        # Validation images stand in the order of their numbers, which is that of their names.
        pairs = [(f"{synset}/{name}", labels[synset]) for synset, names in images.items() for name in names]
        if split == "val":
            pairs.sort(key=lambda pair: pair[0].rpartition("/")[2])
        placer.write_list(f"imagenet/meta/{split}.txt", [f"{name} {label}" for name, label in pairs], "images")


IMAGENET = Recipe(
    archives=(_TRAIN, _VAL, _DEVKIT),
    rules=(
        Rule(r"(train|val)/(n\d{8})/([^/.][^/]*\.(?:JPEG|jpg|jpeg|png))", r"imagenet/\1/\2/\3"),
        Rule(r"(n\d{8})/(n\d{8}_\d+\.JPEG)", r"imagenet/train/\1/\2"),
        Rule(r"(n\d{8})/(ILSVRC2012_val_\d{8}\.JPEG)", r"imagenet/val/\1/\2"),
        Rule(r"(ILSVRC2012_val_\d{8}\.JPEG)", _validation_target),
        Rule(r"(?:data/)?meta\.mat", "meta", "keep"),
        Rule(r"ILSVRC2012_validation_ground_truth\.txt", "truth", "keep"),
    ),
    finish=_write_lists,
    first="devkit",
    nested=".tar",
)
