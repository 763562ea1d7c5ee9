"""The toolbox's config that a protocol becomes, without data and without a checkpoint: for people who read configs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import Benchmark, JobContext, Numerics
from benchmarks.datasets.layout import data_set
from benchmarks.input_convention import DEFAULT_CONVENTION, input_convention
from benchmarks.protocol import Protocol
from results.record import DataStamp

PLACEHOLDER = "0" * 64
"""Stands for the fingerprint of the data and for the digest of the backbone, which are no part of a config."""


def official_config(benchmark: Benchmark, protocol: Protocol) -> Mapping[str, Any] | None:
    """Builds a config as for the official data set, seed 0 and the default input convention.

    Args:
        benchmark: The benchmark.
        protocol: Its protocol or a variant of it.

    Returns:
        Nested plain dicts; None where the benchmark uses no toolbox.

    Raises:
        HarnessError: A toolbox or its shipped config is not there.
    """
    known = data_set(benchmark.data)
    context = JobContext(
        protocol=protocol,
        backbone=Path("backbone.safetensors"),
        digest=PLACEHOLDER,
        input=input_convention(DEFAULT_CONVENTION),
        data_root=Path("data"),
        data=DataStamp(known.name, PLACEHOLDER, dict(known.assumed)),
        seed=0,
        numerics=Numerics(),
        attempt=Path("."),
        features=None,
        previous=(),
        threads=1,
        device="cpu",
    )
    return benchmark.built_config(context)
