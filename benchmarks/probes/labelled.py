"""A job's features joined with the labels of their images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.base import JobContext
from results.errors import HarnessError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from benchmarks.datasets.layout import LabelledImages


def labelled_features(
    context: JobContext, data: str, split: str, layer: str
) -> tuple[npt.NDArray[np.float32], LabelledImages]:
    """Reads the features of a split and its list.

    Returns:
        Features float32 [n, dimension] and the n images with their labels, in the same order.

    Raises:
        HarnessError: No features, damaged ones, or another number of them than the list has images.
    """
    from benchmarks.datasets.layout import read_split
    from benchmarks.probes.feature_store import load

    if context.features is None:
        raise HarnessError(
            f"{context.protocol.name} was started without features", "", "start it with `python -m harness run`"
        )
    images = read_split(data, context.data_root, split)
    features = load(context.features, split, layer)
    if len(features) != len(images.paths):
        raise HarnessError(
            f"{len(features)} features for the {len(images.paths)} images that {data} {split} lists",
            str(context.features),
            "the lists changed since: run the same command again, it plans anew",
        )
    return features, images
