"""Checks that weights are exactly a ResNet-50 backbone's: all 265 tensors, right shapes, finite values."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.backbone import tensor_shapes
from harness.checkpoint.architecture import architecture
from harness.checkpoint.formats.base import Converted
from harness.checkpoint.formats.catalogue import shapes_of
from harness.checkpoint.read import refusing_damage
from harness.checkpoint.signature import printable
from harness.checkpoint.stored import Weight
from results.errors import HarnessError

if TYPE_CHECKING:
    import torch

LISTED = 5
"""Names given for each kind of problem."""

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Types of weights that are taken; anything but float32 is cast, and the cast is noted."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """A complete backbone.

    Args:
        tensors: The 265 tensors, float32, contiguous, in memory of their own.
        coverage: ``convolutions`` and ``batch_norms``: how many of each are complete.
        warnings: Casts that were made.
    """

    tensors: Mapping[str, torch.Tensor]
    coverage: Mapping[str, int]
    warnings: tuple[str, ...]


def check(converted: Converted, where: str) -> Checked:
    """Takes exactly the canonical tensors, cast to float32.

    Args:
        converted: Weights under canonical names.
        where: The file, for messages.

    Returns:
        The backbone.

    Raises:
        HarnessError: Anything is missing, misshapen, not finite, of another kind, or too much; with a table of it.
    """
    sound: dict[str, Weight] = {}
    problems: dict[str, list[str]] = defaultdict(list)
    for name, shape in tensor_shapes().items():
        if name not in converted.weights:
            problems["missing"].append(name)
            continue
        value = converted.weights[name]
        problem = _wrong_kind(value, shape)
        if problem:
            problems[problem[0]].append(f"{name}{problem[1]}")
        else:
            sound[name] = value
    surplus = [printable(name)[:80] for name in converted.weights if name not in tensor_shapes()]
    if surplus:
        problems["beyond ResNet-50"] = surplus
    if problems:
        raise _refusal(converted, problems, coverage_of(sound), where)
    # Values are read only where every shape is right: a hostile file cannot ask for more memory than a ResNet-50 takes.
    tensors, casts = _values(sound, problems, where)
    if problems:
        raise _refusal(converted, problems, coverage_of(tensors), where)
    return Checked(
        tensors,
        coverage_of(tensors),
        tuple(f"{count} tensors of {dtype} were cast to float32" for dtype, count in casts.items()),
    )


def _values(
    sound: Mapping[str, Weight], problems: dict[str, list[str]], where: str
) -> tuple[dict[str, torch.Tensor], Counter[str]]:
    """Reads the values, float32, and counts the casts; tensors with impossible values are added to the problems."""
    import torch

    tensors: dict[str, torch.Tensor] = {}
    casts: Counter[str] = Counter()
    for name, weight in sound.items():
        with refusing_damage(where):
            value = weight.read().to(torch.float32)
        problem = _wrong_values(name, value)
        if problem:
            problems[problem[0]].append(f"{name}{problem[1]}")
            continue
        tensors[name] = value
        if weight.dtype != "float32":
            casts[weight.dtype] += 1
    return tensors, casts


def _wrong_kind(value: Any, shape: tuple[int, ...]) -> tuple[str, str] | None:
    """What is wrong with one weight before its values are looked at: the kind of problem and what was found."""
    if not isinstance(value, Weight):
        return "no tensor", f" is a {type(value).__name__}"
    if value.dtype not in FLOATS:
        return "wrong type", f" is {printable(value.dtype)}, expected {', '.join(FLOATS[:-1])} or {FLOATS[-1]}"
    if value.shape != shape:
        return "misshapen", f" found {list(value.shape)}, expected {list(shape)}"
    return None


def _wrong_values(name: str, value: torch.Tensor) -> tuple[str, str] | None:
    import torch

    smallest, largest = (float(extreme) for extreme in torch.aminmax(value))
    # NaN anywhere makes both extremes NaN.
    if not math.isfinite(smallest) or not math.isfinite(largest):
        return "not finite", f" ({int((~torch.isfinite(value)).sum())} of {value.numel()} values)"
    if name.endswith("running_var") and smallest < 0:
        return "negative variance", f" (smallest {smallest:g})"
    return None


def coverage_of(complete: Iterable[str]) -> dict[str, int]:
    """Counts complete layers.

    Args:
        complete: Canonical names of the tensors that are all right.

    Returns:
        ``convolutions``, and ``batch_norms`` of which all four tensors are there.
    """
    complete = set(complete)
    shapes = tensor_shapes()
    convolutions = sum(len(shapes[name]) == 4 for name in complete)
    norms = Counter(name.rpartition(".")[0] for name in complete if len(shapes[name]) == 1)
    return {"convolutions": convolutions, "batch_norms": sum(parts == 4 for parts in norms.values())}


def _refusal(
    converted: Converted, problems: Mapping[str, list[str]], coverage: Mapping[str, int], where: str
) -> HarnessError:
    other = architecture(shapes_of(converted.weights))
    total = coverage_of(tensor_shapes())
    rows = [
        f"  {'format':18}{converted.format}, encoder {printable(converted.encoder)}",
        f"  {'convolutions':18}{coverage['convolutions']}/{total['convolutions']}",
        f"  {'batch norms':18}{coverage['batch_norms']}/{total['batch_norms']}",
    ]
    for kind, names in problems.items():
        more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
        rows.append(f"  {kind:18}{', '.join(names[:LISTED])}{more}")
    what = f"the checkpoint is {other}, not a plain ResNet-50" if other else "the checkpoint is no complete ResNet-50"
    return HarnessError(
        "\n".join([what, *rows]), where, "give a checkpoint of a plain ResNet-50 (blocks 3-4-6-3, 7x7 stem)"
    )
