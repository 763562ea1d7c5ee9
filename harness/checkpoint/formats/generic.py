"""Any file with one backbone in it, wherever it stands and whatever naming it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.checkpoint.architecture import tells_of_another
from harness.checkpoint.formats.base import OWN, Converted, Format, Place, first_part, renamed, state
from harness.checkpoint.formats.contrastive import SimCLRv2
from harness.checkpoint.formats.lightning import is_lightning, sequential_name
from harness.checkpoint.formats.supervised import Detectron2, HuggingFace, PyCls
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.signature import printable
from results.errors import HarnessError

DEEPEST = 5
"""Mappings inside of mappings that are looked into."""

MOST_MAPPINGS = 500
MOST_LISTED = 12

NAMINGS: tuple[tuple[tuple[str, ...], Callable[[str], str]], ...] = (
    (("layer1.0.conv1.weight", "layer1.0.conv2.weight"), str),
    (("4.0.conv1.weight", "4.0.conv2.weight"), sequential_name),
    (("encoder.stages.0.layers.0.layer.0.convolution.weight",), HuggingFace().rename),
    (("s1.b1.f.a.weight",), PyCls().rename),
    (("res2.0.conv1.weight",), Detectron2().rename),
    (("net.1.blocks.0.net.0.weight",), SimCLRv2().rename),
)
"""Names of the first block's weights, and what brings names of that kind under canonical ones."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A backbone somewhere in a file.

    Args:
        place: Where.
        rename: What brings its names under canonical ones.
    """

    place: Place
    rename: Callable[[str], str]


class Generic(Format):
    """The last resort: a file of no known publisher that holds exactly one backbone, or of which one is chosen."""

    name = "generic"
    summary = "any other file with exactly one ResNet-50 in it, under any prefix; --encoder chooses one of several"
    dropped = ("fc.", "head.", "classifier.")

    def candidates(self, file: CheckpointFile) -> dict[str, Candidate]:
        """All backbones of a file by the name under which ``--encoder`` chooses them."""
        found: dict[str, Candidate] = {}
        for path in _mappings(file.content, ()):
            for name in state(file, path):
                for signs, rename in NAMINGS:
                    sign = next((sign for sign in signs if name == sign or name.endswith(f".{sign}")), None)
                    if sign is None:
                        continue
                    prefix = name.removesuffix(sign)
                    encoder = ".".join((*path, prefix)).strip(".") or "backbone"
                    found.setdefault(encoder, Candidate(Place(encoder, path, prefix), rename))
        return found

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return bool(self.candidates(file))

    def convert(self, file: CheckpointFile, where: str, encoder: str | None = None) -> Converted:
        """See :class:`Format`."""
        candidates = self.candidates(file)
        names = sorted(candidates)
        listing = ", ".join(printable(name) for name in names[:MOST_LISTED])
        if encoder is None and len(names) > 1:
            raise HarnessError(
                f"the checkpoint holds {len(names)} backbones, and nothing says which is meant: {listing}",
                where,
                "choose one with --encoder NAME",
            )
        if encoder is not None and encoder not in candidates:
            raise HarnessError(
                f"the checkpoint has no encoder '{printable(encoder)}'", where, f"--encoder is one of: {listing}"
            )
        chosen = candidates[names[0] if encoder is None else encoder]
        weights, ignored = renamed(file, chosen.place, chosen.rename, self.dropped)
        # Heads and queues may stand beside the backbone under the same prefix.
        for name in [name for name in weights if not name.startswith(OWN) and not tells_of_another(name)]:
            del weights[name]
            ignored[first_part(name)] += 1
        return Converted(
            self.name,
            chosen.place.encoder,
            self.input,
            weights,
            tuple(f"{name}: {count}" for name, count in sorted(ignored.items())),
            tuple(names),
            (
                f"the publisher is not known from the file: input convention {self.input} is taken "
                "(--input gives another)",
            ),
        )


class Lightning(Generic):
    """A Lightning module of one's own: the one prefix under which a backbone stands."""

    name = "lightning"
    summary = "PyTorch Lightning .ckpt: state_dict with one backbone, whatever stands before its names"

    def candidates(self, file: CheckpointFile) -> dict[str, Candidate]:
        """See :class:`Generic`; the names leave ``state_dict`` out."""
        return {
            candidate.place.prefix.strip(".") or "backbone": dataclasses.replace(
                candidate,
                place=dataclasses.replace(candidate.place, encoder=candidate.place.prefix.strip(".") or "backbone"),
            )
            for candidate in super().candidates(file).values()
            if candidate.place.path == ("state_dict",)
        }

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return is_lightning(file) and super().recognises(file)


def _mappings(content: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of the mappings in a file, the outermost first; each once, and not endlessly many."""
    seen = {id(content)}
    waiting: list[tuple[tuple[str, ...], Mapping[Any, Any]]] = [(path, content)]
    for place, mapping in waiting:
        yield place
        if len(place) == DEEPEST:
            continue
        for key, value in mapping.items():
            if isinstance(value, Mapping) and isinstance(key, str) and id(value) not in seen:
                if len(seen) == MOST_MAPPINGS:
                    return
                seen.add(id(value))
                waiting.append(((*place, key), value))
