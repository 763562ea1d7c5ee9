"""What of a workspace may be freed once it is finished, and freeing it.

Results, records, pages, claims, outcomes of attempts and what pretraining made always stay, and so does all of a job
that somebody may be working on or that is not finished: it goes on from there. Whatever is freed is looked at once more
first, so the same call may be repeated at any time, and after a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from benchmarks.toolbox.resume import WORK_FOLDER
from harness.completeness import is_complete
from harness.job import Job
from harness.ledger import JobFolder
from results.errors import HarnessError
from results.files import TEMPORARY_SUFFIX, temporary_name
from results.workspace import KEY_CHARACTERS, Workspace

KINDS = ("attempts", "weights", "features")
"""Logs and the toolbox's work folder of attempts; the toolbox's checkpoints in it; features."""


@dataclasses.dataclass(frozen=True)
class Freeable:
    """Something that may be freed.

    Args:
        kind: One of :data:`KINDS`.
        name: The job's, or that of the folder of features.
        paths: Files, or one folder of features.
        size: Bytes that become free; a file that also stands elsewhere (a hard link) frees none.
    """

    kind: str
    name: str
    paths: tuple[Path, ...]
    size: int


def find_freeable(workspace: Workspace, kinds: Collection[str] = KINDS) -> list[Freeable]:
    """Everything that may be freed now.

    Args:
        workspace: Where to look.
        kinds: Which of :data:`KINDS`.

    Raises:
        HarnessError: A file of the ledger is corrupt.
    """
    found = [each for folder in _job_folders(workspace) for each in _of_job(workspace, folder, kinds)]
    if "features" in kinds:
        users = _users(workspace)
        found += [each for path in _feature_folders(workspace) for each in _of_features(workspace, path, users)]
    return found


def free(workspace: Workspace, item: Freeable) -> int:
    """Frees something, if it may still be freed.

    Returns:
        Bytes that became free.

    Raises:
        HarnessError: A file cannot be removed, or a file of the ledger is corrupt.
    """
    try:
        if item.kind == "features":
            return sum(_remove_features(each) for each in _of_features(workspace, item.paths[0], _users(workspace)))
        room = workspace.jobs if (workspace.jobs / item.name).is_dir() else workspace.pretrain
        folder = JobFolder(room / item.name)
        return sum(_remove_files(each, folder) for each in _of_job(workspace, folder, (item.kind,)))
    except OSError as error:
        raise HarnessError(
            f"cannot remove {error.filename or item.name}: {error.strerror or error}",
            str(workspace.root),
            "make the folder writable and run the same command again: it goes on",
        ) from error


def _remove_files(item: Freeable, folder: JobFolder) -> int:
    for path in item.paths:
        path.unlink(missing_ok=True)
    for attempt in folder.attempts():
        # The attempt itself stays: attempts are counted.
        for place, _, _ in os.walk(folder.attempt_folder(attempt) / WORK_FOLDER, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(place)
    return item.size


def _remove_features(item: Freeable) -> int:
    """Under another name first: nobody finds a part of the features, and what a kill leaves is known by its name."""
    folder = item.paths[0]
    aside = folder if folder.name.endswith(TEMPORARY_SUFFIX) else temporary_name(folder)
    if aside != folder:
        folder.rename(aside)
    shutil.rmtree(aside)
    return item.size


# Jobs -----------------------------------------------------------------------------------------------------------------


def _job_folders(workspace: Workspace) -> Iterator[JobFolder]:
    for room in (workspace.jobs, workspace.pretrain):
        if room.is_dir():
            yield from (JobFolder(path) for path in sorted(room.iterdir()) if path.is_dir())


def _read_job(folder: JobFolder) -> Job:
    try:
        return Job.from_dict(folder.read_spec())
    except (KeyError, TypeError) as error:
        raise HarnessError(
            "spec.json is not what the harness wrote there", str(folder.spec), "run the job's command again"
        ) from error


def _of_job(workspace: Workspace, folder: JobFolder, kinds: Collection[str]) -> list[Freeable]:
    """What of a job's attempts may be freed: of a finished one's, their logs and what the toolbox left."""
    if not folder.is_finished() or folder.live_claim() is not None:
        return []
    job = _read_job(folder)
    # A pretraining job without its checkpoint goes on from its last epoch. Missing features are extracted anew, from
    # nothing that an attempt left.
    if job.pretrains and not is_complete(workspace, job):
        return []
    logs: list[Path] = []
    weights: list[Path] = []
    for attempt in folder.attempts():
        path = folder.attempt_folder(attempt)
        logs += [each for each in sorted(path.glob("log*.txt")) if _is_file(each)]
        for each in _files_below(path / WORK_FOLDER):
            (weights if each.suffix == ".pth" else logs).append(each)
    found = (("attempts", logs), ("weights", weights))
    return [_freeable(kind, folder.name, paths) for kind, paths in found if paths and kind in kinds]


# Features -------------------------------------------------------------------------------------------------------------


def _users(workspace: Workspace) -> dict[str, list[JobFolder]]:
    """Benchmarks' jobs by the key of the features that they need."""
    users: dict[str, list[JobFolder]] = {}
    for folder in _job_folders(workspace):
        if folder.spec.exists():
            extraction = _read_job(folder).feature_job()
            if extraction is not None:
                users.setdefault(extraction.key, []).append(folder)
    return users


def _feature_folders(workspace: Workspace) -> list[Path]:
    if not workspace.features.is_dir():
        return []
    return [path for path in sorted(workspace.features.iterdir()) if path.is_dir() and not path.is_symlink()]


def _of_features(workspace: Workspace, path: Path, users: dict[str, list[JobFolder]]) -> list[Freeable]:
    """Features whose probes are all finished, and what an extraction left that was killed.

    Features that no job here needs may be wanted by somebody who shares the folder: they stay.
    """
    unfinished = path.name.endswith(TEMPORARY_SUFFIX)
    key = path.name.lstrip(".").partition(".")[0]
    extraction = JobFolder(workspace.jobs / f"features-{key[:KEY_CHARACTERS]}")
    if extraction.live_claim() is not None or not path.is_dir():
        return []
    needed_by = users.get(key, [])
    if not unfinished and not needed_by:
        return []
    if not unfinished and any(not user.is_finished() or user.live_claim() is not None for user in needed_by):
        return []
    return [Freeable("features", path.name, (path,), sum(_size(each) for each in _files_below(path)))]


# Files ----------------------------------------------------------------------------------------------------------------


def _freeable(kind: str, name: str, paths: Iterable[Path]) -> Freeable:
    return Freeable(kind, name, tuple(paths), sum(_size(path) for path in paths))


def _files_below(folder: Path) -> Iterator[Path]:
    """Plain files and links in a folder; links are not followed."""
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in sorted(names))


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _size(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 else 0
