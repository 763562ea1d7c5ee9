"""How much a run will write."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.base import Benchmark, FeatureRequest
from benchmarks.catalogue import Choice
from benchmarks.datasets.official import data_set
from benchmarks.pooling import GRID_POOLS
from benchmarks.protocol import Protocol
from harness.doctor.data import counts_of
from harness.settings import Settings
from results.errors import HarnessError

FLOAT = 4
"""Bytes of a float32, in which features and checkpoints are kept."""

BACKBONE_PARAMETERS = 25_600_000
"""A ResNet-50 without its classifier has 23.5 million parameters (He et al. 2016), with it 25.6 million."""

TRAINED_PARAMETERS: Mapping[str, int] = types.MappingProxyType(
    {
        # Counted on the networks that the full protocols are built into: 33.2, 45.7, 49.5 and 49.5 million. Variants
        # have less.
        "voc0712_faster_rcnn": 34_000_000,
        "coco_mask_rcnn": 46_000_000,
        "voc12aug_fcn": 50_000_000,
        "cityscapes_fcn": 50_000_000,
    }
)
"""Parameters of what is trained as a whole, by benchmark."""

KEPT_CHECKPOINTS = 2
"""``max_keep_ckpts`` of benchmarks.toolbox.config.use_hooks; one more lies there while it is being written."""

ATTEMPT_BYTES = 20 * 1024**2
"""Logs, a proof picture, evaluations and submitit's files of an attempt."""


@dataclasses.dataclass(frozen=True)
class Need:
    """What a run will write.

    Args:
        size: Bytes, at most.
        parts: Bytes by what is written, for people.
    """

    size: int
    parts: Mapping[str, int]


def need_of(choices: Sequence[Choice], settings: Settings) -> Need:
    """What a run will write, roughly and rather too much; what is finished already is not taken off.

    Args:
        choices: Benchmarks of the suite.
        settings: Of the run.
    """
    checkpoints = max(1, len(settings.ckpt))
    parts: dict[str, int] = {"backbones": checkpoints * BACKBONE_PARAMETERS * FLOAT}
    seen: list[FeatureRequest] = []
    for choice in choices:
        benchmark = choice.benchmark
        protocol = benchmark.protocol(choice.variant, settings.profile)
        request = benchmark.feature_request(protocol)
        if request is not None and request not in seen:
            seen.append(request)
            size = feature_bytes(request, settings.data.absolute())
            # An extraction that was broken off leaves nothing; one that is published needs its size once.
            parts["features"] = parts.get("features", 0) + checkpoints * size
        seeds = settings.seeds if benchmark.random else 1
        parts[protocol.name] = checkpoints * seeds * job_bytes(benchmark, protocol, settings.data.absolute())
    return Need(sum(parts.values()), parts)


def feature_bytes(request: FeatureRequest, root: Path) -> int:
    """Bytes of a set of features: images x numbers of each layer x 4 (benchmarks.probes.feature_store).

    Args:
        request: Which features.
        root: The data root; where its lists cannot be read, the official counts are taken.
    """
    counts = _counts(request.data, root)
    images = sum(counts[split] for split in request.splits)
    pools = [GRID_POOLS[layer] for layer in request.layers]
    numbers = sum(pool.dimension if request.pooling == "grid" else pool.channels for pool in pools)
    return images * numbers * FLOAT


def _counts(name: str, root: Path) -> Mapping[str, int]:
    try:
        return counts_of(name, root)
    except HarnessError:
        return data_set(name).assumed


def job_bytes(benchmark: Benchmark, protocol: Protocol, root: Path) -> int:
    """Bytes of a job's folder: checkpoints of a training with SGD's momentum (as many numbers as are trained).

    Files of finished jobs had 363 MB (coco_mask_rcnn, estimated 368), 265 MB (voc0712_faster_rcnn, 272) and 98 MB
    (imagenet_mhead of ten classes, 106).
    """
    trained = TRAINED_PARAMETERS.get(benchmark.name)
    if trained is not None:
        one = trained * 2 * FLOAT
    elif "epochs" in protocol.fields:
        # Linear classifiers on a frozen backbone: only their weights have a momentum.
        layers = protocol["layers"] if "layers" in protocol.fields else ()
        inputs = sum(GRID_POOLS[layer].dimension for layer in layers) or GRID_POOLS["feature5"].channels
        one = (BACKBONE_PARAMETERS + inputs * _counts(benchmark.data, root)["classes"] * 2) * FLOAT
    else:
        return ATTEMPT_BYTES
    return (KEPT_CHECKPOINTS + 1) * one + ATTEMPT_BYTES
