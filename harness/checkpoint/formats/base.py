"""What a publisher's layout is: where its networks stand in a file, and how their names map to the canonical ones."""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from benchmarks.input_convention import DEFAULT_CONVENTION
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.signature import printable
from results.errors import HarnessError

COUNTER = "num_batches_tracked"
"""Batch norms count their batches; no forward pass reads the count."""

STATE = ("state_dict",)
"""Where most trainers keep their weights."""

WRAPPERS = ("module.", "_orig_mod.")
"""What DistributedDataParallel and ``torch.compile`` put before every name."""

SIGNS = ("conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight")
"""Canonical names by which a backbone is recognised, complete or not."""

OWN = ("conv1.", "bn1.", "layer", "stem.")
"""Beginnings of a ResNet's names, those of deep stems among them: what begins so is never passed over."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one network of a file stands.

    Args:
        encoder: Its name, for ``--encoder``, records and lists: ``query``, ``teacher``...
        path: Keys that lead to the mapping that holds it.
        prefix: What stands before its names there; ``module.`` of DDP is gone by then.
    """

    encoder: str
    path: tuple[str, ...] = ()
    prefix: str = ""


@dataclasses.dataclass(frozen=True)
class Converted:
    """Weights under canonical names, not yet checked.

    Args:
        format: Name of the format.
        encoder: Which of several networks in the file.
        input: Input convention that this format's networks are trained with.
        weights: Whatever stands under each canonical name; names beyond the 265 belong to another architecture.
        ignored: What was left out, as ``prefix.*: count``.
        encoders: All networks that the file holds, by name, the publisher's default first.
        warnings: What the user should know, one sentence each.
        digest: Digest that the file itself declares; empty where it declares none.
    """

    format: str
    encoder: str
    input: str
    weights: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ("backbone",)
    warnings: tuple[str, ...] = ()
    digest: str = ""


class Format(ABC):
    """One layout. A new one is a class with a name, a summary and places; the rest has defaults.

    A third party's comes through an entry point of the group ``harness.formats``.
    """

    name: ClassVar[str]
    """Its name in records and lists."""
    summary: ClassVar[str]
    """What it looks like, for lists and refusals."""
    places: ClassVar[tuple[Place, ...]] = (Place("backbone"),)
    """Where its networks may stand. The first one that is there is what the publisher evaluates."""
    dropped: ClassVar[tuple[str, ...]] = ()
    """Beginnings of names behind the prefix that are expected and left out: the classifier."""
    input: ClassVar[str] = DEFAULT_CONVENTION
    """Input convention that its networks are trained with."""

    def rename(self, name: str) -> str:
        """The canonical name.

        Args:
            name: As in the file, behind the prefix.

        Returns:
            A canonical name; any other text where the name has none: such a weight makes the file refused.
        """
        return name

    def recognises(self, file: CheckpointFile) -> bool:
        """Whether a file has this layout."""
        return bool(self.present(file))

    def input_of(self, file: CheckpointFile) -> str:
        """Input convention of a file of this layout."""
        return self.input

    def refusal(self, file: CheckpointFile) -> tuple[str, str] | None:
        """What is wrong with a file of this layout, told from what stands beside its weights, and what mends it."""
        return None

    def warnings(self, file: CheckpointFile) -> tuple[str, ...]:
        """What the user should know of a file of this layout."""
        return ()

    def present(self, file: CheckpointFile) -> tuple[Place, ...]:
        """Those of the places at which a backbone stands; the first for each name of an encoder."""
        found: dict[str, Place] = {}
        for place in self.places:
            names = state(file, place.path)
            if place.encoder not in found and any(
                name.startswith(place.prefix) and self.rename(name.removeprefix(place.prefix)) in SIGNS
                for name in names
            ):
                found[place.encoder] = place
        return tuple(found.values())

    def holds(self, file: CheckpointFile, encoder: str) -> bool:
        """Whether a network of that name stands in a file."""
        return any(place.encoder == encoder for place in self.present(file))

    def weights(self, file: CheckpointFile, place: Place) -> tuple[dict[str, Any], Counter[str]]:
        """The weights of one network under canonical names, and what was left out, counted by the first word."""
        return renamed(file, place, self.rename, self.dropped)

    def convert(self, file: CheckpointFile, where: str, encoder: str | None = None) -> Converted:
        """Brings the weights of one network under canonical names.

        Args:
            file: A file of this layout.
            where: The file, for messages.
            encoder: Name of the network; None for the publisher's default.

        Raises:
            HarnessError: There is no such network in the file, or :meth:`refusal` has an objection.
        """
        objection = self.refusal(file)
        if objection is not None:
            raise HarnessError(objection[0], where, objection[1])
        places = self.present(file)
        chosen = [place for place in places if encoder in (None, place.encoder)]
        if not chosen:
            raise HarnessError(
                f"the checkpoint ({self.name}) has no encoder '{printable(str(encoder))}'",
                where,
                f"--encoder {' | '.join(place.encoder for place in places)}",
            )
        weights, ignored = self.weights(file, chosen[0])
        return Converted(
            self.name,
            chosen[0].encoder,
            self.input_of(file),
            weights,
            tuple(f"{name}: {count}" for name, count in sorted(ignored.items())),
            tuple(place.encoder for place in places),
            self.warnings(file),
        )


def renamed(
    file: CheckpointFile, place: Place, rename: Callable[[str], str], dropped: tuple[str, ...]
) -> tuple[dict[str, Any], Counter[str]]:
    """Sorts the entries of a mapping.

    Args:
        file: The file.
        place: The mapping, and what stands before the network's names in it.
        rename: Brings such a name, without the prefix, under a canonical one.
        dropped: Beginnings of names, without the prefix, that are left out.

    Returns:
        The network's weights, and how many other entries there were, counted by the first word of their names.
    """
    weights: dict[str, Any] = {}
    ignored: Counter[str] = Counter()
    for name, value in state(file, place.path).items():
        bare = name.removeprefix(place.prefix)
        if not name.startswith(place.prefix) or bare.startswith(dropped):
            ignored[first_part(name)] += 1
        elif not bare.endswith(COUNTER):
            weights[rename(bare)] = value
    return weights, ignored


def state(file: CheckpointFile, path: Iterable[str]) -> dict[str, Any]:
    """The mapping at a place of a file.

    Args:
        file: The file.
        path: Keys that lead there from the outermost mapping.

    Returns:
        Its entries with names of text, without what DDP and ``torch.compile`` put before them; empty where there is no
        such mapping.
    """
    found: Any = file.content
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {unwrapped(name): value for name, value in found.items() if isinstance(name, str)}


def unwrapped(name: str) -> str:
    """A name without ``module.`` and ``_orig_mod.`` at its beginning."""
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def has(names: Iterable[str], *prefixes: str) -> bool:
    """Whether a name begins with one of the prefixes."""
    return any(name.startswith(prefixes) for name in names)


def first_part(name: str) -> str:
    """The first word of a name, printable, with ``.*`` where more follows."""
    first, dot, _ = name.partition(".")
    return printable(first)[:60] + (".*" if dot else "")
