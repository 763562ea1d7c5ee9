"""Making the sample tree: whole or not at all, and never over somebody's data."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.datasets.sample.cityscapes import write_cityscapes
from benchmarks.datasets.sample.classification import write_imagenet, write_inaturalist2018, write_places205
from benchmarks.datasets.sample.coco import write_coco
from benchmarks.datasets.sample.tree import Tree
from benchmarks.datasets.sample.voc import write_voc2007, write_voc2012
from results.errors import HarnessError
from results.files import temporary_name

VERSION = 1
"""Grows with every change of the sample's content."""
MANIFEST = "sample.json"
"""Version, number of files, and which handwritten digits went into which image on which side."""

WRITERS = (
    write_imagenet,
    write_places205,
    write_inaturalist2018,
    write_voc2007,
    write_voc2012,
    write_coco,
    write_cityscapes,
)


def make_sample(root: Path) -> None:
    """Makes the sample tree at ``root``; the same bytes each time.

    It is built under a temporary name beside ``root`` and renamed. Where ``root`` already holds it, nothing is done.

    Args:
        root: The data root; missing, an empty folder, or a sample made before.

    Raises:
        HarnessError: ``root`` holds something else, a damaged sample or one of another version; it cannot be written.
    """
    root = Path(os.path.realpath(root))
    if _is_sample(root):
        return
    temporary = temporary_name(root)
    try:
        tree = Tree(temporary)
        for write in WRITERS:
            write(tree)
        tree.json(MANIFEST, {"sample": VERSION, "files": tree.files + 1, "digits": tree.digits})
        _rename(temporary, root)
    except OSError as error:
        raise HarnessError(
            f"cannot write the sample: {error.strerror or error}",
            str(root),
            "free some space (it takes 20 MB) or choose another folder with --data",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, root: Path) -> None:
    try:
        temporary.rename(root)
    except OSError:
        # Another process may have made the same sample in the meantime.
        if not _is_sample(root):
            raise


def _is_sample(root: Path) -> bool:
    """Whether the complete sample of this version is there; False where nothing is there at all."""
    try:
        if not any(root.iterdir()):
            return False
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HarnessError(
            f"cannot make the sample there: {error.strerror}", str(root), "choose another folder with --data"
        ) from error
    manifest = _manifest(root / MANIFEST)
    if manifest is None:
        raise HarnessError(
            "the folder holds something else than the sample; it is left as it is",
            str(root),
            "choose a folder that does not exist yet: python -m harness data sample --data DIR",
        )
    there = sum(len(names) for _, _, names in os.walk(root))
    if manifest["sample"] != VERSION or there < manifest["files"]:
        made = f"version {manifest['sample']}" if manifest["sample"] != VERSION else "damaged: files are missing"
        raise HarnessError(
            f"the sample there is {made}; version {VERSION} is wanted",
            str(root),
            "remove that folder and run the same command again",
        )
    return True


def _manifest(path: Path) -> dict[str, Any] | None:
    """The manifest, or None where there is none that this module could have written."""
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(raw, dict) and isinstance(raw.get("sample"), int) and isinstance(raw.get("files"), int)
    return raw if whole else None
