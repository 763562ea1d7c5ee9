"""iNaturalist 2018: lists of the form ``name label`` from the competition's json files, in one pass over each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.datasets import lists
from benchmarks.datasets.prepare.place import Placer
from benchmarks.datasets.prepare.recipe import Kept, Recipe, Rule
from results.errors import HarnessError

_HOME = "iNaturalist2018"
_IMAGES = "train_val2018/"
_MEND = "take the official file again"


def list_lines(path: Path) -> list[str]:
    """The list of a split, in the order of the json's images; a label is the id of the image's category.

    Raises:
        HarnessError: Not such a json; an image without a category or with two; a name outside ``train_val2018``.
    """
    try:
        raw = json.loads(lists.read_bytes(path))
        names = {int(one["id"]): str(one["file_name"]) for one in raw["images"]}
        pairs = [(int(one["image_id"]), int(one["category_id"])) for one in raw["annotations"]]
        known = {int(one["id"]) for one in raw["categories"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HarnessError(f"{path.name} is not the competition's json: {error!r}", str(path), _MEND) from error
    labels: dict[int, int] = {}
    for image, label in pairs:
        if image not in names or label not in known or label < 0:
            raise _bad(path, f"has an annotation of image {image} and category {label}, and one of them is not there")
        if labels.setdefault(image, label) != label:
            raise _bad(path, f"gives image {image} the categories {labels[image]} and {label}")
    return [f"{_image_name(path, name)} {_label(path, labels, image)}" for image, name in names.items()]


def _bad(path: Path, what: str) -> HarnessError:
    return HarnessError(f"{path.name} {what}", str(path), _MEND)


def _label(path: Path, labels: dict[int, int], image: int) -> int:
    if image not in labels:
        raise _bad(path, f"gives image {image} no category")
    return labels[image]


def _image_name(path: Path, name: str) -> str:
    """``train_val2018/Plantae/7477/0a1b.jpg`` without its first folder, below which the layout's lists begin."""
    short = name.removeprefix(_IMAGES)
    if short == name or any(char.isspace() for char in name):
        raise _bad(path, f"names an image outside {_IMAGES}: {name[:200]!r}")
    lists.check_name(short, path.name, str(path))
    return short


def _write_lists(placer: Placer, kept: Kept) -> None:
    found: dict[str, Any] = {}
    for split in ("train", "val"):
        path = placer.root / _HOME / f"{split}2018.json"
        if not path.is_file():
            raise HarnessError(
                f"there is no {path.name}, from which the list of {split} is made",
                str(path.parent),
                f"give {path.name}.tar.gz too, with --from",
            )
        found[split] = list_lines(path)
    for split, lines in found.items():
        placer.write_list(f"{_HOME}/meta/{split}.txt", lines, "images")


INATURALIST2018 = Recipe(
    archives=("train_val2018.tar.gz", "train2018.json.tar.gz", "val2018.json.tar.gz"),
    rules=(
        Rule(r"train_val2018/((?:[^/]+/)+[^/.][^/]*\.jpg)", rf"{_HOME}/{_IMAGES}\1"),
        Rule(r"((?:train|val)2018\.json)", rf"{_HOME}/\1"),
    ),
    finish=_write_lists,
)
