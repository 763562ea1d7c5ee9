"""What SLURM starts on a node: ``python -m harness.node submissions/<token>``. It reads everything from the disk."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from harness.ledger import JobFolder
from harness.order import Grant, Order, usable_gpus
from harness.schedule.slots import visible_gpus
from harness.schedule.slurm.commands import call
from harness.schedule.slurm.submissions import CONTROLLER, PATROL, PLANNER, PROBE, Submission
from results.errors import HarnessError
from results.files import use_umask
from results.workspace import Workspace

ENOUGH = ("done", "not needed", "not ready")
"""Answers of a job after which what depends on it may begin: it looks itself whether its features are there."""


def main(words: list[str]) -> int:
    """Does the part of a submission that this process is for.

    Args:
        words: Folder of the submission.

    Returns:
        Exit status: 0 where what depends on the job may begin.
    """
    try:
        folder = Path(words[0])
        submission = Submission.read(folder)
        use_umask(submission.options["readers"])
        # The process that called sbatch may be gone before it could note the number.
        with contextlib.suppress(HarnessError):
            submission.note_number(os.environ.get("SLURM_ARRAY_JOB_ID", ""))
        if submission.kind in (CONTROLLER, PATROL):
            from harness.schedule.slurm.controller import control

            return control(submission, granted(submission))
        if submission.kind == PLANNER:
            from harness.schedule.slurm.planner import plan_here

            return plan_here(submission, granted(submission))
        if submission.kind == PROBE:
            from harness.doctor.on_node import look_around

            return look_around(submission)
        return _run_one(submission)
    except HarnessError as error:
        with contextlib.suppress(OSError):
            print(f"error: {error}", file=sys.stderr)
        return 1


def granted(submission: Submission) -> Grant:
    """What SLURM says of this process's job (sbatch(1), output environment variables)."""
    import submitit

    number = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    return Grant(
        submission=submission.name,
        index=number,
        job_id=f"{os.environ.get('SLURM_ARRAY_JOB_ID', '')}_{number}",
        restart=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        threads=int(os.environ.get("SLURM_CPUS_PER_TASK", "1")),
        nodes=tuple(submitit.JobEnvironment().hostnames),
        minutes=int(submission.options["minutes"]),
        notice_seconds=int(submission.options["notice_seconds"]),
        requeue=bool(submission.options["requeue"]),
    )


def _run_one(submission: Submission) -> int:
    """Runs one job of the array."""
    from harness.payload import run_job

    grant = granted(submission)
    workspace = Workspace(submission.folder.parent.parent)
    room, job = submission.jobs[grant.index]
    gpus = usable_gpus(submission.options["device"], visible_gpus())
    order = Order(
        workspace=str(workspace.root),
        job=job,
        slots=None,
        gpus=gpus,
        own_process=True,
        data_root=submission.data_root,
        room=room,
        world=submission.world,
        # An incarnation of before may have left its meeting behind.
        token=f"{submission.token}-{grant.index}-{grant.restart}",
        hang_minutes=submission.options["hang_minutes"],
        rendezvous_minutes=submission.options["rendezvous_minutes"],
        grant=grant,
    )
    status = run_job(order)
    if status == "interrupted" and grant.requeue and _goes_on(JobFolder(workspace.root / room / job)):
        _requeue(grant)
    return 0 if status in ENOUGH else 1


def _goes_on(folder: JobFolder) -> bool:
    """Whether the job was told to stop by the scheduler, not by somebody who wants it ended."""
    last = folder.last_outcome()
    return last is not None and last.cause in ("time limit", "preempted")


def _requeue(grant: Grant) -> None:
    """Asks to be started again; where SLURM does not, the controller submits the job anew."""
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return
    with contextlib.suppress(HarnessError):
        call(["scontrol", "requeue", grant.job_id])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
