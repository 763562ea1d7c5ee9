"""Publishers' layouts of a ResNet-50 checkpoint: one small class each.

A new publisher is a class with a name, a summary and :meth:`Format.weights`, put into :data:`FORMATS`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.backbone import tensor_shapes
from benchmarks.input_convention import DEFAULT_CONVENTION
from harness.checkpoint.architecture import architecture
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.signature import printable
from results.errors import HarnessError
from results.files import write_whole

if TYPE_CHECKING:
    import torch

COUNTER = "num_batches_tracked"
"""Batch norms count their batches; no forward pass reads the count."""

TABLE_ROWS = 12
"""Longest list in a refusal."""


@dataclasses.dataclass(frozen=True)
class Converted:
    """Weights under canonical names, not yet checked.

    Args:
        format: Name of the format.
        encoder: Which of several networks in the file.
        input: Input convention that this format's networks are trained with.
        weights: Whatever stands under each canonical name; names beyond the 265 belong to another architecture.
        ignored: What was left out, as ``prefix.*: count``.
        digest: Digest that the file itself declares; empty where it declares none.
    """

    format: str
    encoder: str
    input: str
    weights: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    digest: str = ""


class Format(ABC):
    """One layout."""

    name: ClassVar[str]
    """Its name in records and on the command line."""
    summary: ClassVar[str]
    """What it looks like, for lists and refusals."""
    prefix: ClassVar[str] = ""
    """Stands before the backbone's names."""
    dropped: ClassVar[tuple[str, ...]] = ()
    """Prefixes beside the backbone's names that are expected and left out."""
    encoder: ClassVar[str] = "backbone"
    input: ClassVar[str] = DEFAULT_CONVENTION

    @abstractmethod
    def weights(self, file: CheckpointFile) -> Mapping[str, Any] | None:
        """The mapping that holds the weights, names as in the file; None where the file has another layout."""

    def convert(self, file: CheckpointFile) -> Converted | None:
        """Brings a file's weights under canonical names.

        Returns:
            The weights; None where the file has another layout.
        """
        named = self.weights(file)
        if named is None:
            return None
        weights: dict[str, Any] = {}
        ignored: Counter[str] = Counter()
        for name, value in named.items():
            bare = name.removeprefix(self.prefix)
            if not name.startswith(self.prefix) or name.startswith(self.dropped):
                ignored[_first_part(name)] += 1
            elif not bare.endswith(COUNTER):
                weights[bare] = value
        return Converted(
            self.name,
            self.encoder,
            self.input,
            weights,
            tuple(f"{prefix}: {count}" for prefix, count in sorted(ignored.items())),
            file.metadata.get("digest", ""),
        )


class MMPretrain(Format):
    """Full checkpoint of OpenMMLab: ``mmengine/runner/checkpoint.py``, also mmcv's and OpenSelfSup's.

    Everything beside ``backbone.`` is left out: neck, head, data preprocessor, and the momentum copies ``encoder_k``
    (MoCo), ``target_net`` (BYOL), ``momentum_encoder`` (MoCo v3).
    """

    name = "mmpretrain"
    summary = "mmselfsup, mmpretrain, OpenSelfSup: state_dict with backbone.* (module. before it is dropped)"
    prefix = "backbone."

    def weights(self, file: CheckpointFile) -> Mapping[str, Any] | None:
        """See :class:`Format`."""
        named = _openmmlab_state(file)
        return named if any(name.startswith(self.prefix) for name in named) else None


class MMPretrainBackbone(Format):
    """What ``tools/model_converters/extract_backbone_weights.py`` of mmselfsup writes.

    A classifier beside the weights means another publisher (torchvision's training script, SimCLR converters), whose
    input convention is not known from the file.
    """

    name = "mmpretrain-backbone"
    summary = "mmselfsup, mmpretrain extracted backbone: state_dict with conv1.weight, layer1.*, no fc"

    def weights(self, file: CheckpointFile) -> Mapping[str, Any] | None:
        """See :class:`Format`."""
        named = _openmmlab_state(file)
        return named if _is_resnet(named, also=()) else None


class Torchvision(Format):
    """A flat state dict with torchvision's names, of a torch file or of safetensors."""

    name = "torchvision"
    summary = "torchvision, timm: flat state dict with conv1.weight, layer1.* (fc.* is dropped)"
    dropped = ("fc.",)

    def weights(self, file: CheckpointFile) -> Mapping[str, Any] | None:
        """See :class:`Format`."""
        named = _text_keys(file.content)
        return named if "digest" not in file.metadata and _is_resnet(named, also=self.dropped) else None


class Canonical(Format):
    """Our own ``backbone.safetensors``."""

    name = "canonical"
    summary = "this harness: backbone.safetensors of a workspace, with its digest"

    def weights(self, file: CheckpointFile) -> Mapping[str, Any] | None:
        """See :class:`Format`."""
        return _text_keys(file.content) if "digest" in file.metadata else None


