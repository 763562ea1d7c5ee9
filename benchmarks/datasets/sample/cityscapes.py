"""Cityscapes: images with label, training label and instance maps."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets.sample.digits import CLASSES, Dealer, generator
from benchmarks.datasets.sample.scenes import Scene, compose, in_cell
from benchmarks.datasets.sample.tree import Tree

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22)
"""labelIds of the trainIds 0 to 9, road to terrain (``cityscapesscripts/helpers/labels.py``)."""
WIDTH, HEIGHT = 256, 128
COLUMNS, ROWS = 4, 2
DIGIT = 56
IGNORED = 255


def _scene(random: np.random.Generator, dealer: Dealer, index: int) -> Scene:
    """Eight digits in two rows of four; two of the ten are left out in turn."""
    shown = [digit for digit in range(CLASSES) if digit not in (index % CLASSES, (index + 5) % CLASSES)]
    width, height = WIDTH // COLUMNS, HEIGHT // ROWS
    places = []
    for cell, digit in enumerate(random.permutation(shown).tolist()):
        corner = (cell % COLUMNS * width, cell // COLUMNS * height, width, height)
        places.append(in_cell(random, dealer.deal(digit), corner, DIGIT))
    return compose(random, HEIGHT, WIDTH, places)


def write_cityscapes(tree: Tree, train: int = 24, val: int = 12) -> None:
    """``cityscapes/leftImg8bit/{train,val}/<city>/`` and ``cityscapes/gtFine/{train,val}/<city>/``."""
    for split, side, city, count in (("train", "train", "aachen", train), ("val", "test", "frankfurt", val)):
        random = generator("cityscapes", split)
        dealer = Dealer(side, random)
        for index in range(count):
            scene = _scene(random, dealer, index)
            stem = f"{split}/{city}/{city}_{index:06d}_000019"
            tree.image(f"cityscapes/leftImg8bit/{stem}_leftImg8bit.png", scene, side)
            labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            training = np.full((HEIGHT, WIDTH), IGNORED, dtype=np.uint8)
            for thing in scene.things:
                labels[thing.mask] = LABEL_IDS[thing.digit]
                training[thing.mask] = thing.digit
            tree.mask(f"cityscapes/gtFine/{stem}_gtFine_labelIds.png", labels)
            tree.mask(f"cityscapes/gtFine/{stem}_gtFine_labelTrainIds.png", training)
            # These ten classes have no instances: the instance map repeats their labelIds, in 16 bits.
            tree.mask(f"cityscapes/gtFine/{stem}_gtFine_instanceIds.png", labels.astype(np.uint16))
