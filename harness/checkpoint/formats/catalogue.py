"""Every format; the first that recognises a file takes it. A third party's come through an entry point."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.checkpoint.architecture import architecture
from harness.checkpoint.formats.base import Converted, Format, first_part, unwrapped
from harness.checkpoint.formats.contrastive import (
    BarlowTwins,
    ByolPyTorch,
    Dino,
    InfoMin,
    MoCo,
    MoCoV3,
    PixPro,
    SimCLRPyTorch,
    SimCLRv2,
    SimSiam,
    SwAV,
    VICReg,
    Vissl,
)
from harness.checkpoint.formats.generic import Generic, Lightning
from harness.checkpoint.formats.haiku import ByolDeepMind
from harness.checkpoint.formats.lightning import Lightly, SoloLearn
from harness.checkpoint.formats.openmmlab import Canonical, MMPretrain, MMPretrainBackbone
from harness.checkpoint.formats.supervised import (
    Caffe2,
    Detectron2,
    HuggingFace,
    ImageNetTraining,
    PyCls,
    SimCLRv1,
    Torchvision,
)
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.signature import printable
from harness.checkpoint.stored import Weight
from results.errors import HarnessError

ENTRY_POINT_GROUP = "harness.formats"
"""Entry points of this group name a class derived from :class:`harness.checkpoint.formats.base.Format`."""

TABLE_ROWS = 12
"""Longest list in a refusal."""

PUBLISHERS: tuple[Format, ...] = (
    Canonical(),
    Torchvision(),
    MMPretrain(),
    MMPretrainBackbone(),
    MoCo(),
    MoCoV3(),
    SimSiam(),
    SwAV(),
    Dino(),
    BarlowTwins(),
    VICReg(),
    Vissl(),
    SimCLRv1(),
    SimCLRv2(),
    SimCLRPyTorch(),
    PixPro(),
    InfoMin(),
    ByolPyTorch(),
    ByolDeepMind(),
    SoloLearn(),
    Lightly(),
    ImageNetTraining(),
    HuggingFace(),
    PyCls(),
    Detectron2(),
    Caffe2(),
)
"""Formats of this package; no two of them recognise the same file."""

LAST_RESORTS: tuple[Format, ...] = (Lightning(), Generic())


@functools.cache
def formats() -> tuple[Format, ...]:
    """Every format, in the order in which they are asked.

    Raises:
        HarnessError: An entry point is no format, or takes a name that exists.
    """
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    external = [_load(entry) for entry in sorted(entries, key=lambda entry: (entry.name, entry.value))]
    found = (*PUBLISHERS, *external, *LAST_RESORTS)
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise HarnessError(
                f"two formats are called '{name}'",
                f"entry point group {ENTRY_POINT_GROUP}",
                "rename the one that the entry point brings, or uninstall its package",
            )
    return found


def _load(entry: importlib.metadata.EntryPoint) -> Format:
    where = f"entry point {entry.value} of group {ENTRY_POINT_GROUP}"
    try:
        made = entry.load()()
    except Exception as error:
        raise HarnessError(
            f"a format cannot be loaded: {error}", where, "mend or uninstall the package that brings it"
        ) from error
    if not isinstance(made, Format) or not re.fullmatch("[a-z0-9-]+", getattr(made, "name", "")):
        raise HarnessError(
            "what an entry point brings is no format",
            where,
            "derive the class from harness.checkpoint.formats.base.Format and give it a name of small letters, "
            "digits and -",
        )
    return made


def convert(file: CheckpointFile, where: str, encoder: str | None = None) -> Converted:
    """Finds a file's format and brings the weights of one of its networks under canonical names.

    Args:
        file: What was read.
        where: The file, for messages.
        encoder: Which network; None for the publisher's default.

    Raises:
        HarnessError: No format takes the file, it has no such network, or several and nothing says which.
    """
    for candidate in formats():
        if candidate.recognises(file):
            others = Generic().candidates(file) if encoder is not None else {}
            known = {place.encoder for place in candidate.present(file)}
            if encoder in others and encoder not in known:
                return Generic().convert(file, where, encoder)
            return candidate.convert(file, where, encoder)
    guess = _guess(file.content)
    if guess is not None:
        raise HarnessError(
            f"the checkpoint is {guess}, not a plain ResNet-50\n  found:\n{_listing(file.content)}",
            where,
            "give a checkpoint of a plain ResNet-50 (blocks 3-4-6-3, 7x7 stem)",
        )
    raise HarnessError(
        f"the checkpoint holds no ResNet-50 under any known naming\n  found:\n{_listing(file.content)}",
        where,
        "save the backbone alone with torchvision's names: torch.save(resnet.state_dict(), PATH) "
        "(`python -m harness list formats` shows what is known)",
    )


def shapes_of(weights: Mapping[Any, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a mapping; everything else in it is passed over."""
    return {
        unwrapped(name): value.shape
        for name, value in weights.items()
        if isinstance(name, str) and isinstance(value, Weight)
    }


def _guess(content: Mapping[Any, Any]) -> str | None:
    """The architecture of the file or of any mapping in it, whatever prefix its names have."""
    for mapping in (content, *(value for value in content.values() if isinstance(value, Mapping))):
        shapes = shapes_of(mapping)
        for prefix in sorted({name[: name.rfind("layer1.")] for name in shapes if "layer1." in name} | {""}):
            inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
            if found := architecture(inside):
                return found
    return None


def _listing(content: Mapping[Any, Any]) -> str:
    """A table of the outermost names, and of the prefixes inside every mapping among them."""
    rows = []
    for key, value in list(content.items())[:TABLE_ROWS]:
        rows.append(f"    {_key(key):24} {_describe(value)}")
        if isinstance(value, Mapping):
            rows += [f"      {row}" for row in _prefixes(value)]
    if len(content) > TABLE_ROWS:
        rows = [f"    {len(content)} names at the top:"] + [f"      {row}" for row in _prefixes(content)]
    return "\n".join(rows) if rows else "    nothing: the mapping is empty"


def _prefixes(names: Iterable[Any]) -> list[str]:
    counts: dict[str, int] = {}
    for name in names:
        first = first_part(_key(name))
        counts[first] = counts.get(first, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rows = [f"{prefix[:40]:24} {count}" for prefix, count in ordered[:TABLE_ROWS]]
    return [*rows, f"... and {len(counts) - TABLE_ROWS} more"] if len(counts) > TABLE_ROWS else rows


def _key(key: object) -> str:
    """A key in a list; a hostile one may be a number of a million digits."""
    return printable(key[:80]) if isinstance(key, str) else f"({type(key).__name__})"


def _describe(value: object) -> str:
    if isinstance(value, Weight):
        return f"tensor {list(value.shape)}"
    if isinstance(value, Mapping):
        return f"mapping of {len(value)} names"
    return type(value).__name__
