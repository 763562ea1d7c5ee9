"""The fingerprint of a data set: which lists and annotations a number was measured on.

Images are not read: ``data check`` does that. Hashes of files are cached by (real path, size, mtime), so that a plan
on a data set seen before costs one ``stat`` a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.datasets import folder, lists
from benchmarks.datasets.layout import annotation_files, class_names, data_set, entries
from results.errors import HarnessError
from results.files import write_whole
from results.record import DataStamp, canonical_json, sha256_of

SETTLED_NS = 2_000_000_000
"""A file changed less than two seconds before it was hashed is hashed again next time: its time stamp would not show
another change within the clock's grain (FAT's, the coarsest in use, is two seconds)."""

_FORM = 1
"""Version of the cache's form and of what :func:`_summary` computes."""


def fingerprint(name: str, root: Path, cache: Path | None) -> DataStamp:
    """Identifies the data that a benchmark reads, wherever its root lies.

    Args:
        name: Name of the data set.
        root: The data root.
        cache: Folder of the cache, made where it is missing; None for none.

    Returns:
        The stamp. Its fingerprint is the sha256 of the canonical JSON of: the data set's name, [relative path, sha256
        of content] of every list and annotation file (of a folder without lists, a sha256 over names and sizes of
        images), entries per split and ``classes``, names of the classes.

    Raises:
        HarnessError: Unknown data set; a list or annotation file is missing or bad.
    """
    data_set(name)
    remembered = _read_cache(cache, name, root)
    files = annotation_files(name, root)
    hashes = _hashes(files, remembered["files"])
    contents = [[path.relative_to(root).as_posix(), sha] for path, (_, sha) in zip(files, hashes, strict=True)]
    if name == folder.NAME:
        contents += folder.listing(root)
    key = sha256_of(contents)
    summary = remembered["summary"] if remembered["key"] == key else _summary(name, root)
    fresh = {real: [size, mtime, sha] for (real, size, mtime, settled), sha in hashes if settled}
    if cache is not None and (fresh != remembered["files"] or key != remembered["key"]):
        content = {"form": _FORM, "files": fresh, "key": key, "summary": summary}
        write_whole(_cache_file(cache, name, root), canonical_json(content))
    counts = {what: summary["counts"][what] for what in data_set(name).counted}
    stamp = sha256_of({"name": name, "files": contents, **summary})
    return DataStamp(name, stamp, counts, nonstandard_counts(name, counts))


def nonstandard_counts(name: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    """One sentence for each count that differs from the official one.

    Args:
        name: Name of the data set.
        counts: Entries of each split, and ``classes``.

    Raises:
        HarnessError: Unknown data set.
    """
    title, official = data_set(name).title, data_set(name).official
    return tuple(
        f"{title} has {counts[what]:,} {'classes' if what == 'classes' else f'images in {what}'}, not {count:,}."
        for what, count in official.items()
        if counts[what] != count
    )


def _summary(name: str, root: Path) -> dict[str, Any]:
    """Counts and label map, from the lists."""
    return {"counts": listed_counts(name, root), "classes": list(class_names(name, root))}


def listed_counts(name: str, root: Path) -> dict[str, int]:
    """Entries of each split, and ``classes``, from the lists.

    Raises:
        HarnessError: Unknown data set; a list is missing or bad.
    """
    counts = {split: len(entries(name, root, split)) for split in data_set(name).splits}
    return {**counts, "classes": len(class_names(name, root))}


def _identity(path: Path, folders: dict[str, str], now: int) -> tuple[str, int, int, bool]:
    """Real path, size, mtime in ns, and whether that mtime is old enough to be believed."""
    folder, base = os.path.split(path)
    # Resolving every path by itself would cost several calls for each of VOC's 21,000 XML files.
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    try:
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(folders[folder], base)
        status = os.stat(real)
    except OSError as error:
        raise HarnessError(
            f"cannot read {base}: {error.strerror}",
            str(path),
            "see what else is missing: python -m harness data check --data DIR",
        ) from error
    return real, status.st_size, status.st_mtime_ns, now - status.st_mtime_ns > SETTLED_NS


def _hashes(files: list[Path], remembered: Mapping[str, list[Any]]) -> list[tuple[tuple[str, int, int, bool], str]]:
    """Identity and sha256 of each file, from the cache where its size and mtime are the same."""
    folders: dict[str, str] = {}
    now = time.time_ns()
    found = []
    for path in files:
        identity = _identity(path, folders, now)
        known = remembered.get(identity[0])
        if known is not None and known[:2] == [identity[1], identity[2]]:
            sha = str(known[2])
        else:
            sha = hashlib.sha256(lists.read_bytes(path)).hexdigest()
        found.append((identity, sha))
    return found


def _cache_file(cache: Path, name: str, root: Path) -> Path:
    """One file for a data set at a place, so that it never grows beyond what lies there."""
    place = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]
    return cache / f"data-{name}-{place}.json"


def _read_cache(cache: Path | None, name: str, root: Path) -> dict[str, Any]:
    """What was remembered; nothing where there is no cache or it is not of this form."""
    nothing: dict[str, Any] = {"files": {}, "key": "", "summary": {}}
    if cache is None:
        return nothing
    try:
        raw = json.loads(_cache_file(cache, name, root).read_bytes())
    except (OSError, ValueError, RecursionError):
        return nothing
    return raw if _is_cache(raw, data_set(name).counted) else nothing


def _is_cache(raw: Any, counted: Iterable[str]) -> bool:
    """Whether parsed JSON has the form that :func:`fingerprint` writes."""
    if not isinstance(raw, dict) or raw.get("form") != _FORM or not isinstance(raw.get("key"), str):
        return False
    files, summary = raw.get("files"), raw.get("summary")
    if not isinstance(files, dict) or not isinstance(summary, dict):
        return False
    counts, classes = summary.get("counts"), summary.get("classes")
    return (
        all(isinstance(one, list) and [type(part) for part in one] == [int, int, str] for one in files.values())
        and isinstance(counts, dict)
        and {what: type(count) for what, count in counts.items()} == dict.fromkeys(counted, int)
        and isinstance(classes, list)
        and all(isinstance(one, str) for one in classes)
    )
