"""Looking on while a run goes on at a cluster: nothing depends on it, and Ctrl-C ends only the looking."""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness.job import PlannedJob
from harness.schedule.slurm.describe import describe
from harness.schedule.slurm.rounds import advance
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.submissions import CONTROLLER, View, view
from harness.schedule.tracking import Reporter, TrackedJob, Tracker
from harness.settings import Settings
from results.errors import HarnessError
from results.files import read_json
from results.workspace import Workspace

POLL_SECONDS = 1.0
ASK_SECONDS = 10.0
"""Between two questions to SLURM: hundreds of users ask one controller."""


class Watch(Tracker):
    """The jobs of a run that the cluster works on.

    Args:
        workspace: Where the ledger lies; its root is absolute.
        planned: Jobs, needs before what needs them.
        settings: Of the run.
        reporter: What shows them.
    """

    def __init__(
        self, workspace: Workspace, planned: Sequence[PlannedJob], settings: Settings, reporter: Reporter
    ) -> None:
        super().__init__(workspace, planned, settings, reporter)
        self._asked = 0.0

    def submit(self, plan: RunPlan) -> tuple[tuple[str, str], ...]:
        """Submits everything that is left.

        Args:
            plan: Of this run.

        Returns:
            Names and SLURM's ids of what was submitted.

        Raises:
            HarnessError: SLURM refuses or does not answer.
        """
        done = advance(plan)
        states = {each.job.folder.place: each for each in done.standings}
        for tracked in self.jobs:
            standing = states[tracked.folder.place]
            if standing.state == "active":
                where = f"job {standing.task.id}" if standing.task is not None else standing.reason
                self.change(tracked, "submitted", where)
            elif not tracked.ended:
                self._show_end(tracked, standing.state, standing.reason)
        return done.submitted

    def run(self, plan: RunPlan) -> bool:
        """Looks on until the run has ended.

        Returns:
            False where the user stopped looking.
        """
        try:
            while not plan.has_ended():
                self._look(plan)
                self.reporter.tick(self.jobs)
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            return False
        ends = read_json(plan.folder / "ended.json")["jobs"]
        for tracked in self.jobs:
            if self.is_complete(tracked):
                if not tracked.ended:
                    self.change(tracked, "done")
            elif tracked.folder.name in ends:
                self._show_end(tracked, ends[tracked.folder.name]["state"], ends[tracked.folder.name]["reason"])
        return True

    def _show_end(self, tracked: TrackedJob, state: str, reason: str) -> None:
        states = {"done": "cached", "failed": "failed", "cancelled": "interrupted"}
        self.change(tracked, states.get(state, state), reason)

    def _look(self, plan: RunPlan) -> None:
        for tracked in self.jobs:
            if not tracked.ended and tracked.folder.is_finished() and self.is_complete(tracked):
                self.change(tracked, "done")
        if time.monotonic() - self._asked < ASK_SECONDS:
            return
        seen = view(self.workspace)
        self._asked = time.monotonic()
        if not seen.snapshot.answered:
            return
        newest = seen.newest_by_job()
        for tracked in self.jobs:
            task = newest.get(tracked.folder.place)
            if not tracked.ended and task is not None and task.is_live:
                self.change(tracked, *describe(tracked.folder, task))
        if not self._has_controller(plan, seen) and not plan.has_ended():
            # It died and left nobody: this process is as good as any.
            try:
                advance(plan)
            except HarnessError as error:
                for tracked in self.jobs:
                    if not tracked.ended:
                        self.change(tracked, tracked.state, str(error))

    def _has_controller(self, plan: RunPlan, seen: View) -> bool:
        return any(
            each.kind == CONTROLLER and each.run == plan.id and seen.task(each, 0).is_live for each in seen.submissions
        )
