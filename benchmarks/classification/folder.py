"""Linear and nearest-neighbour evaluation on anybody's own images, in a folder a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import FeatureRequest, JobContext, Outcome
from benchmarks.classification.imagenet_knn import ImagenetKnn, feature_request, nearest_neighbours
from benchmarks.classification.imagenet_linear import ImagenetLinear
from benchmarks.classification.linear_evaluation import LinearEvaluation
from benchmarks.protocol import Field, Protocol
from results.record import Column, MetricValue

TOP = 5


def _fields() -> dict[str, Field]:
    """Those of ``imagenet_linear@sgd-100e``, which small data can follow, and of ``imagenet_knn``."""
    linear = ImagenetLinear().protocol("sgd-100e").fields
    # Heads are as wide as there are class folders.
    return {name: field for name, field in {**ImagenetKnn.table, **linear}.items() if name != "classes"}


class Folder(LinearEvaluation):
    """Top-1 and top-5 of a linear classifier, and top-1 of the k nearest training images, on one frozen backbone."""

    name: ClassVar[str] = "folder"
    title: ClassVar[str] = "Folder of images"
    data: ClassVar[str] = "folder"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 2
    alone: ClassVar[bool] = True
    table: ClassVar[Mapping[str, Field]] = _fields()
    smoke: ClassVar[Mapping[str, Any]] = {**ImagenetLinear.smoke, "milestones": (2,), "k": (10, 20)}

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """All of them in one table."""
        return (
            Column("top1", "Linear Eval", 1),
            Column("top5", "Top-5", 1),
            *(Column(f"knn_k{k}", f"k={k}", 1) for k in protocol["k"]),
        )

    def evaluated(self, protocol: Protocol) -> Mapping[str, str]:
        """As in ImageNet's."""
        return ImagenetLinear().evaluated(protocol)

    def feature_request(self, protocol: Protocol) -> FeatureRequest:
        """What the neighbours are found among."""
        return feature_request(self.data, protocol)

    def check(self, protocol: Protocol) -> None:
        """Refuses what the classifier or the neighbours could not follow."""
        from benchmarks.classification.imagenet_knn import check_neighbours

        super().check(protocol)
        check_neighbours(protocol, self.table)

    def run(self, context: JobContext) -> Outcome:
        """Trains the classifier, then lets the neighbours vote.

        Raises:
            HarnessError: As :class:`LinearEvaluation`; features that do not belong to the images.
        """
        split = _note_split(context)
        linear = super().run(context)
        if context.world.rank:
            # What the other processes find is not looked at.
            return linear
        nearest = nearest_neighbours(context, self.data)
        metrics = {**linear.metrics, **{name: nearest.metrics[name] for name in nearest.metrics if "top5" not in name}}
        classes = context.data.counts["classes"]
        if classes <= TOP:
            metrics["top5"] = MetricValue(None, note=f"with {classes} classes the true one is always among {TOP}")
        return dataclasses.replace(linear, metrics=metrics, details={**linear.details, **nearest.details, **split})


def _note_split(context: JobContext) -> Mapping[str, Any]:
    """Writes ``split.json`` into the attempt where images were held out, and says which they are made of."""
    from benchmarks.datasets.folder import HELD_OUT, SPLIT_SEED, read_folder
    from results.files import to_json, write_whole

    found = read_folder(context.data_root)
    if not found.is_held_out:
        return {"split": "val/"}
    lists = {split: [path for path, _ in images] for split, images in found.images.items()}
    write_whole(context.attempt / "split.json", to_json({"seed": SPLIT_SEED, **lists}))
    return {"split": f"one in {HELD_OUT} of each class held out, by sha256 of '{SPLIT_SEED}' and the path: split.json"}
