"""Toolbox checkpoints of earlier attempts of the same job."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WORK_FOLDER = "toolbox"
"""The toolbox's work folder in an attempt."""

DIGEST = "backbone_digest"
"""Entry of a checkpoint's ``meta`` that names the canonical backbone."""

_EPOCH = re.compile(r"epoch_([0-9]+)\.pth")

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Interrupted:
    """Where an earlier attempt got to.

    Args:
        path: The checkpoint.
        content: What mmengine's ``Runner.save_checkpoint`` put into it.
    """

    path: Path
    content: dict[str, Any]


def last_whole_checkpoint(attempts: Iterable[Path], digest: str) -> Interrupted | None:
    """Finds the checkpoint to go on from.

    Args:
        attempts: Folders of earlier attempts, oldest first.
        digest: Digest of the job's backbone; a checkpoint that carries another one, or none, is passed over.

    Returns:
        The latest epoch of the newest attempt that has a whole one; None where there is none.
    """
    for path in _candidates(attempts):
        content = _read(path)
        if content is None:
            continue
        if content["meta"].get(DIGEST) == digest:
            return Interrupted(path, content)
        logger.warning("%s belongs to another backbone and is passed over", path.name)
    return None


def _candidates(attempts: Iterable[Path]) -> Iterator[Path]:
    for attempt in reversed(list(attempts)):
        found = {path: _EPOCH.fullmatch(path.name) for path in (attempt / WORK_FOLDER).glob("epoch_*.pth")}
        epochs = {path: int(match.group(1)) for path, match in found.items() if match}
        yield from sorted(epochs, key=lambda path: epochs[path], reverse=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a checkpoint, or None where it is truncated, corrupt or holds more than tensors and plain values."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(content["meta"], dict) and isinstance(content["state_dict"], dict):
            return dict(content)
    except Exception as error:  # noqa: BLE001  A broken file makes the loader raise whatever it meets first.
        logger.warning("%s cannot be read and is passed over: %s", path.name, type(error).__name__)
    return None
