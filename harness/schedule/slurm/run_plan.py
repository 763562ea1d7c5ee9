"""What a run on a cluster is, on the disk: so that any process can go on with it.

``controllers/<run>/`` holds ``plan.json`` (jobs, needs, settings), ``state.json`` (how many rounds there were),
``cancelled/`` (what the user gave up), and ``ended.json`` once nothing is left to do.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.completeness import is_complete, job_folder
from harness.job import Job, PlannedJob
from harness.ledger import JobFolder, now
from harness.settings import Settings, restore_settings
from results.errors import HarnessError
from results.files import make_own_folder, publish, read_json, to_json, write_whole
from results.workspace import Workspace

_ALL = "all"
WRITERS = 32
"""Specs that are written at a time."""


@dataclasses.dataclass(frozen=True)
class RunJob:
    """One job of a run.

    Args:
        folder: Its place in the ledger.
        needs: Places of the jobs that must be finished first.
        hours: Rough wall time.
        gpus: GPUs it can use.
        hidden: Whether it is extraction: run only where something that needs it is not finished.
    """

    folder: JobFolder
    needs: tuple[JobFolder, ...]
    hours: float
    gpus: int
    hidden: bool

    def planned(self) -> PlannedJob:
        """The job as the plan knew it, without what only pages need."""
        return PlannedJob(Job.from_dict(self.folder.read_spec()), (), self.hours, self.gpus)


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """A run.

    Args:
        workspace: Where it lies; its root is absolute.
        id: Of the run.
        labels: Rows of its pages.
        jobs: In the order of the plan.
        settings: What it was asked to do.
    """

    workspace: Workspace
    id: str
    labels: tuple[str, ...]
    jobs: tuple[RunJob, ...]
    settings: Settings

    @property
    def folder(self) -> Path:
        return self.workspace.controllers / self.id

    @staticmethod
    def write(
        workspace: Workspace, run: str, labels: Sequence[str], planned: Sequence[PlannedJob], settings: Settings
    ) -> RunPlan:
        """Writes the plan and the jobs' specs, before anything is submitted.

        Raises:
            HarnessError: The workspace cannot be written.
        """
        by_key = {each.job.key: job_folder(workspace, each.job) for each in planned}
        # Each is flushed to the disk; a disk does many of these at once.
        with ThreadPoolExecutor(WRITERS) as pool:
            left = [each.job for each in planned if not is_complete(workspace, each.job)]
            list(pool.map(lambda job: _write_spec(by_key[job.key], job), left))
        jobs = [
            RunJob(
                by_key[each.job.key],
                tuple(by_key[key] for key in each.needs),
                each.hours,
                each.gpus,
                each.job.extracts,
            )
            for each in planned
        ]
        made = RunPlan(workspace, run, tuple(labels), tuple(jobs), settings)
        # Whoever could write there could let this user run anything: settings hold lines of shell.
        make_own_folder(made.folder, workspace.root)
        write_whole(made.folder / "plan.json", to_json(made._fields()))
        return made

    def _fields(self) -> dict[str, Any]:
        return {
            "run": self.id,
            "labels": list(self.labels),
            "settings": self.settings.model_dump(mode="json"),
            "jobs": [
                {
                    "job": _place(each.folder),
                    "needs": [_place(need) for need in each.needs],
                    "hours": each.hours,
                    "gpus": each.gpus,
                    "hidden": each.hidden,
                }
                for each in self.jobs
            ],
        }

    @staticmethod
    def read(workspace: Workspace, run: str) -> RunPlan:
        """Reads the plan of a run.

        Raises:
            HarnessError: Missing, or not what the harness wrote.
        """
        path = workspace.controllers / run / "plan.json"
        raw = read_json(path, own=True)

        def place(text: str) -> JobFolder:
            return JobFolder(workspace.root / text)

        try:
            jobs = tuple(
                RunJob(
                    place(each["job"]),
                    tuple(place(need) for need in each["needs"]),
                    each["hours"],
                    each["gpus"],
                    each["hidden"],
                )
                for each in raw["jobs"]
            )
            return RunPlan(workspace, run, tuple(raw["labels"]), jobs, restore_settings(raw["settings"]))
        except (KeyError, TypeError, ValueError) as error:
            raise HarnessError(
                "plan.json is not what the harness wrote there", str(path), "run the same command again"
            ) from error

    # State -----------------------------------------------------------------------------------------------------------

    def rounds(self) -> int:
        """In how many rounds something was submitted."""
        path = self.folder / "state.json"
        return int(read_json(path)["rounds"]) if path.exists() else 0

    def note_rounds(self, rounds: int) -> None:
        """Keeps that number."""
        write_whole(self.folder / "state.json", to_json({"rounds": rounds}))

    def end(self, jobs: Mapping[str, Mapping[str, str]]) -> None:
        """Notes that nothing is left to do."""
        publish(self.folder / "ended.json", to_json({"at": now(), "jobs": jobs}))

    def has_ended(self) -> bool:
        """Whether nothing is left to do."""
        return (self.folder / "ended.json").exists()

    def cancel(self, jobs: Iterable[JobFolder] | None = None) -> None:
        """Notes what the user gave up: this run submits it no more.

        Args:
            jobs: Some of its jobs; None for all.
        """
        for name in [_ALL] if jobs is None else [job.name for job in jobs]:
            publish(self.folder / "cancelled" / name, now() + "\n")

    def cancelled(self) -> set[str]:
        """Names of the jobs that the user gave up."""
        try:
            names = set(os.listdir(self.folder / "cancelled"))
        except OSError:
            return set()
        return {job.folder.name for job in self.jobs} if _ALL in names else names


def _place(folder: JobFolder) -> str:
    return f"{folder.path.parent.name}/{folder.name}"


def _write_spec(folder: JobFolder, job: Job) -> None:
    spec = job.to_dict()
    if not folder.spec.exists() or folder.read_spec() != spec:
        folder.write_spec(spec)


def run_plans(workspace: Workspace) -> list[RunPlan]:
    """Runs on a cluster that have not ended, oldest first; unreadable ones are left out."""
    found = []
    for path in sorted(workspace.controllers.glob("*/plan.json")):
        if (path.parent / "ended.json").exists():
            continue
        try:
            found.append(RunPlan.read(workspace, path.parent.name))
        except HarnessError:
            continue
    return found
