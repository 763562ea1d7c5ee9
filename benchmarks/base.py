"""What every benchmark is made of: frozen data that passes between rooms, and the class to derive from."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.input_convention import InputConvention
from benchmarks.protocol import PROFILES, Field, Protocol, Variant
from results.errors import HarnessError, did_you_mean
from results.record import Column, DataStamp, MetricValue

PRECISIONS = ("fp32", "bf16", "amp")


@dataclasses.dataclass(frozen=True)
class Numerics:
    """How the network is computed. Part of the job key, never of the protocol.

    Args:
        precision: ``fp32``; ``bf16`` or ``amp`` (float16 on a GPU, bfloat16 on a CPU) as autocast.
        channels_last: Memory format of the network and its input.
        compile: Whether ``torch.compile`` is used on the backbone.
        folded: Whether features are extracted with each batch norm folded into the convolution before it.
    """

    precision: str = "fp32"
    channels_last: bool = False
    compile: bool = False
    folded: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise HarnessError(
                f"unknown precision '{self.precision}'", "--numerics", did_you_mean(self.precision, PRECISIONS)
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON form. ``folded`` stands in it only where it is true, so that keys from before it are still found."""
        values = dataclasses.asdict(self)
        if not self.folded:
            del values["folded"]
        return values


@dataclasses.dataclass(frozen=True)
class Batch:
    """How many images one optimiser step sees; None where nothing is trained by steps.

    Args:
        effective: Total over ranks and accumulated steps.
        batch_norm: Images over which a trained BatchNorm takes its statistics; None where none is trained.
    """

    effective: int | None = None
    batch_norm: int | None = None


@dataclasses.dataclass(frozen=True)
class World:
    """The processes that train one network together, and this one's place among them.

    Args:
        rank: Of this process, from 0.
        ranks: How many processes there are; each takes an equal part of every batch.
        parts: How many parts a rank's share of a batch is computed in, one after the other; their gradients are added
            up before the optimiser's step (gradient accumulation).
    """

    rank: int = 0
    ranks: int = 1
    parts: int = 1


