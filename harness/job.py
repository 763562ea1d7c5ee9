"""A job as planned: what is measured, extracted or trained, on what, and the key that follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import Batch, FeatureRequest, Numerics
from benchmarks.protocol import Protocol
from results.record import BackboneStamp, Column, DataStamp, ProtocolStamp, sha256_of
from results.workspace import KEY_CHARACTERS

FEATURES = "features"
"""Name under which feature extraction stands where a benchmark's name is asked for."""

FEATURES_VERSION = 1
"""Grows when extraction changes in a way that changes the features."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One job. Two jobs with one key are the same job.

    Args:
        benchmark: Name of the benchmark or of the pretraining config, or :data:`FEATURES`.
        protocol: Its table; None for feature extraction.
        request: What feature extraction extracts, or the features that the benchmark needs; or None.
        backbone: Which backbone, under which input convention; None for pretraining, which makes one.
        data: Fingerprint and counts of its data.
        data_root: Absolute path given with ``--data``; not in the key.
        seed: None where nothing is random.
        numerics: Precision and memory format.
        batch: Batch sizes of the training, None where nothing is trained.
    """

    benchmark: str
    protocol: Protocol | None
    request: FeatureRequest | None
    backbone: BackboneStamp | None
    data: DataStamp
    data_root: Path
    seed: int | None
    numerics: Numerics
    batch: Batch

    @property
    def extracts(self) -> bool:
        """Whether this is feature extraction."""
        return self.benchmark == FEATURES

    @property
    def pretrains(self) -> bool:
        """Whether this makes a backbone."""
        return self.backbone is None

    def required_backbone(self) -> BackboneStamp:
        """What is measured or extracted from.

        Raises:
            ValueError: This is pretraining.
        """
        if self.backbone is None:
            raise ValueError(f"{self.benchmark} is not measured on a backbone")
        return self.backbone

    def identity(self) -> dict[str, Any]:
        """What the key is made of."""
        common = {"data": self.data.fingerprint}
        if self.backbone is not None:
            common |= {"backbone": self.backbone.digest, "input": self.backbone.input}
        if self.protocol is None:
            request = self.request.to_dict() if self.request is not None else None
            return {
                **common,
                "benchmark": FEATURES,
                "version": FEATURES_VERSION,
                "request": request,
                "numerics": self.numerics.to_dict(),
            }
        if self.protocol.profile != "full":
            # Whatever --set makes of its fields, a smoke number is never found in place of a full one.
            common["profile"] = self.protocol.profile
        return {
            **common,
            "config" if self.pretrains else "benchmark": self.benchmark,
            "protocol": self.protocol.hash,
            "seed": self.seed,
            "numerics": self.recorded_numerics(),
        }

    @property
    def key(self) -> str:
        """Hexadecimal sha256 of :meth:`identity`."""
        return sha256_of(self.identity())

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.benchmark}-{self.key[:KEY_CHARACTERS]}"

    def recorded_numerics(self) -> dict[str, Any]:
        """Numerics as they stand in key and record."""
        return {
            **self.numerics.to_dict(),
            "effective_batch": self.batch.effective,
            "batch_norm_batch": self.batch.batch_norm,
        }

    def stamp(self) -> ProtocolStamp:
        """Stamp of the protocol; feature extraction is stamped with its request."""
        if self.protocol is not None:
            return self.protocol.stamp()
        request = self.request.to_dict() if self.request is not None else None
        return ProtocolStamp(FEATURES, FEATURES_VERSION, sha256_of(request))

    def feature_job(self) -> Job | None:
        """The extraction that must come first; None where the job needs no features."""
        if self.extracts or self.request is None:
            return None
        return dataclasses.replace(self, benchmark=FEATURES, protocol=None, seed=None, batch=Batch())

    def to_dict(self) -> dict[str, Any]:
        """JSON form for ``spec.json``."""
        return {
            "key": self.key,
            "identity": self.identity(),
            "benchmark": self.benchmark,
            "protocol": self.protocol.to_dict() if self.protocol is not None else None,
            "request": self.request.to_dict() if self.request is not None else None,
            "backbone": dataclasses.asdict(self.backbone) if self.backbone is not None else None,
            "data": dataclasses.asdict(self.data),
            "data_root": str(self.data_root),
            "seed": self.seed,
            "numerics": self.numerics.to_dict(),
            "batch": dataclasses.asdict(self.batch),
        }

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> Job:
        """The inverse of :meth:`to_dict`; the key stays the same."""
        return Job(
            benchmark=raw["benchmark"],
            protocol=Protocol.from_dict(raw["protocol"]) if raw["protocol"] is not None else None,
            request=FeatureRequest.from_dict(raw["request"]) if raw["request"] is not None else None,
            backbone=BackboneStamp.from_dict(raw["backbone"]) if raw["backbone"] is not None else None,
            data=DataStamp(**{**raw["data"], "nonstandard": tuple(raw["data"]["nonstandard"])}),
            data_root=Path(raw["data_root"]),
            seed=raw["seed"],
            numerics=Numerics(**raw["numerics"]),
            batch=Batch(**raw["batch"]),
        )


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """A job with what only the plan needs.

    Args:
        job: The job.
        columns: How its metrics are shown; empty for feature extraction.
        hours: Rough wall time of the full protocol.
        gpus: GPUs it can use.
        needs: Keys of the jobs that must be finished first.
    """

    job: Job
    columns: tuple[Column, ...] = ()
    hours: float = 0.0
    gpus: int = 1
    needs: tuple[str, ...] = ()
