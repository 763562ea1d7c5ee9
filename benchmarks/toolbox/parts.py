"""A batch that is computed in parts, where it does not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def in_parts(step: Callable[..., Mapping[str, Any]], parts: int) -> Callable[..., Mapping[str, Any]]:
    """A training step that computes a batch in parts.

    The optimiser's wrapper divides each loss by the number of parts, adds their gradients up, and steps after the last
    (``accumulative_counts``): an iteration stays one step of the optimiser, whatever the parts, so no schedule changes.

    Args:
        step: ``train_step`` of a model of mmengine.
        parts: How many.

    Returns:
        A function of the same arguments; its log is the mean of the parts'.
    """

    def stepped(data: Mapping[str, Any], optim_wrapper: Any) -> dict[str, Any]:
        logs = [step(part, optim_wrapper=optim_wrapper) for part in split(data, parts)]
        return {name: sum(log[name] for log in logs) / parts for name in logs[0]}

    return stepped


def split(data: Mapping[str, Any], parts: int) -> list[dict[str, Any]]:
    """Equal parts of a batch, in its order.

    Args:
        data: ``inputs`` (tensor [n, ...], list of n, or views: a list of tensors [n, ...]) and ``data_samples``, a list
            of n.
        parts: How many; n is a multiple.
    """
    samples = data["data_samples"]
    size = len(samples) // parts
    if size * parts != len(samples):
        raise ValueError(f"{len(samples)} images cannot be computed in {parts} equal parts")
    pieces = []
    for number in range(parts):
        begin, end = number * size, (number + 1) * size
        inputs = data["inputs"]
        views = isinstance(inputs, list) and len(inputs) != len(samples)
        piece = [view[begin:end] for view in inputs] if views else inputs[begin:end]
        pieces.append({**data, "inputs": piece, "data_samples": samples[begin:end]})
    return pieces