ALONE = World()
"""One process that computes whole batches."""


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a job asks of the scheduler.

    Args:
        gpus: GPUs it can use; on a machine without one it runs on the CPU.
        hours: Rough wall time at the full protocol on V100-class GPUs, for plans only.
    """

    gpus: int
    hours: float


SMOKE_RESOURCES = Resources(gpus=1, hours=0.02)
"""What a job that trains asks for at smoke size."""


@dataclasses.dataclass(frozen=True)
class PixelPipeline:
    """From an image file to the pixels that the input convention is applied to. Steps in this order.

    Decoding is OpenCV's (EXIF orientation applied), resizing is PIL's with its antialiasing, as mmselfsup 0.x
    did both (``mmselfsup/datasets/data_sources/base.py``: ``mmcv.imfrombytes`` then ``Image.fromarray``).

    Args:
        short_edge: Length of the short edge after the first resize, in pixels.
        squash: Side of the square to which the whole image is then resized, aspect ratio not kept; or None.
        crop: Side of the square cut from the centre; or None.
        interpolation: ``bilinear`` is PIL's, with its antialiasing; ``opencv-bilinear`` is OpenCV's, without.
    """

    short_edge: int
    squash: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"


@dataclasses.dataclass(frozen=True)
class FeatureRequest:
    """A set of features that a benchmark needs. Equal requests are extracted once.

    Args:
        data: Name of the data set.
        splits: Which of its splits, in the order of their lists.
        pixels: Pixel pipeline.
        layers: ``feature1`` (stem, before max-pooling) and ``feature2``..``feature5`` (layer1..layer4).
        pooling: ``grid`` (:mod:`benchmarks.pooling`) or ``global_average``.
    """

    data: str
    splits: tuple[str, ...]
    pixels: PixelPipeline
    layers: tuple[str, ...]
    pooling: str

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> FeatureRequest:
        return FeatureRequest(
            raw["data"],
            tuple(raw["splits"]),
            PixelPipeline(**raw["pixels"]),
            tuple(raw["layers"]),
            raw["pooling"],
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What everything that trains may use on the node.

    Args:
        protocol: The table to follow.
        data_root: The folder given with ``--data``.
        data: Fingerprint and counts as planned.
        seed: Seed of everything random; None for benchmarks without randomness.
        numerics: Precision and memory format.
        attempt: Folder of this attempt, for work files; it exists.
        previous: Folders of earlier attempts of the same job, oldest first, to resume from.
        threads: CPU threads to use.
        device: ``cpu`` or ``cuda``.
        world: The processes that train together.
    """

    protocol: Protocol
    data_root: Path
    data: DataStamp
    seed: int | None
    numerics: Numerics
    attempt: Path
    previous: tuple[Path, ...]
    threads: int
    device: str
    world: World = ALONE

    def required_seed(self) -> int:
        """The seed of what is random.

        Raises:
            ValueError: It has none: the plan that made the job is wrong.
        """
        if self.seed is None:
            raise ValueError(f"{self.protocol.name} is random and needs a seed")
        return self.seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobContext(TrainingContext):
    """Everything that a benchmark may use on the node.

    Args:
        backbone: ``backbone.safetensors``.
        digest: Its digest; what is loaded must have it.
        input: Input convention of the backbone.
        features: Folder of the complete feature set, where one was requested.
    """

    backbone: Path
    digest: str
    input: InputConvention
    features: Path | None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a benchmark found.

    Args:
        metrics: Every metric of the benchmark by name; missing ones carry None and the reason.
        details: Best layer, chosen costs and the like; JSON values.
        curves: Numbers over training, never shown on a page; JSON values.
        config_digest: sha256 of the toolbox config that was built; empty where none was.
    """

    metrics: Mapping[str, MetricValue]
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config_digest: str = ""


class WithProtocol:
    """Whatever follows a protocol: benchmarks and pretraining configs.

    ``table`` is the full protocol; variants and the smoke profile replace fields of it.
    """

    name: ClassVar[str]
    """Its name in suites, folders, records."""
    title: ClassVar[str]
    """Its heading on a page."""
    data: ClassVar[str]
    """Name of the data set that it reads."""
    version: ClassVar[int]
    """Version of its protocol."""
    table: ClassVar[Mapping[str, Field]]
    """The full protocol."""
    smoke: ClassVar[Mapping[str, Any]]
    """Fields that the smoke profile replaces."""
    variants: ClassVar[Mapping[str, Variant]] = {}
    """How each variant differs, by the name after ``@``."""

    def protocol(
        self,
        variant: str | None = None,
        profile: str = "full",
        overrides: Mapping[str, Any] | None = None,
    ) -> Protocol:
        """The table for one run.

        Args:
            variant: Name after ``@``; None for the published protocol.
            profile: ``full`` or ``smoke``.
            overrides: Fields that the user replaced with ``--set``.

        Raises:
            HarnessError: Unknown variant, profile or field; a value of another kind.
        """
        protocol = Protocol(self.name, self.version, self.table)
        if variant is not None:
            if variant not in self.variants:
                raise HarnessError(
                    f"{self.name} has no variant '{variant}'", "--suite", did_you_mean(variant, self.variants)
                )
            protocol = protocol.vary(self.variants[variant], f"{self.name}@{variant}")
        if profile not in PROFILES:
            raise HarnessError(f"unknown profile '{profile}'", "--profile", did_you_mean(profile, PROFILES))
        if profile == "smoke":
            smaller = {name: value for name, value in self.smoke.items() if name in protocol.fields}
            protocol = protocol.replace(smaller, "smoke profile", profile="smoke")
        if overrides:
            replaced = protocol.replace(overrides, "--set")
            # A field that is set to what it was leaves the hash, and so the number, as it is.
            changed = {name: overrides[name] for name in overrides if replaced[name] != protocol[name]}
            protocol = protocol.replace(changed, "--set", modified=tuple(sorted(changed)))
        return protocol


class Benchmark(WithProtocol, ABC):
    """One benchmark. Deriving classes are stateless; their module imports no torch and no toolbox at the top."""

    group: ClassVar[str]
    """``classification``, ``detection`` or ``segmentation``."""
    random: ClassVar[bool]
    """Whether the seed matters."""
    alone: ClassVar[bool] = False
    """Whether it stands in no suite but its own: its ``--data`` is another folder than that of the others."""
    trains: ClassVar[bool] = False
    """Whether it trains with OpenMMLab's toolboxes, which then have to be installed."""

    @abstractmethod
    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        """The metrics that this protocol gives, in page order."""

    @abstractmethod
    def resources(self, protocol: Protocol) -> Resources:
        """What a job of it asks for."""

    def check(self, protocol: Protocol) -> None:
        """Refuses values that the benchmark cannot follow; called when a run is planned, before anything starts.

        Raises:
            HarnessError: A value is not possible, or two contradict each other.
        """
        return

    def feature_request(self, protocol: Protocol) -> FeatureRequest | None:
        """The features that must be there before the job starts; None where it needs none."""
        return None

    def batch(self, protocol: Protocol) -> Batch:
        """Batch sizes that stand in the job key."""
        return Batch()

    def built_config(self, context: JobContext) -> Mapping[str, Any] | None:
        """The toolbox's config for data of such counts, without looking at it; None where no toolbox is used."""
        return None

    @abstractmethod
    def run(self, context: JobContext) -> Outcome:
        """Measures. Called on the node, in the job's process.

        Raises:
            HarnessError: Something that the user can mend.
        """
