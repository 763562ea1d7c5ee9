"""Pascal VOC: the development kits as they are, and SBD's annotations as masks with the list of its images.

The layout reads VOC07's labels from the kit's own class lists, so nothing is made for classification and detection.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from benchmarks.datasets import lists
from benchmarks.datasets.official import VOC_CLASSES
from benchmarks.datasets.prepare.place import Placer
from benchmarks.datasets.prepare.recipe import Kept, Recipe, Rule
from results.errors import HarnessError

_VOC07 = ("VOCtrainval_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar")
_VOC12 = "VOCtrainval_11-May-2012.tar"
_SBD = "benchmark.tgz"
_SEGMENTATION = "VOCdevkit/VOC2012/ImageSets/Segmentation"
_MASKS = "VOCdevkit/VOC2012/SegmentationClassAug"


def _kit(years: str) -> Rule:
    """Images, annotations, lists and masks of the kits of some years."""
    folders = r"JPEGImages/[^/.][^/]*\.jpg|Annotations/[^/.][^/]*\.xml|SegmentationClass/[^/.][^/]*\.png"
    return Rule(rf"VOC({years})/({folders}|ImageSets/(?:Main|Segmentation)/[^/.][^/]*\.txt)", r"VOCdevkit/VOC\1/\2")


def to_mask(content: bytes, where: str) -> bytes:
    """An annotation of SBD as PNG of 8 bits, as mmsegmentation's ``voc_aug.py`` writes it.

    Args:
        content: A MATLAB file with ``GTcls.Segmentation``, uint8 of shape [height, width], classes 0 to 20.
        where: Its place, for messages.

    Raises:
        HarnessError: Not such a file.
    """
    from PIL import Image
    from scipy.io import loadmat

    try:
        labels = np.asarray(loadmat(io.BytesIO(content), variable_names=["GTcls"])["GTcls"][0, 0]["Segmentation"])
    except Exception as error:
        # loadmat documents no exceptions and raises whatever its parts do.
        raise HarnessError(
            f"is no annotation of SBD ({repr(error)[:200]})", where, f"take the official {_SBD} again"
        ) from error
    right = labels.ndim == 2 and labels.dtype.kind in "ui" and labels.size > 0
    if not right or int(labels.min()) < 0 or int(labels.max()) > len(VOC_CLASSES):
        raise HarnessError("is no map of the classes 0 to 20", where, f"take the official {_SBD} again")
    out = io.BytesIO()
    Image.fromarray(labels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def _names(path: Path, content: bytes | None = None) -> list[str]:
    """Image names of a list, on disk or as it was in the archive."""
    lines = lists.read_lines(path) if content is None else content.decode("utf-8", "replace").split("\n")
    return [lists.image_name(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _write_aug(placer: Placer, kept: Kept) -> None:
    """``aug.txt``: SBD's images of both its splits that VOC2012's train and val have not, sorted by name."""
    official = {split: placer.root / _SEGMENTATION / f"{split}.txt" for split in ("train", "val")}
    for path in official.values():
        if not path.is_file():
            raise HarnessError(
                f"there is no {path.name} of VOC2012", str(path.parent), f"give {_VOC12} too, with --from"
            )
    if "sbd-train" not in kept or "sbd-val" not in kept:
        if (placer.root / _SEGMENTATION / "aug.txt").is_file():
            return
        raise HarnessError(
            "there are no train.txt and val.txt of SBD, from which aug.txt is made",
            str(placer.root / _SEGMENTATION),
            f"give {_SBD} too, with --from",
        )
    sbd = {name for split in ("train", "val") for name in _names(Path(f"SBD/{split}.txt"), kept[f"sbd-{split}"])}
    names = sorted(sbd - {name for path in official.values() for name in _names(path)})
    lacking = [name for name in names if not (placer.root / _MASKS / f"{name}.png").is_file()]
    if lacking:
        raise HarnessError(
            f"SBD lists {len(lacking):,} images without annotation, the first is {lacking[0]}",
            str(placer.root / _MASKS),
            f"take the official {_SBD} again",
        )
    placer.write_list(f"{_SEGMENTATION}/aug.txt", names, "images")


VOC07_CLASSIFICATION = Recipe(archives=_VOC07, rules=(_kit("2007"),))
VOC0712_DETECTION = Recipe(archives=(*_VOC07, _VOC12), rules=(_kit("2007|2012"),))
VOC12AUG_SEGMENTATION = Recipe(
    archives=(_VOC12, _SBD),
    rules=(
        _kit("2012"),
        Rule(r"VOC2012/SegmentationClassAug/([^/.][^/]*\.png)", rf"{_MASKS}/\1"),
        Rule(r"dataset/cls/([^/.][^/]*)\.mat", rf"{_MASKS}/\1.png", "convert", to_mask),
        Rule(r"dataset/(train|val)\.txt", r"sbd-\1", "keep"),
    ),
    finish=_write_aug,
)
