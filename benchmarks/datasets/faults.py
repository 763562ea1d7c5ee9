"""What can be wrong with a VOC XML file, a mask or a COCO json. Each fault is a phrase, without the file's name."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from benchmarks.datasets import lists
from results.errors import HarnessError

VOID = 255
"""Label of the pixels that neither training nor evaluation looks at."""
SLACK = 1
"""Pixels by which a box may leave its image: tools differ in whether they count pixels from 0 or from 1."""
FLAT_IN_COCO_2017 = frozenset({200365, 550395})
"""Images of train2017 with one box of height 0 each, as published (cocodataset/cocoapi, issue 355)."""

_OBJECT = re.compile(rb"<object[\s>]")


def decode_size(path: Path) -> tuple[int, int]:
    """Decodes an image to its last row.

    Returns:
        Width and height in pixels, as stored (EXIF orientation not applied).

    Raises:
        HarnessError: It cannot be decoded, or not wholly.
    """
    height, width = _decode(path)[0].shape[:2]
    return int(width), int(height)


def _decode(path: Path) -> tuple[np.ndarray[Any, Any], list[int] | None]:
    """Pixels of an image as PIL stores them, palette images giving the indices, and the palette: red, green, blue..."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Strange EXIF blocks and the like; several images of ImageNet have them.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return np.asarray(image), image.getpalette() if image.mode == "P" else None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        text = str(error).replace(str(path), path.name)
        raise HarnessError(f"cannot be decoded ({text})", str(path), "take the file again") from error


def voc_colour(label: int) -> tuple[int, int, int]:
    """Red, green and blue of a label in VOC's masks: its bits in turn, from the top down (VOClabelcolormap.m)."""
    red = green = blue = 0
    for place in range(8):
        red |= (label & 1) << (7 - place)
        green |= (label >> 1 & 1) << (7 - place)
        blue |= (label >> 2 & 1) << (7 - place)
        label >>= 3
    return red, green, blue


def mask_faults(path: Path, size: tuple[int, int] | None, classes: int, voc: bool = False) -> Iterator[str]:
    """Faults of a label map.

    Args:
        path: The PNG.
        size: Width and height of its image; None where unknown.
        classes: Labels 0 to ``classes`` - 1 and 255 are right; 0 where unknown.
        voc: Whether a palette must be VOC's. Tools that save a mask anew may sort its palette, and with it the labels.
    """
    try:
        labels, palette = _decode(path)
    except HarnessError as error:
        yield error.what
        return
    if labels.ndim != 2:
        yield "is a colour image, not a map of labels"
        return
    if size is not None and labels.shape != (size[1], size[0]):
        yield f"is {labels.shape[1]}x{labels.shape[0]}, its image {size[0]}x{size[1]}"
    # Counting is ten times as quick as sorting, which tells with two million pixels.
    found = np.flatnonzero(np.bincount(labels.ravel())) if labels.dtype == np.uint8 else np.unique(labels)
    wrong = sorted({int(label) for label in found} - {*range(classes), VOID})
    if classes and wrong:
        yield f"has labels that are no class: {', '.join(map(str, wrong[:5]))}"
    elif voc and palette is not None:
        for label in found.tolist():
            colour = tuple(palette[3 * label : 3 * label + 3])
            if colour not in (voc_colour(label), (label, label, label)):
                yield f"has a palette that is not VOC's: label {label} is {colour}, not {voc_colour(label)}"
                return


def xml_faults(path: Path, size: tuple[int, int] | None, classes: tuple[str, ...]) -> Iterator[str]:
    """Faults of a VOC annotation.

    Args:
        path: The XML file.
        size: Width and height of its image; None where unknown.
        classes: Names that objects may have; empty where unknown.
    """
    try:
        content = lists.read_bytes(path)
        tree = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, HarnessError) as error:
        yield f"is not XML ({error})" if not isinstance(error, HarnessError) else error.what
        return
    try:
        width, height = (int(tree.findtext(f"size/{side}") or "") for side in ("width", "height"))
    except ValueError:
        yield "gives no size"
        return
    if size is not None and (width, height) != size:
        yield f"says {width}x{height}, its image is {size[0]}x{size[1]}"
    starts = [match.start() for match in _OBJECT.finditer(content)]
    for number, thing in enumerate(tree.iter("object"), 1):
        line = content.count(b"\n", 0, starts[number - 1]) + 1 if number <= len(starts) else 1
        for fault in _object_faults(thing, width, height, classes):
            yield f"line {line}: object {number} {fault}"


