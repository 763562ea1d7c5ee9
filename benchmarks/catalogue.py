"""Every benchmark by name, in the order of the page; a third party's come through an entry point."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
import re
from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.base import Benchmark
from benchmarks.protocol import Variant
from results.errors import HarnessError, did_you_mean
from results.plugins import plugins

ENTRY_POINT_GROUP = "harness.benchmarks"
"""Entry points of this group name a class derived from :class:`benchmarks.base.Benchmark`."""

VARIANTS_GROUP = "harness.variants"
"""Entry points of this group are called ``BENCHMARK.VARIANT`` and name a :class:`benchmarks.protocol.Variant`."""

BUILT_IN = (
    "benchmarks.classification.voc07_svm:Voc07Svm",
    "benchmarks.classification.imagenet_mhead:ImagenetMhead",
    "benchmarks.classification.imagenet_linear:ImagenetLinear",
    "benchmarks.classification.places205_mhead:Places205Mhead",
    "benchmarks.classification.inaturalist2018_mhead:Inaturalist2018Mhead",
    "benchmarks.classification.imagenet_knn:ImagenetKnn",
    "benchmarks.detection.voc0712_faster_rcnn:Voc0712FasterRcnn",
    "benchmarks.detection.coco_mask_rcnn:CocoMaskRcnn",
    "benchmarks.segmentation.voc12aug_fcn:Voc12augFcn",
    "benchmarks.segmentation.cityscapes_fcn:CityscapesFcn",
    "benchmarks.classification.folder:Folder",
)

GROUPS = ("classification", "detection", "segmentation")

RESERVED = ("all", *GROUPS, "features")
"""Names that mean something else in suites and folders."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """One benchmark of a suite.

    Args:
        benchmark: The benchmark.
        variant: Name after ``@``; None for the published protocol.
    """

    benchmark: Benchmark
    variant: str | None = None


def _load(reference: str) -> Benchmark:
    module, _, name = reference.partition(":")
    try:
        benchmark = getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise HarnessError(
            f"{reference} cannot be loaded: {error}",
            f"entry point group {ENTRY_POINT_GROUP}",
            "mend or uninstall the package that brings it",
        ) from error
    if not isinstance(benchmark, Benchmark):
        raise HarnessError(
            f"{reference} is not a benchmark",
            f"entry point group {ENTRY_POINT_GROUP}",
            "derive the class from benchmarks.base.Benchmark or uninstall the package that brings it",
        )
    if not re.fullmatch("[a-z0-9_]+", benchmark.name) or benchmark.name in RESERVED:
        raise HarnessError(
            f"a benchmark cannot be called '{benchmark.name}'",
            reference,
            f"use small letters, digits and _, and none of {', '.join(RESERVED)}",
        )
    return benchmark


@functools.cache
def catalogue() -> Mapping[str, Benchmark]:
    """All benchmarks by name.

    Raises:
        HarnessError: An entry point is no benchmark or variant, or takes a name that exists.
    """
    found: dict[str, Benchmark] = {}
    external = [entry.value for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)]
    for reference in (*BUILT_IN, *sorted(external)):
        benchmark = _load(reference)
        if benchmark.name in found:
            raise HarnessError(
                f"two benchmarks are called '{benchmark.name}'",
                reference,
                "rename the one that the entry point brings, or uninstall its package",
            )
        found[benchmark.name] = benchmark
    _add_variants(found)
    return MappingProxyType(found)


def _add_variants(known: Mapping[str, Benchmark]) -> None:
    """Gives benchmarks the variants that installed packages bring.

    Raises:
        HarnessError: Of an unknown benchmark, with a name that exists or cannot be typed, or with fields that there are
            not.
    """
    for name, variant in plugins(VARIANTS_GROUP, Variant).items():
        owner, _, short = name.partition(".")
        where = f"entry point {name} of group {VARIANTS_GROUP}"
        if owner not in known:
            raise HarnessError(f"unknown benchmark '{owner}'", where, did_you_mean(owner, known))
        benchmark = known[owner]
        if not re.fullmatch("[a-z0-9-]+", short) or short in benchmark.variants:
            raise HarnessError(
                f"a variant of {owner} cannot be called '{short}'",
                where,
                "use small letters, digits and -, and none of: " + (", ".join(sorted(benchmark.variants)) or "(none)"),
            )
        # Of this benchmark alone: its class may have others derived from it.
        object.__setattr__(benchmark, "variants", {**benchmark.variants, short: variant})
        try:
            benchmark.check(benchmark.protocol(short))
        except HarnessError as error:
            raise HarnessError(error.what, where, error.mend) from error


def find_benchmark(name: str, where: str = "--suite") -> Benchmark:
    """Looks one benchmark up.

    Raises:
        HarnessError: There is none of that name.
    """
    known = catalogue()
    if name not in known:
        raise HarnessError(f"unknown benchmark '{name}'", where, did_you_mean(name, known))
    return known[name]


def select(suite: str) -> tuple[Choice, ...]:
    """The benchmarks of a suite, in page order, each once.

    Args:
        suite: ``all``, a group, ``NAME`` or ``NAME@VARIANT``; several joined by commas.

    Raises:
        HarnessError: An unknown name or variant, nothing chosen, or one that runs alone with others.
    """
    chosen: dict[tuple[str, str | None], Choice] = {}
    known = catalogue()
    for part in (word.strip() for word in suite.split(",")):
        if not part:
            continue
        name, _, variant = part.partition("@")
        if name in ("all", *GROUPS) and not variant:
            members = [Choice(each) for each in known.values() if name in ("all", each.group) and not each.alone]
        elif name in known:
            known[name].protocol(variant or None)
            members = [Choice(known[name], variant or None)]
        else:
            raise HarnessError(
                f"unknown suite or benchmark '{part}'", "--suite", did_you_mean(name, ("all", *GROUPS, *known))
            )
        for member in members:
            chosen[member.benchmark.name, member.variant] = member
    if not chosen:
        raise HarnessError(
            f"no benchmark belongs to the suite '{suite}'", "--suite", "run `python -m harness list benchmarks`"
        )
    alone = [name for name, _ in chosen if known[name].alone]
    if alone and {name for name, _ in chosen} != {alone[0]}:
        raise HarnessError(
            f"{alone[0]} runs alone: its --data is another folder than that of the others",
            "--suite",
            f"run --suite {alone[0]} by itself; numbers of one workspace stand on one page",
        )
    order = list(known)
    return tuple(sorted(chosen.values(), key=lambda choice: (order.index(choice.benchmark.name), choice.variant or "")))
