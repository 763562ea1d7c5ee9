"""Digits composited over photographs, with the mask and box of each from its own pixels."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.datasets.sample import digits

BACKGROUND_LIGHT = 0.35
INK_FROM, INK_TO = 170, 255
MASK_ALPHA = 0.5
"""A pixel belongs to the digit where its ink covers at least half of it."""
VISIBLE_PIXELS = 12
"""An object with fewer visible pixels is no object: neither box nor mask would mean anything."""


@dataclasses.dataclass(frozen=True)
class Placement:
    """One digit in a scene.

    Args:
        sample: Index of the handwritten digit.
        left: Left edge of its square, in pixels.
        top: Upper edge.
        size: Side of the square.
        difficult: Whether annotations call the object difficult.
    """

    sample: int
    left: int
    top: int
    size: int
    difficult: bool = False


@dataclasses.dataclass(frozen=True)
class Thing:
    """A digit as it is seen.

    Args:
        digit: 0 to 9.
        mask: Its visible pixels, bool [height, width].
        box: left, top, right, bottom of the mask in pixels; right and bottom lie just outside.
        difficult: As placed.
    """

    digit: int
    mask: npt.NDArray[np.bool_]
    box: tuple[int, int, int, int]
    difficult: bool


@dataclasses.dataclass(frozen=True)
class Scene:
    """An image with its objects.

    Args:
        pixels: uint8 RGB [height, width, 3].
        things: Visible objects in the order of their placements.
        samples: Handwritten digits that are in the image, visible or not.
    """

    pixels: npt.NDArray[np.uint8]
    things: tuple[Thing, ...]
    samples: tuple[int, ...]


@functools.cache
def photographs() -> tuple[npt.NDArray[np.uint8], ...]:
    """scikit-learn's two sample photographs, uint8 RGB [427, 640, 3]."""
    from sklearn.datasets import load_sample_images

    return tuple(np.asarray(image, dtype=np.uint8) for image in load_sample_images().images)


def background(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float32]:
    """A darkened crop of one of the photographs, float32 [height, width, 3] from 0 to 255."""
    photograph = photographs()[int(random.integers(len(photographs())))]
    top = int(random.integers(photograph.shape[0] - height + 1))
    left = int(random.integers(photograph.shape[1] - width + 1))
    crop: npt.NDArray[np.float32] = photograph[top : top + height, left : left + width].astype(np.float32)
    return crop * np.float32(BACKGROUND_LIGHT)


def glyph(sample: int, size: int) -> npt.NDArray[np.float32]:
    """How much ink covers each pixel of a digit drawn ``size`` pixels large, float32 [size, size] from 0 to 1."""
    from PIL import Image

    ink = Image.fromarray(digits.load()[0][sample])
    large = np.asarray(ink.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    # Strokes of the 8x8 scans are soft; the steeper edge makes them solid, as a pen's are.
    return np.clip((large - 0.2) / 0.4, 0, 1).astype(np.float32)


def compose(random: np.random.Generator, height: int, width: int, placements: Sequence[Placement]) -> Scene:
    """Draws digits over a random background, later ones over earlier ones.

    Args:
        random: Chooses the background and the brightness of each digit.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        placements: Where each digit stands; wholly inside the image.
    """
    canvas = background(random, height, width)
    owner = np.full((height, width), -1)
    for index, place in enumerate(placements):
        window = np.s_[place.top : place.top + place.size, place.left : place.left + place.size]
        alpha = glyph(place.sample, place.size)
        ink = random.integers(INK_FROM, INK_TO + 1, size=3).astype(np.float32)
        canvas[window] += alpha[..., None] * (ink - canvas[window])
        owner[window][alpha >= MASK_ALPHA] = index
    shown = digits.load()[1]
    things = []
    for index, place in enumerate(placements):
        mask = owner == index
        if np.count_nonzero(mask) >= VISIBLE_PIXELS:
            things.append(Thing(int(shown[place.sample]), mask, box_of(mask), place.difficult))
    pixels = np.rint(canvas).clip(0, 255).astype(np.uint8)
    return Scene(pixels, tuple(things), tuple(place.sample for place in placements))


def box_of(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the pixels that are set; right and bottom lie just outside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def in_cell(
    random: np.random.Generator, sample: int, cell: tuple[int, int, int, int], size: int, difficult: bool = False
) -> Placement:
    """Places a digit of ``size`` pixels at random within a cell (left, top, width, height) that holds it."""
    left, top, width, height = cell
    return Placement(
        sample,
        left + int(random.integers(width - size + 1)),
        top + int(random.integers(height - size + 1)),
        size,
        difficult,
    )
