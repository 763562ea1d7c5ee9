"""The order of a page: groups, and in them one section a benchmark. A new benchmark needs one more entry here, or an
entry point of a package.

What stands in a section's tables comes from the records (:class:`results.record.Column`): ``table`` is empty for
the section's main table, a heading for a further one below it, and :data:`HIDDEN` for a metric that is kept in
``results.csv`` and shown on no page (top-5 beside top-1). Neighbouring sections of one heading share it.
"""

from __future__ import annotations

import dataclasses
import functools

from results.errors import HarnessError, did_you_mean
from results.plugins import plugins

ENTRY_POINT_GROUP = "harness.sections"
"""Entry points of this group name a :class:`Section`."""

HIDDEN = "hidden"
"""``Column.table`` of a metric that no page shows."""


@dataclasses.dataclass(frozen=True)
class Group:
    """A heading over several benchmarks.

    Args:
        name: As sections refer to it.
        heading: Third-level heading.
        remark: What holds for all its benchmarks.
    """

    name: str
    heading: str
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """Where and how one benchmark is shown.

    Args:
        benchmark: Its name in records.
        group: Name of its :class:`Group`.
        heading: Fourth-level heading.
        data: Name of its data set in the group's introduction.
        intro: Paragraphs above its tables, in markdown.
        details: Entries of ``Record.details`` that are columns of the main table, left of the metrics: name and
            title.
    """

    benchmark: str
    group: str
    heading: str
    data: str
    intro: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()


OTHER = Group("other", "Other benchmarks")
"""Takes the benchmarks that no section names, such as those of an installed package."""

GROUPS = (
    Group("classification", "Classification", "Where nothing else is said, results are top-1 accuracy in percent."),
    Group("detection", "Detection", "The protocols are those of MoCo. Results are in percent."),
    Group("segmentation", "Segmentation", "The protocols are those of MMSegmentation. Results are in percent."),
    OTHER,
)

_MULTI_HEAD = (
    "**Feature1** is the stem of the ResNet, **Feature2** to **Feature5** are its four stages. Instead of global "
    "average pooling, each feature map is pooled to a small grid; a linear layer classifies the flattened grid. The "
    "backbone is frozen.",
)

SECTIONS = (
    Section(
        "voc07_svm",
        "classification",
        "VOC SVM / Low-shot SVM",
        "VOC",
        (
            "**Best Layer** is the layer whose feature map gives the SVM its highest test mAP: **feature1** is the "
            "stem of the ResNet, **feature2** to **feature5** are its four stages. **SVM** is the mAP of that layer, "
            "in percent.",
            "Low-shot SVM is trained on the same layer, with k positive images of each class (columns k=...). The "
            "layer and, for each k, the cost are those with the best mean **test** mAP, as in the published tables: "
            "these numbers are optimistic.",
        ),
        (("best_layer", "Best Layer"),),
    ),
    Section("imagenet_mhead", "classification", "ImageNet Linear Evaluation", "ImageNet", _MULTI_HEAD),
    Section(
        "imagenet_linear",
        "classification",
        "ImageNet Linear Evaluation",
        "ImageNet",
        ("**Linear Eval** is one linear layer on the globally average-pooled features of the frozen backbone.",),
    ),
    Section("places205_mhead", "classification", "Places205 Linear Evaluation", "Places205", _MULTI_HEAD),
    Section(
        "inaturalist2018_mhead", "classification", "iNaturalist2018 Linear Evaluation", "iNaturalist2018", _MULTI_HEAD
    ),
    Section(
        "imagenet_knn",
        "classification",
        "ImageNet Nearest-Neighbor Classification",
        "ImageNet",
        ("The features are taken after global average pooling. k is the number of nearest neighbours that vote.",),
    ),
    Section(
        "folder",
        "classification",
        "Folder of Images",
        "a folder of images",
        (
            "**Linear Eval** is one linear layer on the globally average-pooled features of the frozen backbone, "
            "**k=...** the vote of the k nearest training images on the same features.",
        ),
    ),
    Section("voc0712_faster_rcnn", "detection", "Pascal VOC 2007 + 2012", "Pascal VOC 2007 + 2012"),
    Section("coco_mask_rcnn", "detection", "COCO2017", "COCO2017"),
    Section("voc12aug_fcn", "segmentation", "Pascal VOC 2012 + Aug", "Pascal VOC 2012 + Aug"),
    Section("cityscapes_fcn", "segmentation", "Cityscapes", "Cityscapes"),
)
"""Every section of the suite in page order."""


@functools.cache
def all_sections() -> tuple[Section, ...]:
    """Every section in page order; those of installed packages come last in their groups.

    Raises:
        HarnessError: An entry point is no section, is of an unknown group, or of a benchmark that has one.
    """
    found = {section.benchmark: section for section in SECTIONS}
    groups = [group.name for group in GROUPS]
    for name, section in plugins(ENTRY_POINT_GROUP, Section).items():
        where = f"entry point {name} of group {ENTRY_POINT_GROUP}"
        if section.group not in groups:
            raise HarnessError(f"pages have no group '{section.group}'", where, did_you_mean(section.group, groups))
        if section.benchmark in found:
            raise HarnessError(
                f"two sections are of the benchmark '{section.benchmark}'", where, "uninstall the package of one"
            )
        found[section.benchmark] = section
    return tuple(found.values())