FORMATS: tuple[Format, ...] = (Canonical(), Torchvision(), MMPretrain(), MMPretrainBackbone())
"""Every format; no two of them take the same file."""


def convert(file: CheckpointFile, where: str) -> Converted:
    """Finds a file's format and brings its weights under canonical names.

    Args:
        file: What was read.
        where: The file, for messages.

    Raises:
        HarnessError: No format takes the file; lists what was found.
    """
    for candidate in FORMATS:
        converted = candidate.convert(file)
        if converted is not None:
            return converted
    guess = _guess(file.content)
    looks = f": it looks like {guess}" if guess else ""
    known = "\n".join(f"    {candidate.name:20} {candidate.summary}" for candidate in FORMATS)
    raise HarnessError(
        f"the layout of the checkpoint is not known{looks}\n"
        f"  found:\n{_listing(file.content)}\n  known formats:\n{known}",
        where,
        "save the backbone alone with torchvision's names: torch.save(resnet.state_dict(), PATH)",
    )


def write_mmpretrain(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes canonical tensors as a full checkpoint of mmselfsup or mmpretrain.

    Args:
        path: The target, written whole.
        tensors: Canonical backbone.
    """
    _save(path, {"meta": {}, "state_dict": {f"backbone.{name}": tensors[name] for name in tensor_shapes()}})


def write_torchvision(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes canonical tensors as a flat state dict. Arguments as :func:`write_mmpretrain`."""
    _save(path, {name: tensors[name] for name in tensor_shapes()})


WRITERS: Mapping[str, Callable[[Path, Mapping[str, torch.Tensor]], None]] = {
    MMPretrain.name: write_mmpretrain,
    Torchvision.name: write_torchvision,
}
"""Formats that can be written, by name."""


def _save(path: Path, content: Mapping[str, Any]) -> None:
    import torch

    write_whole(path, lambda stream: torch.save(content, stream))


def _text_keys(value: object) -> dict[str, Any]:
    return {name: item for name, item in value.items() if isinstance(name, str)} if isinstance(value, Mapping) else {}


def _openmmlab_state(file: CheckpointFile) -> dict[str, Any]:
    """The ``state_dict`` without DDP's ``module.``; empty for Lightning's files, which are laid out alike."""
    content = _text_keys(file.content)
    if "pytorch-lightning_version" in content:
        return {}
    named = _text_keys(content.get("state_dict"))
    return {name.removeprefix("module."): value for name, value in named.items()}


def _is_resnet(named: Mapping[str, Any], also: tuple[str, ...]) -> bool:
    """Whether these are a ResNet's names and, but for the prefixes in ``also``, nothing else."""
    own = ("conv1.", "bn1.", "layer", "stem.")
    return any(name.startswith("layer1.") for name in named) and all(name.startswith(own + also) for name in named)


def _first_part(name: str) -> str:
    first, dot, _ = name.partition(".")
    return printable(first) + (".*" if dot else "")


def shapes_of(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a mapping; everything else in it is passed over."""
    import torch

    return {name: tuple(value.shape) for name, value in weights.items() if isinstance(value, torch.Tensor)}


def _guess(content: Mapping[Any, Any]) -> str | None:
    """The architecture of the file or of any mapping in it, whatever prefix its names have."""
    for mapping in (content, *(value for value in content.values() if isinstance(value, Mapping))):
        shapes = shapes_of(_text_keys(mapping))
        for prefix in sorted({name[: name.rfind("layer1.")] for name in shapes if "layer1." in name} | {""}):
            inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
            if found := architecture(inside):
                return found
    return None


def _listing(content: Mapping[Any, Any]) -> str:
    """A table of the outermost names, and of the prefixes inside every mapping among them."""
    rows = []
    for key, value in list(content.items())[:TABLE_ROWS]:
        rows.append(f"    {printable(str(key))[:40]:24} {_describe(value)}")
        if isinstance(value, Mapping):
            rows += [f"      {row}" for row in _prefixes(value)]
    if len(content) > TABLE_ROWS:
        rows = [f"    {len(content)} names at the top:"] + [f"      {row}" for row in _prefixes(content)]
    return "\n".join(rows) if rows else "    nothing: the mapping is empty"


def _prefixes(names: Iterable[Any]) -> list[str]:
    counts = Counter(_first_part(str(name)) for name in names)
    rows = [f"{prefix[:40]:24} {count}" for prefix, count in counts.most_common(TABLE_ROWS)]
    return [*rows, f"... and {len(counts) - TABLE_ROWS} more"] if len(counts) > TABLE_ROWS else rows


def _describe(value: object) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return f"tensor {list(value.shape)}"
    if isinstance(value, Mapping):
        return f"mapping of {len(value)} names"
    return type(value).__name__
