"""Submissions: what was handed to SLURM, written down before it was.

``submissions/<token>/`` holds ``intent.json`` (before sbatch is called), ``submitted.json`` (its number) or
``void.json`` (it never came to be), ``closed.json`` (all its tasks have ended and were judged), the script, and what
SLURM wrote. The name of the job at SLURM ends with the token, so that it is found again whatever became of the process
that called sbatch.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.base import World
from harness.ledger import JobFolder, now
from harness.process import ProcessIdentity
from harness.schedule.slurm.queue import Entry, Snapshot, look_up, snapshot
from harness.schedule.slurm.states import Phase
from results.errors import HarnessError
from results.files import make_own_folder, publish, read_json, to_json, write_whole
from results.workspace import Workspace

TOKEN_CHARACTERS = 12
CONTROLLER = "controller"
"""Kind of the submission that goes on with a run."""
JOBS = "jobs"
PATROL = "patrol"
"""Kind of the submission that looks whether a run stands still."""
PLANNER = "planner"
"""Kind of the submission that plans a run where the data is."""
PROBE = "probe"
"""Kind of the submission with which `doctor --probe` looks at a node; it lies outside of the workspace's own."""

CERTAIN_SECONDS = 5.0
"""Between two looks at a job that seems to be gone: one whose node failed is nowhere for 1 to 3 s before it is queued
again."""

HANDING_OVER_MINUTES = 10
"""After so long an intent without a number is nobody's any more: calls of sbatch end within minutes."""


