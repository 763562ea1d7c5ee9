"""COCO 2017: polygons, crowds as run lengths, and images without objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.datasets.sample.digits import CLASSES, Dealer, generator
from benchmarks.datasets.sample.outlines import polygons, run_lengths
from benchmarks.datasets.sample.scenes import Scene, Thing, box_of, compose, in_cell
from benchmarks.datasets.sample.tree import Tree

CATEGORIES = (
    ("person", "person"),
    ("vehicle", "bicycle"),
    ("vehicle", "car"),
    ("vehicle", "motorcycle"),
    ("vehicle", "airplane"),
    ("vehicle", "bus"),
    ("vehicle", "train"),
    ("vehicle", "truck"),
    ("vehicle", "boat"),
    ("outdoor", "traffic light"),
)
"""Supercategory and name of COCO's categories 1 to 10."""

WIDTH, HEIGHT = 160, 96
CELL_WIDTHS = (160, 80, 52)
SIZES = ((64, 88), (48, 76), (36, 50))
"""Of one, two or three digits an image: the smallest and largest size."""
CROWD_DIGIT = 24
CROWD_ONE_IN = 10
EMPTY_ONE_IN = 20


def _scene(random: np.random.Generator, dealer: Dealer, index: int) -> tuple[Scene, list[Thing]]:
    """A scene and its crowd: small digits of one kind in the lower row, drawn before the others; mostly none."""
    if index % EMPTY_ONE_IN == EMPTY_ONE_IN - 1:
        return compose(random, HEIGHT, WIDTH, []), []
    places = []
    if index % CROWD_ONE_IN == 3:
        digit = int(random.integers(CLASSES))
        for left in range(0, 4 * CROWD_DIGIT, CROWD_DIGIT):
            cell = (left, HEIGHT - CROWD_DIGIT, CROWD_DIGIT, CROWD_DIGIT)
            places.append(in_cell(random, dealer.deal(digit), cell, CROWD_DIGIT, difficult=True))
    count = 1 + index % 3
    for number in range(count):
        digit = (index + number * (1 + index // CLASSES)) % CLASSES
        size = int(random.integers(*SIZES[count - 1], endpoint=True))
        cell = (number * CELL_WIDTHS[count - 1], 0, CELL_WIDTHS[count - 1], HEIGHT)
        places.append(in_cell(random, dealer.deal(digit), cell, size))
    scene = compose(random, HEIGHT, WIDTH, places)
    return scene, [thing for thing in scene.things if thing.difficult]


def _annotation(
    number: int, image: int, digit: int, mask: npt.NDArray[np.bool_], segmentation: Any, crowd: bool
) -> dict[str, Any]:
    left, top, right, bottom = box_of(mask)
    return {
        "id": number,
        "image_id": image,
        "category_id": digit + 1,
        "iscrowd": int(crowd),
        "area": float(np.count_nonzero(mask)),
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
        "segmentation": segmentation,
    }


def _annotations(first: int, image: int, scene: Scene, crowd: list[Thing]) -> list[dict[str, Any]]:
    """One entry for each object, and one for a crowd as a whole."""
    found: list[dict[str, Any]] = []
    for thing in scene.things:
        if not thing.difficult:
            outline = polygons(thing.mask)
            found.append(_annotation(first + len(found), image, thing.digit, thing.mask, outline, crowd=False))
    if crowd:
        together = np.any([thing.mask for thing in crowd], axis=0)
        runs = run_lengths(together)
        found.append(_annotation(first + len(found), image, crowd[0].digit, together, runs, crowd=True))
    return found


def write_coco(tree: Tree, train: int = 60, val: int = 40) -> None:
    """``coco/{train,val}2017/`` and ``coco/annotations/instances_{train,val}2017.json``."""
    categories = [
        {"id": number, "name": name, "supercategory": group} for number, (group, name) in enumerate(CATEGORIES, 1)
    ]
    image, annotation = 0, 1
    for split, side, count in (("train", "train", train), ("val", "test", val)):
        random = generator("coco", split)
        dealer = Dealer(side, random)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(count):
            image += 1
            scene, crowd = _scene(random, dealer, index)
            name = f"{image:012d}.jpg"
            tree.image(f"coco/{split}2017/{name}", scene, side)
            images.append({"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT})
            found = _annotations(annotation, image, scene, crowd)
            annotation += len(found)
            annotations.extend(found)
        content = {
            "info": {"description": "handwritten digits in COCO's form", "year": 2017},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        tree.json(f"coco/annotations/instances_{split}2017.json", content)
