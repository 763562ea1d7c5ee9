"""The record of a job that is finished."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import platform
from collections.abc import Mapping
from typing import Any

from benchmarks.base import Outcome
from benchmarks.catalogue import find_benchmark
from harness import __version__
from harness.job import Job
from harness.ledger import code_revision, now
from results.record import BackboneStamp, Column, Record

RECORDED_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scikit-learn",
    "pycocotools",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmpretrain",
    "onedl-mmdetection",
    "onedl-mmsegmentation",
)


def record_of(
    job: Job, backbone: BackboneStamp, outcome: Outcome, attempt: str, started: str, seconds: float, device: str
) -> Record:
    """Puts together what is known when a job is done.

    Args:
        job: The job.
        backbone: What was measured, or made.
        outcome: What came out.
        attempt: Name of the attempt.
        started: When it began to work, ISO 8601.
        seconds: How long it worked.
        device: Name of the device, for people.

    Raises:
        ValueError: The benchmark left a metric out without giving a reason.
    """
    columns: tuple[Column, ...] = ()
    if job.protocol is not None and not job.pretrains:
        columns = find_benchmark(job.benchmark, "spec.json").columns(job.protocol)
    absent = [column.metric for column in columns if column.metric not in outcome.metrics]
    if absent:
        raise ValueError(f"{job.benchmark} gave no value and no reason for {', '.join(absent)}")
    return Record(
        key=job.key,
        benchmark=job.benchmark,
        protocol=job.stamp(),
        protocol_fields=job.protocol.values() if job.protocol is not None else {},
        backbone=backbone,
        data=job.data,
        seed=job.seed,
        numerics=job.recorded_numerics(),
        metrics=outcome.metrics,
        details=_finite(outcome.details),
        display=columns,
        curves=_finite(outcome.curves),
        started=started,
        finished=now(),
        seconds=round(seconds, 3),
        device=device,
        versions=_versions(),
        config_digest=outcome.config_digest,
        git=code_revision(),
        attempt=attempt,
    )


def _finite(value: Any) -> Any:
    """JSON has no NaN: a training that is finished must not fail because a curve went through infinity."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _versions() -> dict[str, str]:
    versions = {"harness": __version__, "python": platform.python_version()}
    for name in RECORDED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
