"""Masks as COCO writes them: polygons along the edges of pixels, and run lengths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def polygons(mask: Mask) -> list[list[float]]:
    """Polygons whose union is exactly the mask.

    COCO's polygons cannot have holes, so a part with a hole (the digit 0) is cut in two through it.

    Args:
        mask: bool [height, width].

    Returns:
        For each part x0, y0, x1, y1, ... in pixels; corners lie on the edges of pixels, as whole numbers.
    """
    return [_outline(part) for part in _solid_parts(mask)]


def _labelled(mask: Mask, connectivity: int) -> tuple[int, npt.NDArray[np.int32]]:
    """Connected regions of the pixels that are set: how many, and the number of each pixel's, from 1."""
    import cv2

    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)
    return count - 1, np.asarray(labels, dtype=np.int32)


def _solid_parts(mask: Mask) -> Iterator[Mask]:
    """Connected parts without holes (neighbours share an edge)."""
    count, labels = _labelled(mask, 4)
    for number in range(1, count + 1):
        part = labels == number
        # Around parts that connect by edges, the outside connects by corners too. The pad joins it to one region.
        _, outside = _labelled(np.pad(~part, 1, constant_values=True), 8)
        holes = outside[1:-1, 1:-1] > outside[0, 0]
        if not holes.any():
            yield part
            continue
        cut = int(np.flatnonzero(holes.any(axis=0))[0]) + 1
        left, right = part.copy(), part.copy()
        left[:, cut:] = False
        right[:, :cut] = False
        yield from _solid_parts(left)
        yield from _solid_parts(right)


def _outline(part: Mask) -> list[float]:
    """The corners of a connected part without holes, clockwise as seen on the screen."""
    padded = np.pad(part, 1)
    inside = padded[1:-1, 1:-1]
    follows: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def edges(cells: Mask, start: tuple[int, int], end: tuple[int, int]) -> None:
        for row, column in np.argwhere(cells).tolist():
            follows.setdefault((column + start[0], row + start[1]), []).append((column + end[0], row + end[1]))

    edges(inside & ~padded[:-2, 1:-1], (0, 0), (1, 0))
    edges(inside & ~padded[1:-1, 2:], (1, 0), (1, 1))
    edges(inside & ~padded[2:, 1:-1], (1, 1), (0, 1))
    edges(inside & ~padded[1:-1, :-2], (0, 1), (0, 0))
    first = min(follows)
    corners = [first]
    point, step = follows[first].pop(), (0, 0)
    previous = first
    while True:
        heading = (point[0] - previous[0], point[1] - previous[1])
        if heading != step and step != (0, 0):
            corners.append(previous)
        step, previous = heading, point
        if point == first and not follows[point]:
            break
        # Where two pixels touch at a corner only, turn right: round the same pixel, not over to the other.
        right = (-step[1], step[0])
        choices = follows[point]
        turn = (point[0] + right[0], point[1] + right[1])
        point = choices.pop(choices.index(turn) if turn in choices else 0)
    return [float(value) for corner in corners for value in corner]


def run_lengths(mask: Mask) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths: down the columns, beginning with the pixels that are not set."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    bounds = [0, *changes.tolist(), flat.size]
    counts = np.diff(bounds).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}
