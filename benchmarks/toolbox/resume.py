"""Toolbox checkpoints of earlier attempts of the same job."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from results.errors import HarnessError
from results.files import open_own

WORK_FOLDER = "toolbox"
"""The toolbox's work folder in an attempt."""

ORIGIN = "origin"
"""Entry of a checkpoint's ``meta`` that names what was trained from: the digest of the canonical backbone."""

_NAME = re.compile(r"(?:epoch|iter)_([0-9]+)\.pth")

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


def last_whole_checkpoint(attempts: Iterable[Path], origin: str) -> Interrupted | None:
    """Finds the checkpoint to go on from.

    Args:
        attempts: Folders of earlier attempts, oldest first.
        origin: What the job trains from; a checkpoint that carries something else, or nothing, is passed over.

    Returns:
        The latest checkpoint of the newest attempt that has a whole one; None where there is none.

    Raises:
        HarnessError: A checkpoint that others wrote, or may have written.
    """
    for path in _candidates(attempts):
        content = _read(path)
        if content is None:
            continue
        if content["meta"].get(ORIGIN) == origin:
            return Interrupted(path, content)
        logger.warning("%s was trained from another backbone and is passed over", path.name)
    return None


def _candidates(attempts: Iterable[Path]) -> Iterator[Path]:
    for attempt in reversed(list(attempts)):
        found = {path: _NAME.fullmatch(path.name) for path in (attempt / WORK_FOLDER).glob("*.pth")}
        done = {path: int(match.group(1)) for path, match in found.items() if match}
        yield from sorted(done, key=lambda path: done[path], reverse=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a checkpoint, or None where it is truncated, corrupt or holds more than tensors and plain values."""
    import torch

    try:
        with open_own(path) as stream:
            content = torch.load(stream, map_location="cpu", weights_only=True)
        if isinstance(content["meta"], dict) and isinstance(content["state_dict"], dict):
            return dict(content)
    except HarnessError:
        raise
    except Exception as error:  # noqa: BLE001  A broken file makes the loader raise whatever it meets first.
        logger.warning("%s cannot be read and is passed over: %s", path.name, type(error).__name__)
    return None
