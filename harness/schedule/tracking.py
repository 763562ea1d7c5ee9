"""The jobs of a run while it lasts: what is finished before it begins, and who is told when something changes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Protocol

from harness.completeness import is_complete, job_folder
from harness.job import PlannedJob
from harness.ledger import JobFolder
from harness.schedule.executor import Submission
from harness.settings import Settings
from results.errors import HarnessError
from results.workspace import Workspace

ENDED = ("cached", "done", "failed", "interrupted")


@dataclasses.dataclass
class TrackedJob:
    """One job during a run.

    Args:
        planned: The job.
        folder: Its place in the ledger.
        state: ``waiting``, ``submitted``, ``running``, or one of :data:`ENDED`.
        reason: Why it failed, or what it waits for.
        submission: What this run handed over and looks after.
        submissions: How often it did.
        claims_before: Number of the last claim before that.
        adopted: Number of another run's claim that is waited for; 0 where there is none.
    """

    planned: PlannedJob
    folder: JobFolder
    state: str = "waiting"
    reason: str = ""
    submission: Submission | None = None
    submissions: int = 0
    claims_before: int = 0
    adopted: int = 0

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Reporter(Protocol):
    """Shows what happens."""

    def changed(self, job: TrackedJob) -> None:
        """A job's state is another one."""

    def tick(self, jobs: Sequence[TrackedJob]) -> None:
        """A moment has passed."""


class Tracker:
    """The jobs of a run.

    Args:
        workspace: Where the ledger lies.
        planned: Jobs, needs before what needs them.
        settings: Cache mode and limit of failures.
        reporter: What shows them.
    """

    def __init__(
        self, workspace: Workspace, planned: Sequence[PlannedJob], settings: Settings, reporter: Reporter
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.reporter = reporter
        self.jobs = [TrackedJob(each, job_folder(workspace, each.job)) for each in planned]

    def prepare(self) -> None:
        """Finds what is finished, and applies the cache mode to the rest.

        Raises:
            HarnessError: A record is corrupt, or the workspace cannot be written.
        """
        mode = self.settings.cache
        for tracked in self.jobs:
            if mode == "force" and not self._is_used(tracked):
                self._set_aside(tracked)
            if self.is_complete(tracked):
                self._check_result(tracked)
                self.change(tracked, "cached")
            elif mode in ("retry", "force"):
                tracked.folder.forgive()
        wanted = {key for each in self.jobs if not each.ended for key in each.planned.needs}
        for tracked in self.jobs:
            if tracked.planned.job.extracts and not tracked.ended and tracked.planned.job.key not in wanted:
                self.change(tracked, "cached", "not needed: all that uses it is finished")

    def _is_used(self, tracked: TrackedJob) -> bool:
        """Whether another run works on the job now, or reads its features."""
        key = tracked.planned.job.key
        users = [each for each in self.jobs if key in each.planned.needs] if tracked.planned.job.extracts else []
        return any(each.folder.live_claim() is not None for each in (tracked, *users))

    def _check_result(self, tracked: TrackedJob) -> None:
        record = tracked.folder.read_result()
        if record is not None and record.key != tracked.planned.job.key:
            raise HarnessError(
                "the result there is another job's",
                str(tracked.folder.result),
                "move the file away and run the same command again",
            )

    def is_complete(self, tracked: TrackedJob) -> bool:
        """Whether the result is there and, for feature extraction, the features too."""
        return is_complete(self.workspace, tracked.planned.job)

    def _set_aside(self, tracked: TrackedJob) -> None:
        tracked.folder.supersede()
        job = tracked.planned.job
        features = self.workspace.feature_set(job.key)
        if job.extracts and features.exists():
            # Beside them: the folder of features may be a link to another disk.
            target = features.with_name(f"{features.name}.superseded-{time.time_ns()}")
            try:
                features.rename(target)
            except FileNotFoundError:
                return
            except OSError as error:
                raise HarnessError(
                    f"cannot set aside the old features: {error}", str(features), "make the workspace writable"
                ) from error

    def change(self, tracked: TrackedJob, state: str, reason: str = "") -> None:
        """Notes a job's state, and tells the reporter where it is another one."""
        if (tracked.state, tracked.reason) != (state, reason):
            tracked.state, tracked.reason = state, reason
            self.reporter.changed(tracked)
