"""Jobs, records and a third party's benchmark inside this process, for tests that start no command line."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.base import Batch, FeatureRequest, Numerics, PixelPipeline
from benchmarks.catalogue import catalogue
from benchmarks.protocol import Field, Protocol
from harness.job import Job, PlannedJob
from harness.plan import Plan, make_plan
from harness.settings import Settings
from results.record import BackboneStamp, Column, DataStamp, MetricValue, Record
from tests.harness.world import World

REQUEST = FeatureRequest("imagenet", ("train", "val"), PixelPipeline(short_edge=256, crop=224), ("feature5",), "grid")


def make_job(name: str = "counting", **changes: Any) -> Job:
    """A benchmark's job in which everything is set."""
    fields: dict[str, Any] = {
        "benchmark": name,
        "protocol": Protocol(name, 1, {"iterations": Field(3, "test"), "seconds": Field(0.0, "test")}),
        "request": None,
        "backbone": BackboneStamp("d" * 64, "simclr.pth", "torchvision", "backbone", "rgb-mean-std"),
        "data": DataStamp("imagenet", "f" * 64, {"train": 2, "val": 2, "classes": 2}, ("ImageNet has 2 classes.",)),
        "data_root": Path("/data"),
        "seed": 0,
        "numerics": Numerics(),
        "batch": Batch(effective=256, batch_norm=256),
    }
    return Job(**{**fields, **changes})


def planned(job: Job, *needs: Job) -> PlannedJob:
    """A job as the plan hands it to the loop."""
    columns = () if job.extracts else (Column("count", "Count", 1),)
    return PlannedJob(job, columns, 0.1, 1, tuple(need.key for need in needs))


def make_record(job: Job, attempt: str, value: float = 1.0) -> Record:
    """What a job publishes."""
    return Record(
        key=job.key,
        benchmark=job.benchmark,
        protocol=job.stamp(),
        backbone=job.backbone,
        data=job.data,
        seed=job.seed,
        numerics=job.recorded_numerics(),
        metrics={} if job.extracts else {"count": MetricValue(value)},
        details={},
        display=planned(job).columns,
        curves={},
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:01+00:00",
        seconds=1.0,
        device="cpu",
        versions={},
        config_digest="",
        git="",
        attempt=attempt,
    )


@contextlib.contextmanager
def inside(world: World) -> Iterator[None]:
    """This process sees the world's benchmarks, diary and slots as its command line does."""
    kept = list(sys.path)
    # Without a copy the settings of whoever runs the tests would reach them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    catalogue.cache_clear()
    sys.path.insert(0, str(world.folder / "site"))
    try:
        with (
            mock.patch.dict(os.environ, {**environment, "COUNTING_DIARY": str(world.diary)}, clear=True),
            mock.patch.object(tempfile, "tempdir", str(world.folder / "tmp")),
        ):
            yield
    finally:
        sys.path[:] = kept
        sys.modules.pop("third_party_benchmarks", None)
        catalogue.cache_clear()


def make_settings(world: World, **changes: Any) -> Settings:
    """Settings of a smoke run in a world; fields change by name."""
    fields: dict[str, Any] = {
        "ckpt": ("random:0",),
        "suite": "counting",
        "profile": "smoke",
        "data": world.data,
        "workspace": world.workspace,
    }
    return Settings(**{**fields, **changes})


def plan_in(world: World, **changes: Any) -> Plan:
    """Plans a smoke run in a world."""
    return make_plan(make_settings(world, **changes))
