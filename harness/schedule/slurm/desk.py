"""Who may submit jobs of a workspace: one process at a time, so that two runs never submit the same jobs twice.

The right is a claim, as for a job. It is held for seconds. One that is held for long by a process of which nothing can
be known (on another host) is given up; should that process still live, a job may stand in the queue twice, and claims
on jobs see to it that it is worked on once.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator

from harness.ledger import Claim, JobFolder
from harness.order import Grant
from harness.schedule.slurm.endings import is_gone
from results.errors import HarnessError
from results.workspace import Workspace

WAIT_SECONDS = 180.0
LEASE_MINUTES = 15
"""Longer than any round: each call of a command ends after a minute."""
POLL_SECONDS = 0.2


def _given_up(claim: Claim, grant: Grant | None) -> bool:
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(claim.taken)
    if age > datetime.timedelta(minutes=LEASE_MINUTES):
        return True
    return (
        grant is not None and claim.submission == grant.submission and is_gone(claim, grant.submission, grant.restart)
    )


@contextlib.contextmanager
def desk(workspace: Workspace, grant: Grant | None) -> Iterator[None]:
    """The right to submit, for as long as the context lasts.

    Args:
        workspace: Of which jobs.
        grant: Of the controller that asks; None for ``run`` itself.

    Raises:
        HarnessError: Another process holds it for too long, or the workspace cannot be written.
    """
    folder = JobFolder(workspace.controllers / "desk")
    deadline = time.monotonic() + WAIT_SECONDS
    names = (grant.job_id, grant.restart, grant.submission) if grant is not None else ("", 0, "")
    while True:
        claim = folder.take_claim("", *names, is_gone=lambda held: _given_up(held, grant))
        if claim is not None:
            break
        if time.monotonic() > deadline:
            held = folder.last_claim()
            who = f"process {held.process.pid} on {held.process.host}" if held is not None else "another process"
            raise HarnessError(
                f"{who} has been submitting jobs of this workspace for minutes",
                str(folder.path),
                "wait until it has ended, or end it, and run the same command again",
            )
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(HarnessError):
            folder.release(claim)
