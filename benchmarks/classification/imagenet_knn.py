"""ImageNet classification by weighted nearest neighbours on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.base import Benchmark, FeatureRequest, JobContext, Outcome, PixelPipeline, Resources
from benchmarks.probes.checks import require_at_least, require_unchanged
from benchmarks.protocol import Field, Protocol, Variant
from results.errors import HarnessError, did_you_mean
from results.record import Column, MetricValue

_TOOLS = "mmselfsup 0.x tools/benchmarks/classification/knn_imagenet/test_knn.py"
_CONFIG = "mmselfsup 0.x configs/benchmarks/classification/knn_imagenet.py"
_CLASSIFIER = "mmselfsup 0.x mmselfsup/models/utils/knn_classifier.py"

_RESIZED_BY = {"PIL": "bilinear", "OpenCV": "opencv-bilinear"}
"""Interpolation of the pixel pipeline by the field ``resize``."""

_UNCHANGEABLE = ("interpolation", "pooling", "bank_augmentation", "similarity", "vote", "classes")

TOP = 5


class ImagenetKnn(Benchmark):
    """Top-1 and top-5 of the k nearest training images, for every k of the list."""

    name = "imagenet_knn"
    title = "ImageNet kNN"
    group = "classification"
    data = "imagenet"
    version = 1
    random = False
    table: ClassVar[Mapping[str, Field]] = {
        "classes": Field(1000, "Russakovsky et al. 2015, arXiv:1409.0575"),
        "short_edge": Field(256, _CONFIG),
        "crop": Field(224, f"{_CONFIG}: centre crop"),
        "resize": Field("PIL", f"{_CONFIG}: torchvision transforms on PIL images"),
        "interpolation": Field("bilinear", f"{_CONFIG}: torchvision's default"),
        "layer": Field("feature5", f"{_TOOLS}: the backbone's last feature map"),
        "pooling": Field("global_average", f"{_TOOLS}: adaptive average pooling to 1x1"),
        "bank_augmentation": Field("none", f"{_CONFIG}: the training images pass the test pipeline"),
        "similarity": Field("cosine", f"{_TOOLS}: rows normalised by torch, eps 1e-12"),
        "k": Field((10, 20, 100, 200), f"{_TOOLS}: --num-knn"),
        "temperature": Field(0.07, f"{_TOOLS}: --temperature; Wu et al. 2018, arXiv:1805.01978"),
        "vote": Field("exp(similarity / temperature)", _CLASSIFIER),
    }
    smoke: ClassVar[Mapping[str, Any]] = {"short_edge": 64, "crop": 56, "k": (10, 20)}
    variants: ClassVar[Mapping[str, Variant]] = {
        "1x": Variant(
            "mmselfsup 1.x configs/benchmarks/classification/knn_imagenet.py: ResizeEdge names no backend, so mmcv's, "
            "OpenCV, is taken",
            {"resize": "OpenCV"},
        )
    }

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        return (
            *(Column(f"knn_k{k}", f"k={k}", 1) for k in protocol["k"]),
            *(Column(f"knn_k{k}_top5", f"k={k} top-5", 1, "hidden") for k in protocol["k"]),
        )

    def resources(self, protocol: Protocol) -> Resources:
        return Resources(gpus=1, hours=0.2)

    def feature_request(self, protocol: Protocol) -> FeatureRequest:
        self.check(protocol)
        return feature_request(self.data, protocol)

    def check(self, protocol: Protocol) -> None:
        check_neighbours(protocol, self.table)

    def run(self, context: JobContext) -> Outcome:
        self.check(context.protocol)
        return nearest_neighbours(context, self.data)


def check_neighbours(protocol: Protocol, table: Mapping[str, Field]) -> None:
    """Refuses what the neighbours could not follow.

    Args:
        protocol: The protocol, with the fields of ``imagenet_knn``.
        table: That of its benchmark.

    Raises:
        HarnessError: A value is not possible.
    """
    require_unchanged(protocol, table, [name for name in _UNCHANGEABLE if name in table])
    require_at_least(protocol, {"k": 1, "temperature": 0})
    if protocol["resize"] not in _RESIZED_BY:
        raise HarnessError(
            f"{protocol.name} knows no resize '{protocol['resize']}'",
            f"{protocol.name}.resize",
            did_you_mean(str(protocol["resize"]), _RESIZED_BY),
        )


def feature_request(data: str, protocol: Protocol) -> FeatureRequest:
    """The features among which neighbours are found.

    Args:
        data: Name of a data set with the splits ``train`` (the bank) and ``val`` (the queries).
        protocol: The protocol, with the fields of ``imagenet_knn``.

    Raises:
        HarnessError: Pixels or layers that cannot be extracted.
    """
    from benchmarks.probes.features import check_request

    interpolation = _RESIZED_BY[protocol["resize"]]
    pixels = PixelPipeline(protocol["short_edge"], crop=protocol["crop"], interpolation=interpolation)
    request = FeatureRequest(data, ("train", "val"), pixels, (protocol["layer"],), protocol["pooling"])
    check_request(request)
    return request


def nearest_neighbours(context: JobContext, data: str) -> Outcome:
    """Lets the nearest images of ``train`` vote on each of ``val``.

    Args:
        context: The job, with the features of :func:`feature_request`.
        data: Name of the data set.

    Returns:
        ``knn_k<k>`` and ``knn_k<k>_top5`` for every k of the protocol; blank where the bank is smaller than k.

    Raises:
        HarnessError: Features that are not there or do not belong to the images.
    """
    import torch

    from benchmarks.probes.knn import accuracy, knn_predictions, normalise_rows_
    from benchmarks.probes.labelled import labelled_features
    from benchmarks.probes.parallel import torch_threads

    protocol = context.protocol
    bank, train = labelled_features(context, data, "train", protocol["layer"])
    queries, val = labelled_features(context, data, "val", protocol["layer"])
    labels = torch.from_numpy(val.labels.astype("int64"))
    possible = [k for k in protocol["k"] if k <= len(bank)]
    with torch_threads(context.threads):
        predictions = knn_predictions(
            normalise_rows_(torch.from_numpy(bank).to(context.device)),
            torch.from_numpy(train.labels.astype("int64")),
            normalise_rows_(torch.from_numpy(queries)),
            possible,
            protocol["temperature"],
            len(train.classes),
            TOP,
        )
    metrics: dict[str, MetricValue] = {}
    for k in protocol["k"]:
        if k not in predictions:
            missing = MetricValue(None, note=f"the bank has {len(bank)} images, fewer than k={k}")
            metrics[f"knn_k{k}"] = metrics[f"knn_k{k}_top5"] = missing
            continue
        metrics[f"knn_k{k}"] = MetricValue(accuracy(predictions[k], labels, 1))
        metrics[f"knn_k{k}_top5"] = MetricValue(accuracy(predictions[k], labels, TOP))
    return Outcome(metrics, {"bank": len(bank), "queries": len(queries), "dimension": bank.shape[1]})
