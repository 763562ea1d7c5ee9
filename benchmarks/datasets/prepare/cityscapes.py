"""Cityscapes: label maps with the 34 published ids become maps with the 19 ids that are trained and evaluated.

The archive's ``*_labelIds.png`` are the polygons drawn with ids. Cityscapes' own script draws the same polygons with
train ids (``cityscapesscripts/preparation/createTrainIdLabelImgs.py``), which gives the same maps as replacing each id.
"""

from __future__ import annotations

import io

import numpy as np

from benchmarks.datasets.prepare.recipe import Recipe, Rule
from results.errors import HarnessError

EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Ids whose train ids are 0 to 18, in this order (``cityscapesscripts/helpers/labels.py``); all others are void."""
LAST_ID = 33
VOID = 255


def to_train_ids(content: bytes, where: str) -> bytes:
    """Replaces ids by train ids.

    Args:
        content: A PNG of 8 bits, shape [height, width].
        where: Its place, for messages.

    Raises:
        HarnessError: No such PNG, or an id that Cityscapes has not.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            ids = np.asarray(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise HarnessError(f"cannot be decoded ({error})", where, "take the official archive again") from error
    if ids.ndim != 2 or ids.dtype != np.uint8 or int(ids.max()) > LAST_ID:
        raise HarnessError("is no map of the ids 0 to 33", where, "take gtFine_trainvaltest.zip")
    table = np.full(256, VOID, dtype=np.uint8)
    table[list(EVALUATED)] = np.arange(len(EVALUATED), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(table[ids]).save(out, "PNG")
    return out.getvalue()


CITYSCAPES = Recipe(
    archives=("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"),
    rules=(
        Rule(
            r"leftImg8bit/(train|val)/([^/]+)/([^/.][^/]*_leftImg8bit\.png)",
            r"cityscapes/leftImg8bit/\1/\2/\3",
        ),
        Rule(
            r"gtFine/(train|val)/([^/]+)/([^/.][^/]*_gtFine)_labelIds\.png",
            r"cityscapes/gtFine/\1/\2/\3_labelTrainIds.png",
            "convert",
            to_train_ids,
        ),
        Rule(r"gtFine/(train|val)/([^/]+)/([^/.][^/]*_gtFine_labelTrainIds\.png)", r"cityscapes/gtFine/\1/\2/\3"),
    ),
)
