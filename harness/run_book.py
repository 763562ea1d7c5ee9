"""The file of a run: what was asked for, and what was handed to which executor."""

from __future__ import annotations

import datetime
import sys
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.ledger import now
from harness.plan import Plan, run_entry
from harness.settings import Settings
from results.files import file_sha256, read_json, to_json, write_whole


def run_id() -> str:
    """An id for a run: when it began, and what tells it from others that began then."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{stamp}-{uuid.uuid4().hex[:8]}"


class RunBook:
    """The file of a run: what was asked for, and what was handed to which executor.

    Args:
        folder: ``runs/`` of the workspace.
        made: The plan.
        settings: What it was made of.
        run: Id of the run; None for a new one.
        argv: Its command line; None for this process's.
    """

    def __init__(
        self, folder: Path, made: Plan, settings: Settings, run: str | None = None, argv: Sequence[str] | None = None
    ) -> None:
        self._path = folder / f"{run or run_id()}.json"
        self._fields: dict[str, Any] = {
            "id": self._path.stem,
            "argv": sys.argv[1:] if argv is None else list(argv),
            "checkpoints": [
                {
                    "label": each.label,
                    "path": each.checkpoint,
                    "digest": each.intake.digest,
                    "encoder": each.intake.encoder,
                    "input": each.intake.input,
                    "source": each.intake.source,
                    "format": each.intake.format,
                    "remarks": list(each.intake.remarks),
                    "sha256": _file_hash(each.checkpoint),
                }
                for each in made.checkpoints
            ],
            "jobs": [run_entry(planned) for planned in made.jobs if not planned.job.extracts],
            "settings_digest": settings.digest(),
            "submissions": [],
            "created": now(),
        }

    def write(self) -> None:
        write_whole(self._path, to_json(self._fields))

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def id(self) -> str:
        """Id of the run."""
        return self._path.stem

    def submitted(self, executor: str, submitted: Iterable[tuple[str, str]]) -> None:
        """Notes what was submitted: names of jobs and the executor's ids."""
        note_submissions(self._path, executor, submitted)


def _file_hash(checkpoint: str) -> str:
    """sha256 of a checkpoint's file, by which metadata may name it; empty for what is no local file."""
    path = Path(checkpoint)
    return file_sha256(path) if path.is_file() else ""


def note_submissions(path: Path, executor: str, submitted: Iterable[tuple[str, str]]) -> None:
    """Adds what was submitted later to the file of a run.

    Args:
        path: Of the run.
        executor: What it was handed to.
        submitted: Names of jobs and the executor's ids.

    Raises:
        HarnessError: The file cannot be read or written.
    """
    fields = read_json(path)
    fields["submissions"] += [{"job": job, "executor": executor, "id": number} for job, number in submitted]
    write_whole(path, to_json(fields))
