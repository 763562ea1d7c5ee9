"""The data sets of the suite: their official counts and where their splits lie below the data root.

Layouts are those that the configs of mmselfsup, mmdetection and mmsegmentation expect below ``data/``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from results.errors import HarnessError, did_you_mean

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 classes of Pascal VOC, alphabetically, as its development kit orders them."""

CITYSCAPES_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The 19 classes that Cityscapes evaluates, by trainId (``cityscapesscripts/helpers/labels.py``)."""


@dataclasses.dataclass(frozen=True)
class Split:
    """Where one split of a data set lies; all paths are relative to the data root.

    Args:
        kind: What lists the images: ``labels`` (lines ``name label``), ``names`` (one image name a line), ``coco``
            (a COCO json), or nothing: ``cityscapes`` and ``folder`` (what lies in the folder).
        listing: The list, json or folder.
        image: Image of an entry; ``{}`` stands for the entry.
        annotation: XML file or mask of an entry, likewise; empty where there is none.
        class_lists: VOC's list of a class, ``{}`` standing for the class; empty where there is none.
    """

    kind: str
    listing: str
    image: str
    annotation: str = ""
    class_lists: str = ""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """One data set of the suite.

    Args:
        name: Its name in benchmarks, records and on the command line.
        title: Its name on a page.
        splits: Names of its splits.
        official: Images of each split, and ``classes``, as published.
        where: Where each split lies.
    """

    name: str
    title: str
    splits: tuple[str, ...]
    official: Mapping[str, int]
    where: Mapping[str, Split] = dataclasses.field(repr=False)

    @property
    def counted(self) -> tuple[str, ...]:
        """What is counted: images of each split, and ``classes``."""
        return (*self.splits, "classes")

    @property
    def assumed(self) -> Mapping[str, int]:
        """Counts where the data is not at hand: the official ones, or else some of a size that people have."""
        return self.official or {**dict.fromkeys(self.splits, 10_000), "classes": 10}


def _voc(year: int, part: str, split: str, annotation: str = "", class_lists: bool = False) -> Split:
    home = f"VOCdevkit/VOC{year}"
    return Split(
        "names",
        f"{home}/ImageSets/{part}/{split}.txt",
        f"{home}/JPEGImages/{{}}.jpg",
        f"{home}/{annotation}" if annotation else "",
        f"{home}/ImageSets/Main/{{}}_{split}.txt" if class_lists else "",
    )


def _coco(split: str) -> Split:
    return Split("coco", f"coco/annotations/instances_{split}2017.json", f"coco/{split}2017/{{}}")


def _cityscapes(split: str) -> Split:
    return Split(
        "cityscapes",
        f"cityscapes/leftImg8bit/{split}",
        f"cityscapes/leftImg8bit/{split}/{{}}_leftImg8bit.png",
        f"cityscapes/gtFine/{split}/{{}}_gtFine_labelTrainIds.png",
    )


def _data_set(name: str, title: str, classes: int, splits: Mapping[str, tuple[int, Split]]) -> DataSet:
    counts = {split: count for split, (count, _) in splits.items()}
    where = MappingProxyType({split: place for split, (_, place) in splits.items()})
    return DataSet(name, title, tuple(splits), MappingProxyType({**counts, "classes": classes}), where)


_PLACES = "Places205/data/vision/torralba/deeplearning/images256/{}"
_PLACES_LISTS = "Places205/trainvalsplit_places205"
_INATURALIST = "iNaturalist2018/train_val2018/{}"

# Counts: the data sets' own pages and papers (ILSVRC 2012; Places205; iNaturalist 2018 competition; VOC 2007 and 2012
# development kits; SBD as merged by mmsegmentation's tools/dataset_converters/voc_aug.py; COCO 2017; Cityscapes fine).
DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        data.name: data
        for data in (
            _data_set(
                "imagenet",
                "ImageNet-1k",
                1000,
                {
                    "train": (1_281_167, Split("labels", "imagenet/meta/train.txt", "imagenet/train/{}")),
                    "val": (50_000, Split("labels", "imagenet/meta/val.txt", "imagenet/val/{}")),
                },
            ),
            _data_set(
                "places205",
                "Places205",
                205,
                {
                    "train": (2_448_873, Split("labels", f"{_PLACES_LISTS}/train_places205.csv", _PLACES)),
                    "val": (20_500, Split("labels", f"{_PLACES_LISTS}/val_places205.csv", _PLACES)),
                },
            ),
            _data_set(
                "inaturalist2018",
                "iNaturalist 2018",
                8142,
                {
                    "train": (437_513, Split("labels", "iNaturalist2018/meta/train.txt", _INATURALIST)),
                    "val": (24_426, Split("labels", "iNaturalist2018/meta/val.txt", _INATURALIST)),
                },
            ),
            _data_set(
                "voc07_classification",
                "VOC2007 classification",
                20,
                {
                    "trainval": (5011, _voc(2007, "Main", "trainval", class_lists=True)),
                    "test": (4952, _voc(2007, "Main", "test", class_lists=True)),
                },
            ),
            _data_set(
                "voc0712_detection",
                "VOC2007+2012 detection",
                20,
                {
                    "voc07_trainval": (5011, _voc(2007, "Main", "trainval", "Annotations/{}.xml", True)),
                    "voc12_trainval": (11_540, _voc(2012, "Main", "trainval", "Annotations/{}.xml")),
                    "voc07_test": (4952, _voc(2007, "Main", "test", "Annotations/{}.xml", True)),
                },
            ),
            _data_set("coco", "COCO 2017", 80, {"train": (118_287, _coco("train")), "val": (5000, _coco("val"))}),
            _data_set(
                "voc12aug_segmentation",
                "VOC2012+SBD segmentation",
                21,
                {
                    "train": (1464, _voc(2012, "Segmentation", "train", "SegmentationClass/{}.png")),
                    "aug": (9118, _voc(2012, "Segmentation", "aug", "SegmentationClassAug/{}.png")),
                    "val": (1449, _voc(2012, "Segmentation", "val", "SegmentationClass/{}.png")),
                },
            ),
            _data_set(
                "cityscapes",
                "Cityscapes",
                19,
                {"train": (2975, _cityscapes("train")), "val": (500, _cityscapes("val"))},
            ),
        )
    }
)
"""Every data set of the suite by name."""

FOLDER = DataSet(
    "folder",
    "Folder of images",
    ("train", "val"),
    MappingProxyType({}),
    MappingProxyType({split: Split("folder", split, "{}") for split in ("train", "val")}),
)
"""Anybody's own images (:mod:`benchmarks.datasets.folder`), which have no official counts."""


def data_set(name: str) -> DataSet:
    """Looks a data set up.

    Raises:
        HarnessError: There is none of that name.
    """
    known = {**DATA_SETS, FOLDER.name: FOLDER}
    if name not in known:
        raise HarnessError(f"unknown data set '{name}'", "", did_you_mean(name, known))
    return known[name]