def _object_faults(thing: ElementTree.Element, width: int, height: int, classes: tuple[str, ...]) -> Iterator[str]:
    name = thing.findtext("name") or ""
    if classes and name not in classes:
        yield f"is of an unknown class: {name!r}"
    difficult = (thing.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        yield f"is neither difficult nor not: {thing.findtext('difficult')!r}"
    try:
        box = [float(thing.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        yield "has no box"
        return
    # One pixel by VOC's count, but nothing to a detector, which measures xmax - xmin and takes its logarithm. It leaves
    # difficult objects out.
    if difficult != "1" and (box[0] == box[2] or box[1] == box[3]):
        yield f"has a box of size zero: {box}"
    elif not _inside(box, width, height):
        yield f"has a box outside its image or turned over: {box}"


def _inside(box: list[float], width: int, height: int) -> bool:
    """VOC's last pixel is part of the box: one pixel's box begins and ends at it."""
    left, top, right, bottom = box
    return -SLACK <= left <= right <= width + SLACK and -SLACK <= top <= bottom <= height + SLACK


def coco_faults(path: Path, sizes: Mapping[str, tuple[int, int]], classes: tuple[str, ...]) -> Iterator[str]:
    """Faults of a COCO json.

    Args:
        path: The json.
        sizes: Width and height of its images by file name, as far as they are known.
        classes: Names of the categories in the order of their ids; empty where unknown.
    """
    try:
        raw = json.loads(lists.read_bytes(path))
        images = {one["id"]: (one["file_name"], one["width"], one["height"]) for one in raw["images"]}
        categories = {one["id"]: one["name"] for one in raw["categories"]}
        annotations = list(raw["annotations"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield f"is not a COCO annotation file ({error!r})"
        return
    except HarnessError as error:
        yield error.what
        return
    if len(images) != len(raw["images"]) or len(categories) != len(raw["categories"]):
        yield "gives an id twice"
    names = tuple(categories[one] for one in sorted(categories))
    if classes and names != classes:
        yield f"has {len(names)} categories that are not the {len(classes)} of the validation file"
    for name, width, height in images.values():
        if name in sizes and sizes[name] != (width, height):
            yield f"says that {name} is {width}x{height}; it is {sizes[name][0]}x{sizes[name][1]}"
    seen: set[Any] = set()
    for number, one in enumerate(annotations):
        fault = _coco_fault(one, images, categories, seen)
        if fault:
            yield f"annotation {one.get('id', number) if isinstance(one, dict) else number} {fault}"


def _coco_fault(one: Any, images: Mapping[Any, Any], categories: Mapping[Any, Any], seen: set[Any]) -> str:
    """The first fault of one annotation; empty where there is none."""
    try:
        if one["id"] in seen:
            return "has an id that was used before"
        seen.add(one["id"])
        if one["image_id"] not in images:
            return f"belongs to no image: {one['image_id']}"
        if one["category_id"] not in categories:
            return f"is of no category: {one['category_id']}"
        left, top, width, height = (float(value) for value in one["bbox"])
        if not all(map(math.isfinite, (left, top, width, height))) or width < 0 or height < 0:
            return f"has no proper box: {one['bbox']}"
        # Every toolbox leaves the published ones out.
        if width == 0 or (height == 0 and one["image_id"] not in FLAT_IN_COCO_2017):
            return f"has a box of size zero: {one['bbox']}"
        _, image_width, image_height = images[one["image_id"]]
        return _segmentation_fault(one["segmentation"], image_width, image_height)
    except (KeyError, TypeError, ValueError) as error:
        return f"is incomplete ({error!r})"


def _segmentation_fault(segmentation: Any, width: int, height: int) -> str:
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [height, width]:
            return f"has a mask of another size than its image: {segmentation['size']}"
        counts = segmentation["counts"]
        if isinstance(counts, list) and sum(counts) != height * width:
            return "has a mask whose run lengths do not fill its image"
        return ""
    if not isinstance(segmentation, list) or not segmentation:
        return "has no mask"
    if any(len(polygon) % 2 for polygon in segmentation):
        return "has a polygon with an odd number of coordinates"
    return ""
