"""Images of a split's list, and what becomes of one that cannot be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DATASETS, FUNCTIONS, TRANSFORMS
from mmpretrain.datasets import BaseDataset

from benchmarks.datasets.layout import read_split
from results.errors import HarnessError


@dataclasses.dataclass(frozen=True)
class UnreadableImage:
    """Stands in for a sample, and then for its batch, where an image cannot be read.

    A value and not an exception, because torch rebuilds a worker's exception from the text of its traceback alone.

    Args:
        path: The image file.
        reason: What its decoder says.
    """

    path: str
    reason: str

    def error(self) -> HarnessError:
        """What the user is told."""
        return HarnessError(
            f"an image cannot be read: {self.reason}",
            self.path,
            "put the original file there; `python -m harness data check` finds all that lack",
        )


class Unreadable(Exception):
    """Carries an :class:`UnreadableImage` out of the pipeline, within one process."""

    def __init__(self, image: UnreadableImage) -> None:
        super().__init__(image)
        self.image = image


@TRANSFORMS.register_module()
class ReadImage(LoadImageFromFile):
    """Reading of an image file by mmcv, with an error that can be told from one of another transform."""

    def transform(self, results: dict[str, Any]) -> Any:
        """Adds ``img``, BGR uint8 [h, w, 3], EXIF orientation applied."""
        try:
            return super().transform(results)
        except (OSError, AssertionError, cv2.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no image, or a broken one"
            raise Unreadable(UnreadableImage(str(results["img_path"]), reason)) from error


@DATASETS.register_module()
class ListedImages(BaseDataset):
    """The labelled images of a split, in the order of its list.

    mmpretrain's own ``ImageNet`` insists on 1,000 classes.

    Args:
        data: Name of the data set.
        root: The data root.
        split: Name of the split.
        classes: Number of classes that the heads are built for.
        **options: Arguments of mmpretrain's ``BaseDataset``.
    """

    def __init__(self, data: str, root: str, split: str, classes: int, **options: Any) -> None:
        self._source = (data, Path(root), split)
        self._class_count = classes
        super().__init__(ann_file="", **options)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Path and label of every image.

        Raises:
            HarnessError: A bad list, or a label that no head has an output for.
        """
        data, root, split = self._source
        images = read_split(data, root, split)
        largest = int(images.labels.max())
        if largest >= self._class_count:
            raise HarnessError(
                f"{split} of {data} has label {largest}, but the job was planned for {self._class_count} classes",
                str(root),
                "the lists changed since the job was planned: run the same command again",
            )
        labels = images.labels.tolist()
        return [{"img_path": str(path), "gt_label": label} for path, label in zip(images.paths, labels, strict=True)]


@FUNCTIONS.register_module()
def collate_readable(samples: Sequence[Any], stack: bool = True) -> Any:
    """Collates as mmengine does, or gives the first image that cannot be read.

    Args:
        samples: What the data set gave.
        stack: Whether images of one size become one tensor; else a list.
    """
    for sample in samples:
        if isinstance(sample, UnreadableImage):
            return sample
    return default_collate(samples) if stack else pseudo_collate(samples)
