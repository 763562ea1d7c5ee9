"""The loop of a run: submits what is ready, adopts what others run, and knows when everything has ended.

It keeps no state that the ledger does not have: kill it at any point and the next run goes on from the disk.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from harness.job import PlannedJob
from harness.ledger import Claim
from harness.schedule.executor import Executor, Submission
from harness.schedule.tracking import Reporter, TrackedJob, Tracker
from harness.settings import Settings
from results.errors import HarnessError
from results.workspace import Workspace

POLL_SECONDS = 0.3
STOP_SECONDS = 60.0
"""How long jobs may take to end cleanly after the first Ctrl-C."""
SUBMISSIONS = 5
"""How often one run hands one job over, where its process or another run's ends without having worked."""


class Loop(Tracker):
    """Runs the jobs of a plan to their end.

    Args:
        workspace: Where the ledger lies.
        planned: Jobs, needs before what needs them.
        executor: What starts jobs.
        settings: Cache mode and limit of failures.
        reporter: What shows them.
        submitted: Called with (job name, executor, id) after each submission.
    """

    def __init__(
        self,
        workspace: Workspace,
        planned: Sequence[PlannedJob],
        executor: Executor,
        settings: Settings,
        reporter: Reporter,
        submitted: Callable[[str, str, str], None],
    ) -> None:
        super().__init__(workspace, planned, settings, reporter)
        self._executor = executor
        self._submitted = submitted
        self._room = 0
        self._by_key = {tracked.planned.job.key: tracked for tracked in self.jobs}

    # The loop --------------------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Runs until every job has ended.

        Returns:
            False where the user interrupted it.
        """
        try:
            while not all(tracked.ended for tracked in self.jobs):
                busy = sum(tracked.submission is not None and not tracked.ended for tracked in self.jobs)
                self._room = self._executor.capacity() - busy
                for tracked in self.jobs:
                    if not tracked.ended:
                        self._try_to_advance(tracked)
                self.reporter.tick(self.jobs)
                if not all(tracked.ended for tracked in self.jobs):
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self._stop()
            return False
        return True

    def _try_to_advance(self, tracked: TrackedJob) -> None:
        try:
            self._advance(tracked)
        except HarnessError as error:
            # What runs already must not lose its run because of one job's folder.
            self.change(tracked, "failed", str(error))

    def _advance(self, tracked: TrackedJob) -> None:
        if self.is_complete(tracked):
            self.change(tracked, "done")
            return
        if tracked.submission is not None:
            self._follow(tracked, tracked.submission)
            return
        claim = tracked.folder.live_claim()
        if claim is not None:
            tracked.adopted = claim.number
            self.change(tracked, "running", self._holder(claim))
            return
        if tracked.adopted:
            self._judge(tracked, ours="")
        if not tracked.ended:
            self._submit_if_ready(tracked)

    def _holder(self, claim: Claim) -> str:
        return f"held by another run: process {claim.process.pid} on {claim.process.host} since {claim.taken}"

    def _follow(self, tracked: TrackedJob, submission: Submission) -> None:
        """Looks after a submission of this run."""
        if submission.is_alive() is not False:
            claim = tracked.folder.live_claim()
            if claim is None or claim.number == tracked.claims_before:
                self.change(tracked, "submitted")
            elif tracked.folder.is_at_work(claim.attempt):
                self.change(tracked, "running")
            else:
                self.change(tracked, "submitted", "waits for a slot of this host")
            return
        tracked.submission = None
        if self.is_complete(tracked):
            self.change(tracked, "done")
        elif tracked.folder.live_claim() is None:
            self._judge(tracked, ours=submission.id)

    def _judge(self, tracked: TrackedJob, ours: str) -> None:
        """Decides what a job without a result and without a live claim is: failed, or to be submitted again."""
        if self.is_complete(tracked):
            self.change(tracked, "done")
            return
        tracked.adopted = 0
        claim = tracked.folder.last_claim()
        # An older claim's end says nothing of the submission that has ended now.
        if claim is not None and claim.number <= tracked.claims_before:
            claim = None
        outcome = tracked.folder.outcome(claim.attempt) if claim is not None else None
        if outcome is not None and outcome.status == "failed":
            self.change(tracked, "failed", outcome.reason)
        elif claim is not None and ours and claim.job_id == ours:
            self.change(tracked, "failed", "its process was killed or ended without a word")
        else:
            self.change(tracked, "waiting")

    def _submit_if_ready(self, tracked: TrackedJob) -> None:
        needs = [self._by_key[key] for key in tracked.planned.needs]
        failed = [need for need in needs if need.state in ("failed", "interrupted")]
        if failed:
            self.change(tracked, "failed", f"needs {failed[0].folder.name}, which failed")
            return
        if any(need.state not in ("done", "cached") for need in needs):
            return
        if self._room <= 0:
            return
        if tracked.submissions >= SUBMISSIONS:
            self.change(tracked, "failed", "its process ended before it had begun to work")
            return
        failures = tracked.folder.failures()
        if failures >= self.settings.max_failures:
            last = tracked.folder.last_outcome()
            reason = last.reason if last is not None else ""
            self.change(tracked, "failed", f"failed {failures} times, last: {reason}; --cache retry tries again")
            return
        self._submit(tracked)

    def _submit(self, tracked: TrackedJob) -> None:
        if tracked.folder.is_finished():
            # Features or a checkpoint that are gone or broken: their result must not stand in the way of the new one.
            tracked.folder.supersede(resumable=tracked.planned.job.pretrains)
        claim: Claim | None = tracked.folder.last_claim()
        tracked.claims_before = claim.number if claim is not None else 0
        try:
            tracked.folder.write_spec(tracked.planned.job.to_dict())
            tracked.submission = self._executor.submit(tracked.folder)
        except HarnessError as error:
            # What runs already must not lose its run because one more job cannot be started.
            self.change(tracked, "failed", str(error))
            return
        tracked.submissions += 1
        self._room -= 1
        # The note is for people only; where the disk is full, the jobs themselves will say so.
        with contextlib.suppress(HarnessError):
            self._submitted(tracked.folder.name, self._executor.name, tracked.submission.id)
        self.change(tracked, "submitted")

    # Ctrl-C ----------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stops the jobs of this run; a second Ctrl-C kills them. Jobs of other runs go on."""
        own = [tracked for tracked in self.jobs if tracked.submission is not None]
        deadline = time.monotonic() + STOP_SECONDS
        try:
            while time.monotonic() < deadline and any(self._still_alive(tracked) for tracked in own):
                # Again and again: a process that is only just starting does not hear the first one.
                for tracked in own:
                    if tracked.submission is not None and self._still_alive(tracked):
                        tracked.submission.stop()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            pass
        for tracked in own:
            if tracked.submission is not None and self._still_alive(tracked):
                tracked.submission.kill()
        for tracked in self.jobs:
            if not tracked.ended:
                complete = self.is_complete(tracked)
                self.change(tracked, "done" if complete else "interrupted")

    def _still_alive(self, tracked: TrackedJob) -> bool:
        return tracked.submission is not None and tracked.submission.is_alive() is not False
