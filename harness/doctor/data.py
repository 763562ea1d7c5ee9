"""Data sets of the suite: present, and of the official counts; as a plan looks at them."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from benchmarks.datasets.fingerprint import listed_counts, nonstandard_counts
from benchmarks.datasets.layout import data_set, missing_files
from harness.doctor.findings import Finding, error, ok, warning
from harness.doctor.subject import Subject
from results.errors import HarnessError

NAMED = 3
"""So many missing files are named."""


@functools.cache
def counts_of(name: str, root: Path) -> Mapping[str, int]:
    """Entries of each split, and ``classes``, from the lists, read once.

    Raises:
        HarnessError: A list is missing or bad.
    """
    return listed_counts(name, root)


def data_root(subject: Subject) -> Finding:
    """The folder that holds the data sets."""
    root = subject.settings.data.absolute()
    mend = "give --data, or make a small sample: python -m harness data sample --data data/sample"
    if not root.exists():
        return error("data root", f"{root} does not exist", mend)
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        return error("data root", f"{root} is not a folder that you can read", mend)
    return ok("data root", str(root))


def data(name: str, subject: Subject) -> Finding:
    """One data set: lists and images are there, counts are official. No image is opened.

    Args:
        name: Of the data set.
        subject: What is looked at.
    """
    root = subject.settings.data.absolute()
    title = f"data {name}"
    absent = missing_files(name, root, NAMED + 1)
    if absent:
        more = " and more" if len(absent) > NAMED else ""
        said = f"{data_set(name).title} lacks {', '.join(absent[:NAMED])}{more}"
        if subject.settings.allow_missing_data:
            return warning(
                title, f"{said}; its benchmarks are left out", f"python -m harness data check --suite {name}"
            )
        mend = f"python -m harness data prepare {name} --from ARCHIVE, or --allow-missing-data, or another --suite"
        return error(title, said, mend)
    try:
        counts = counts_of(name, root)
    except HarnessError as failed:
        return error(title, f"{failed.what} ({failed.where})", failed.mend)
    listed = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    nonstandard = nonstandard_counts(name, counts)
    if not nonstandard:
        return ok(title, listed)
    said = f"{listed}; not the official counts"
    if not subject.is_full:
        return ok(title, said)
    if subject.settings.allow_nonstandard_data:
        return warning(title, said, "nothing, where that is meant: it is recorded with every number")
    return error(title, said, "give the official data, or --allow-nonstandard-data, or --profile smoke")
