"""The numbers that others published, in our names, and where one of ours stands among them."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Sequence
from importlib import resources

from results.entries import Entry

BACKBONE = "ResNet-50"
"""The backbone of every number that the harness measures."""


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """One published number.

    Args:
        algorithm: Name of the algorithm.
        config: Name of its pretraining config; empty where the page gives none.
        backbone: Name of the backbone; ``ResNet-50`` for the one that the harness measures.
        epochs: Of pretraining; None where nobody says.
        batch_size: Of pretraining; None where nobody says.
        benchmark: Our name; one that is no benchmark of ours keeps a name of its own (``imagenet_finetune``).
        variant: Our variant of the benchmark's protocol, empty for the protocol itself; a config's name where no
            variant of ours is that protocol.
        metric: Our name.
        text: The number as published, in percent.
        layer: Which layer was the best one, where that was chosen.
        source: Project, release and file.
    """

    algorithm: str
    config: str
    backbone: str
    epochs: int | None
    batch_size: int | None
    benchmark: str
    variant: str
    metric: str
    text: str
    layer: str
    source: str

    @property
    def value(self) -> float:
        """The number, in percent."""
        return float(self.text)

    @property
    def name(self) -> str:
        """Algorithm, epochs and batch size, as far as they are known."""
        facts = [f"{self.epochs} epochs"] if self.epochs else []
        facts += [f"batch {self.batch_size}"] if self.batch_size else []
        return ", ".join([self.algorithm, *facts])


@dataclasses.dataclass(frozen=True)
class Rank:
    """Where a number stands among the published ones of the same metric, protocol variant and backbone.

    Args:
        place: 1 for the best; published numbers that are equal to the last published digit share it.
        of: Published numbers and this one.
        above: The next better published number; None for the best place.
        below: The next worse one; None for the last place.
    """

    place: int
    of: int
    above: Published | None
    below: Published | None


@functools.cache
def published() -> tuple[Published, ...]:
    """Every published number, in the order of the pages it comes from."""
    text = resources.files("results").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_parse(row) for row in csv.DictReader(text.splitlines()))


def _parse(row: dict[str, str]) -> Published:
    epochs, batch_size = (int(row[name]) if row[name] else None for name in ("epochs", "batch_size"))
    rest = {name: row[name] for name in row if name not in ("epochs", "batch_size", "value")}
    return Published(**rest, epochs=epochs, batch_size=batch_size, text=row["value"])


def comparable(entry: Entry, metric: str) -> tuple[Published, ...]:
    """Published numbers of the same metric, variant and backbone as an entry's, the best first.

    None are where the entry's number is of another protocol than the published one: of another profile than ``full``,
    modified, or measured on non-standard data.
    """
    protocol = entry.protocol
    if protocol.profile != "full" or protocol.modified or entry.data.nonstandard:
        return ()
    _, _, variant = protocol.name.partition("@")
    return same_protocol(entry.benchmark, variant, metric)


@functools.cache
def same_protocol(benchmark: str, variant: str, metric: str, backbone: str = BACKBONE) -> tuple[Published, ...]:
    """Published numbers of one metric, protocol variant and backbone, the best first."""
    found = [
        each
        for each in published()
        if (each.benchmark, each.variant, each.metric, each.backbone) == (benchmark, variant, metric, backbone)
    ]
    return tuple(sorted(found, key=lambda each: -each.value))


def apart(benchmark: str, variant: str, metric: str) -> tuple[Published, ...]:
    """Published numbers of the metric by other variants or with other backbones, which no rank counts."""
    return tuple(
        each
        for each in published()
        if (each.benchmark, each.metric) == (benchmark, metric) and (each.variant, each.backbone) != (variant, BACKBONE)
    )


def rank(value: float, decimals: int, others: Sequence[Published]) -> Rank:
    """Where a number stands.

    Args:
        value: In percent, unrounded.
        decimals: Digits after the point to which it is compared.
        others: What it is compared with, the best first.
    """
    own = round(value, decimals)
    better = [each for each in others if each.value > own]
    worse = [each for each in others if each.value < own]
    return Rank(len(better) + 1, len(others) + 1, better[-1] if better else None, worse[0] if worse else None)
