"""VOC2007 and VOC2012: XML, class lists with difficult objects, and segmentation masks with and without void ring.

VOC2012's validation images for segmentation are test data, yet detection trains on VOC2012 trainval. They therefore
bear names ``2007_*`` and stand in no list of ``Main``: so do the 2007 images of the real VOC2012.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from benchmarks.datasets.official import VOC_CLASSES
from benchmarks.datasets.sample.digits import CLASSES, Dealer, generator
from benchmarks.datasets.sample.scenes import Placement, Scene, compose, in_cell
from benchmarks.datasets.sample.tree import Tree

NAMES = VOC_CLASSES[:CLASSES]
SIDE = 96
LARGE = 80
PAIR_WIDTH = 128
PAIR_DIGIT = 64
DIFFICULT_DIGIT = 20
DIFFICULT_ONE_IN = 8
VOID = 255


def palette() -> bytes:
    """VOC's colour map (``VOCcode/VOClabelcolormap.m``): the bits of the class, spread over red, green and blue."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                colours[index, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.tobytes()


def _scene(random: np.random.Generator, dealer: Dealer, index: int) -> Scene:
    """One digit or, in every other image, two side by side; now and then a small one that counts as difficult."""
    digit = index % CLASSES
    places: list[Placement] = []
    pair = index // CLASSES % 2 == 1
    width = PAIR_WIDTH if pair else SIDE
    other = (digit + 1 + int(random.integers(CLASSES - 1))) % CLASSES
    if index % DIFFICULT_ONE_IN == DIFFICULT_ONE_IN - 1:
        # Below the others, in the lower left corner, which a large digit leaves mostly free.
        corner = (0, SIDE - DIFFICULT_DIGIT, DIFFICULT_DIGIT, DIFFICULT_DIGIT)
        hidden = (other + 1) % CLASSES if (other + 1) % CLASSES != digit else (other + 2) % CLASSES
        places.append(in_cell(random, dealer.deal(hidden), corner, DIFFICULT_DIGIT, difficult=True))
    if pair:
        places.append(in_cell(random, dealer.deal(digit), (0, 0, PAIR_WIDTH // 2, SIDE), PAIR_DIGIT))
        places.append(in_cell(random, dealer.deal(other), (PAIR_WIDTH // 2, 0, PAIR_WIDTH // 2, SIDE), PAIR_DIGIT))
    else:
        places.append(in_cell(random, dealer.deal(digit), (0, 0, SIDE, SIDE), LARGE))
    return compose(random, SIDE, width, places)


def xml(year: int, name: str, scene: Scene, segmented: bool) -> list[str]:
    """The annotation of an image. VOC counts pixels from 1, the last one included."""
    height, width = scene.pixels.shape[:2]
    lines = [
        "<annotation>",
        f"\t<folder>VOC{year}</folder>",
        f"\t<filename>{escape(name)}.jpg</filename>",
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        f"\t<segmented>{int(segmented)}</segmented>",
    ]
    for thing in scene.things:
        left, top, right, bottom = thing.box
        lines += [
            "\t<object>",
            f"\t\t<name>{NAMES[thing.digit]}</name>",
            "\t\t<pose>Unspecified</pose>",
            "\t\t<truncated>0</truncated>",
            f"\t\t<difficult>{int(thing.difficult)}</difficult>",
            f"\t\t<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>",
            "\t</object>",
        ]
    return [*lines, "</annotation>"]


def _grow(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask and its neighbours to the left, right, above and below."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def class_map(scene: Scene, ring: bool) -> npt.NDArray[np.uint8]:
    """Class of each pixel, 0 for background; with ``ring`` the outlines and difficult objects are void (255)."""
    height, width = scene.pixels.shape[:2]
    labels = np.zeros((height, width), dtype=np.uint8)
    for thing in scene.things:
        labels[thing.mask] = VOID if ring and thing.difficult else thing.digit + 1
    if ring:
        for thing in scene.things:
            labels[_grow(thing.mask) & _grow(~thing.mask)] = VOID
    return labels


def _class_lists(tree: Tree, year: int, split: str, scenes: dict[str, Scene]) -> None:
    """``Main/<split>.txt`` and, for each class, 1 (present), -1 (absent) or 0 (only difficult objects)."""
    home = f"VOCdevkit/VOC{year}/ImageSets/Main"
    tree.text(f"{home}/{split}.txt", list(scenes))
    for digit, name in enumerate(NAMES):
        lines = []
        for image, scene in scenes.items():
            easy = [not thing.difficult for thing in scene.things if thing.digit == digit]
            flag = -1 if not easy else int(any(easy))
            lines.append(f"{image} {flag:2d}")
        tree.text(f"{home}/{name}_{split}.txt", lines)


def _images(tree: Tree, year: int, part: str, side: str, names: list[str], segmented: bool) -> dict[str, Scene]:
    """Writes pictures and XML of one part."""
    random = generator(f"voc{year}", part)
    dealer = Dealer(side, random)
    scenes = {}
    for index, name in enumerate(names):
        scene = scenes[name] = _scene(random, dealer, index)
        tree.image(f"VOCdevkit/VOC{year}/JPEGImages/{name}.jpg", scene, side)
        tree.text(f"VOCdevkit/VOC{year}/Annotations/{name}.xml", xml(year, name, scene, segmented))
    return scenes


def write_voc2007(tree: Tree, trainval: int = 240, test: int = 120) -> None:
    """``VOCdevkit/VOC2007``: JPEGImages, Annotations, ImageSets/Main."""
    names = [f"{number:06d}" for number in range(1, trainval + test + 1)]
    learned = _images(tree, 2007, "trainval", "train", names[:trainval], segmented=False)
    tested = _images(tree, 2007, "test", "test", names[trainval:], segmented=False)
    half = trainval // 2
    parts = {
        "train": dict(list(learned.items())[:half]),
        "val": dict(list(learned.items())[half:]),
        "trainval": learned,
        "test": tested,
    }
    for split, scenes in parts.items():
        _class_lists(tree, 2007, split, scenes)


def write_voc2012(tree: Tree, train: int = 60, aug: int = 60, val: int = 60) -> None:
    """``VOCdevkit/VOC2012``: as VOC2007, and SegmentationClass, SegmentationClassAug, ImageSets/Segmentation."""
    home = "VOCdevkit/VOC2012"
    parts = {
        split: _images(
            tree, 2012, split, side, [f"{year}_{n:06d}" for n in range(1, count + 1)], segmented=split != "aug"
        )
        for split, side, year, count in (
            ("train", "train", 2008, train),
            ("aug", "train", 2009, aug),
            ("val", "test", 2007, val),
        )
    }
    colours = palette()
    for split, scenes in parts.items():
        for name, scene in scenes.items():
            if split != "aug":
                tree.mask(f"{home}/SegmentationClass/{name}.png", class_map(scene, ring=True), colours)
            tree.mask(f"{home}/SegmentationClassAug/{name}.png", class_map(scene, ring=False), colours)
        tree.text(f"{home}/ImageSets/Segmentation/{split}.txt", list(scenes))
    segmented = sorted({**parts["train"], **parts["val"]})
    tree.text(f"{home}/ImageSets/Segmentation/trainval.txt", segmented)
    _class_lists(tree, 2012, "train", parts["train"])
    _class_lists(tree, 2012, "val", parts["aug"])
    _class_lists(tree, 2012, "trainval", {**parts["train"], **parts["aug"]})