@dataclasses.dataclass(frozen=True)
class Submission:
    """One call of sbatch: an array of jobs, or a run's controller.

    Args:
        folder: ``submissions/<token>``.
        name: The job's name at SLURM, ending with the token.
        kind: :data:`JOBS` or :data:`CONTROLLER`.
        run: Id of the run that submitted it.
        jobs: Room and name of each task's folder, in the order of the array.
        world: How each job is spread.
        data_root: The run's ``--data``.
        options: What the jobs' processes must know: ``device``, ``minutes``, ``hang_minutes``...
        created: When the intent was written, ISO 8601.
        process: Who wrote it.
    """

    folder: Path
    name: str
    kind: str
    run: str
    jobs: tuple[tuple[str, str], ...]
    world: World
    data_root: str
    options: dict[str, Any]
    created: str
    process: ProcessIdentity

    @property
    def token(self) -> str:
        return self.folder.name

    @staticmethod
    def draft(
        workspace: Workspace,
        title: str,
        kind: str,
        run: str,
        jobs: Sequence[JobFolder],
        world: World,
        data_root: str,
        options: dict[str, Any],
    ) -> Submission:
        """A submission with a token of its own, which nobody knows of before it is written."""
        token = uuid.uuid4().hex[:TOKEN_CHARACTERS]
        return Submission(
            folder=workspace.submissions / token,
            name=f"{re.sub('[^A-Za-z0-9_.@-]', '_', title)[:60]}-{token}",
            kind=kind,
            run=run,
            jobs=tuple(job.place for job in jobs),
            world=world,
            data_root=data_root,
            options=options,
            # To the microsecond: their order is that of the calls of sbatch.
            created=datetime.datetime.now(datetime.UTC).isoformat(),
            process=ProcessIdentity.current(),
        )

    def write(self) -> None:
        """Writes the intent, before sbatch is called.

        Raises:
            HarnessError: The workspace cannot be written.
        """
        fields = dataclasses.asdict(self)
        del fields["folder"]
        make_own_folder(self.folder, self.folder.parent.parent)
        write_whole(self.folder / "intent.json", to_json(fields))

    @staticmethod
    def read(folder: Path) -> Submission:
        """Reads an intent.

        Raises:
            HarnessError: Missing, or not what the harness wrote.
        """
        path = folder / "intent.json"
        raw = read_json(path, own=True)
        try:
            return Submission(
                folder=folder,
                name=raw["name"],
                kind=raw["kind"],
                run=raw["run"],
                jobs=tuple((room, name) for room, name in raw["jobs"]),
                world=World(**raw["world"]),
                data_root=raw["data_root"],
                options=dict(raw["options"]),
                created=raw["created"],
                process=ProcessIdentity.from_dict(raw["process"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise HarnessError(
                "intent.json is not what the harness wrote there", str(path), "move the folder away and run again"
            ) from error

    # What became of it -----------------------------------------------------------------------------------------------

    def number(self) -> str:
        """SLURM's number; empty where it is not known (yet)."""
        path = self.folder / "submitted.json"
        return str(read_json(path)["id"]) if path.exists() else ""

    def note_number(self, number: str) -> None:
        """Notes SLURM's number; the first note stays."""
        if number and not (self.folder / "submitted.json").exists():
            publish(self.folder / "submitted.json", to_json({"id": number, "at": now()}))

    def is_void(self) -> bool:
        """Whether it never came to be."""
        return (self.folder / "void.json").exists()

    def make_void(self, reason: str) -> None:
        """Notes that SLURM has no such job."""
        publish(self.folder / "void.json", to_json({"reason": reason, "at": now()}))

    def close(self) -> None:
        """Notes that all its tasks have ended and were judged: nobody need ask of it again."""
        publish(self.folder / "closed.json", to_json({"at": now()}))

    def is_open(self) -> bool:
        """Whether its tasks may still be in the queue or on nodes."""
        return not any((self.folder / name).exists() for name in ("closed.json", "void.json"))

    def is_handing_over(self) -> bool:
        """Whether whoever wrote the intent may still be calling sbatch."""
        if self.process.is_alive() is False:
            return False
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(self.created)
        return age < datetime.timedelta(minutes=HANDING_OVER_MINUTES)


@dataclasses.dataclass(frozen=True)
class Task:
    """One job within a submission, as SLURM saw it at one moment.

    Args:
        submission: Which.
        index: Its place in the array.
        phase: Where it stands.
        entry: What SLURM says of it; None where it knows nothing (any more).
    """

    submission: Submission
    index: int
    phase: Phase
    entry: Entry | None

    @staticmethod
    def submitted(submission: Submission, index: int) -> Task:
        """A task that was handed over just now."""
        return Task(submission, index, Phase.QUEUED, None)

    @property
    def is_live(self) -> bool:
        """Whether it may still begin or go on."""
        return self.phase is not Phase.ENDED

    @property
    def id(self) -> str:
        """SLURM's id of it, for people; empty where unknown."""
        if self.entry is not None:
            return self.entry.id
        number = self.submission.number()
        return f"{number}_{self.index}" if number else ""


@dataclasses.dataclass(frozen=True)
class View:
    """All open submissions of a workspace, and what SLURM says of them.

    Args:
        submissions: Open ones, oldest first.
        snapshot: SLURM's answer.
    """

    submissions: tuple[Submission, ...]
    snapshot: Snapshot

    def tasks(self) -> Iterator[Task]:
        """Every task of every submission."""
        for submission in self.submissions:
            for index in range(len(submission.jobs)):
                yield self.task(submission, index)

    def task(self, submission: Submission, index: int) -> Task:
        """One task of one of the submissions."""
        phase = self.snapshot.phase(submission.name, index)
        if phase is Phase.ENDED and not submission.number() and submission.is_handing_over():
            # SLURM does not list it yet.
            phase = Phase.BETWEEN
        return Task(submission, index, phase, self.snapshot.find(submission.name, index))

    def newest_by_job(self) -> dict[tuple[str, str], Task]:
        """Each job's newest task by (room, name); a live one goes before those that have ended."""
        found: dict[tuple[str, str], Task] = {}
        for task in self.tasks():
            job = task.submission.jobs[task.index]
            if job not in found or task.is_live or not found[job].is_live:
                found[job] = task
        return found


def open_submissions(workspace: Workspace) -> tuple[Submission, ...]:
    """Submissions that may still have tasks in the queue or on nodes, oldest first; unreadable ones are left out."""
    try:
        folders = [path for path in workspace.submissions.iterdir() if (path / "intent.json").exists()]
    except OSError:
        return ()
    found = []
    for folder in folders:
        if any((folder / name).exists() for name in ("closed.json", "void.json")):
            continue
        try:
            found.append(Submission.read(folder))
        except HarnessError:
            continue
    return tuple(sorted(found, key=lambda each: (each.created, each.token)))


def view(workspace: Workspace, certain: bool = False) -> View:
    """Looks at everything that was submitted, with one call of squeue and at most one of sacct a thousand arrays.

    Args:
        workspace: Whose.
        certain: Whether a job that seems to be between two nodes is looked at again after some seconds; if it still
            does, it has ended.
    """
    found = open_submissions(workspace)
    if not found:
        return View((), Snapshot({}, answered=True, accounting=False, calls=0))
    seen = _ask(found)
    between = [key for key, entry in seen.entries.items() if entry.phase is Phase.BETWEEN]
    if not between or not certain:
        return View(found, seen)
    time.sleep(CERTAIN_SECONDS)
    again = _ask(found)
    ended = frozenset(key for key in between if key in again.entries and again.entries[key].phase is Phase.BETWEEN)
    return View(found, dataclasses.replace(again, ended=ended))


def _ask(found: Sequence[Submission]) -> Snapshot:
    numbers = {each.name: each.number() for each in found}
    return snapshot(
        {each.name: range(len(each.jobs)) for each in found},
        {name: number for name, number in numbers.items() if number},
    )


def settle(submission: Submission) -> str:
    """Finds the number of a submission whose sbatch nobody answered for.

    Returns:
        The number; empty where there is none, or nobody can tell now.
    """
    number = submission.number()
    if number or submission.is_void():
        return number
    found = look_up(submission.name)
    if found:
        submission.note_number(found)
    elif found == "" and not submission.is_handing_over():
        submission.make_void("the process that called sbatch ended, and SLURM knows no such job")
    return found or ""
