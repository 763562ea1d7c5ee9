"""``--ckpt 'runs/*/epoch_*.pth'``: the files that a pattern names, as people would count them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from harness.checkpoint.hub import on_hub
from results.errors import HarnessError


def expanded_checkpoints(checkpoints: Iterable[str]) -> tuple[str, ...]:
    """Puts the files that they match in place of patterns; ``**`` stands for any number of folders.

    Args:
        checkpoints: What stood after ``--ckpt``. A file of just that name is no pattern, nor is a place on the hub.

    Returns:
        What was named, in its order; what was named twice stands twice, since each may have a label. The files of a
        pattern stand once, in natural order: ``epoch_9`` before ``epoch_10``.

    Raises:
        HarnessError: A pattern matches no file.
    """
    found: list[str] = []
    matched: set[str] = set()
    for checkpoint in checkpoints:
        if on_hub(checkpoint) or not glob.has_magic(checkpoint) or os.path.lexists(checkpoint):
            found += [checkpoint] if checkpoint not in matched else []
        else:
            files = [path for path in _matches(checkpoint) if path not in found]
            found += files
            matched.update(files)
    return tuple(found)


def _matches(checkpoint: str) -> list[str]:
    found = [path for path in glob.iglob(checkpoint, recursive=True) if os.path.isfile(path)]
    if not found:
        whole = Path(checkpoint).absolute()
        literal = next(folder for folder in whole.parents if not glob.has_magic(str(folder)) and folder.is_dir())
        raise HarnessError(
            f"no file matches '{checkpoint}'", f"--ckpt, looked for {whole}", f"see what lies in {literal}"
        )
    return sorted(found, key=natural)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key by which numbers in names are ordered as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return [(0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts]
