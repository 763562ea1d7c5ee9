"""``doctor --probe``: a short job through sbatch that says what a node sees."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.base import ALONE
from harness import __version__
from harness.data_root import absolute_root
from harness.doctor.disk import scratch
from harness.doctor.findings import Finding, error, ok, warning
from harness.doctor.on_node import ANSWER, HERE, POLL_SECONDS, REPORT
from harness.doctor.slurm import is_up, planned_jobs, slurm_controller
from harness.doctor.subject import Subject
from harness.ledger import JobFolder
from harness.schedule.slurm.commands import call, has_slurm
from harness.schedule.slurm.describe import REASONS
from harness.schedule.slurm.hand_over import hand_over
from harness.schedule.slurm.request import Ask, ask_of, refuse_unusable_path
from harness.schedule.slurm.submissions import PROBE, Submission
from harness.settings import Settings
from harness.spread import usable_ranks, world_of
from harness.startup import code_root
from results.errors import HarnessError
from results.files import read_json, to_json, write_whole
from results.workspace import Workspace

MINUTES = 2
"""Time limit: torch is imported within one."""
MEMORY = 4.0
"""GiB: torch with a context on a GPU takes two."""
PATIENCE_SECONDS = 600.0
"""How long it may wait in the queue."""
FINISH_SECONDS = 30.0
"""After its end SLURM still calls epilogs, and its last file may show only when a cache is too old (NFS: 30 s)."""
FAILED_SECONDS = 3.0
"""The same where it failed, and most likely left no report."""
LOOK_SECONDS = 2.0
"""Between two calls of squeue."""
SLOW_SECONDS = 5.0
"""A file that needs longer to show on the other machine makes the harness wait in many places."""

Tell = Callable[[str], object]


def probe(subject: Subject, tell: Tell) -> tuple[Finding, ...]:
    """Submits a short job, waits for it, and removes all of it.

    Args:
        subject: What is looked at.
        tell: Told in words how far it is.

    Raises:
        HarnessError: It cannot be submitted.
    """
    if not has_slurm():
        return (
            error("probe", "there is no SLURM here to submit a job to", "leave out --probe, or log in to a cluster"),
        )
    answer = slurm_controller(subject)
    if not is_up(answer.what):
        return (error("probe", f"nothing was submitted: {answer.what}", answer.mend),)
    settings = subject.settings.model_copy(update={"executor": "slurm"})
    refuse_unusable_path(settings.workspace.absolute())
    ask = probe_ask(subject, settings)
    with scratch(settings.workspace.absolute()) as folder:
        submission = _draft(folder, settings, ask)
        submission.write()
        number = hand_over(submission, ask, settings)
        began = time.monotonic()
        try:
            tell(f"job {number} waits in the queue")
            problem = _wait(submission, number, tell)
            report = read_json(submission.folder / REPORT) if not problem else {}
        finally:
            _end(number)
        waited = time.monotonic() - began
        if problem:
            return (_failed(problem, number, submission),)
        return tuple(findings(report, waited, ask, settings))


def probe_ask(subject: Subject, settings: Settings) -> Ask:
    """One task, asked for as the first job of the suite that wants a GPU asks, but short and small."""
    asks = [
        ask_of(each, world_of(each.job, usable_ranks(settings), settings.largest_batch), settings)
        for each in planned_jobs(subject)
    ]
    first = next((ask for ask in asks if ask.gpus_per_node), asks[0] if asks else None)
    if first is None:
        raise HarnessError("the suite holds no benchmark", "--suite", "python -m harness list benchmarks")
    cpus = 1 if settings.profile == "smoke" else min(2, first.cpus_per_task)
    return Ask(1, 1, cpus, min(1, first.gpus_per_node), MEMORY, MINUTES, first.request)


def _draft(folder: Path, settings: Settings, ask: Ask) -> Submission:
    """It lies in the probe's own folder, so that no controller takes it for one of a run."""
    place = Workspace(folder)
    options = {
        "readers": settings.readers,
        "gpus": ask.gpus_per_node,
        "minutes": ask.minutes,
        "notice_seconds": ask.notice_seconds,
        "requeue": ask.request.requeue,
    }
    data = str(absolute_root(settings.data))
    return Submission.draft(
        place, "harness-doctor", PROBE, "probe", [JobFolder(place.jobs / "probe")], ALONE, data, options
    )


def _wait(submission: Submission, number: str, tell: Tell) -> str:
    """Waits for the report and answers the node on the way; returns why there is none."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    next_look, answered, state = 0.0, False, ""
    while True:
        there = set(os.listdir(submission.folder))
        if REPORT in there:
            return ""
        if HERE in there and not answered:
            write_whole(submission.folder / ANSWER, to_json({}))
            answered = True
            tell(f"job {number} looks around on {read_json(submission.folder / HERE)['host']}")
        if time.monotonic() >= next_look:
            gone, state = _state(number)
            # Its report may have come between the two looks, or show a little later.
            patience = FINISH_SECONDS if state.startswith("completed") else FAILED_SECONDS
            if gone and not _shows(submission.folder / REPORT, patience):
                return f"it ended without a report: {state or 'squeue knows it no more'}"
            next_look = time.monotonic() + LOOK_SECONDS
        if time.monotonic() > deadline:
            return f"no report within {PATIENCE_SECONDS:g} s: {state}"
        time.sleep(POLL_SECONDS)


def _shows(path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while path.name not in os.listdir(path.parent):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _state(number: str) -> tuple[bool, str]:
    """Whether the job is over, and its state with the reason; a scheduler that does not answer says neither."""
    try:
        said = call(["squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T|%r"]).strip()
    except HarnessError as failed:
        # A job that SLURM has forgotten is an error of squeue's.
        return "nvalid job id" in failed.what, failed.what
    state, _, reason = (said.splitlines() or [""])[0].partition("|")
    words = REASONS.get(reason, reason)
    over = state not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED")
    return over, f"{state.lower()} ({words})" if words and words != "None" else state.lower()


def _end(number: str) -> None:
    """Takes the job away where it is not over, and waits until nothing of it writes any more."""
    with contextlib.suppress(HarnessError):
        deadline = time.monotonic() + FINISH_SECONDS
        if not _state(number)[0] and not _ends_by_itself(number):
            call(["scancel", number])
        while not _state(number)[0] and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS / 4)


def _ends_by_itself(number: str) -> bool:
    deadline = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < deadline:
        if _state(number)[0]:
            return True
        time.sleep(LOOK_SECONDS / 4)
    return False


def _failed(problem: str, number: str, submission: Submission) -> Finding:
    logs = [path for path in sorted(submission.folder.glob("*log*")) if path.stat().st_size]
    lines = [line for path in logs for line in path.read_text(errors="replace").strip().splitlines()[-2:]]
    said = f"job {number}: {problem}" + (f"; it said: {' / '.join(lines)[:400]}" if lines else "")
    mend = (
        "correct the part 'slurm' of harness.yaml (partition, setup); keep workspace, code and Python on shared disks"
    )
    if "no report within" in problem:
        mend = "try again when the queue is shorter, or name another slurm.partition"
    return error("probe", said, mend)


def findings(report: dict[str, Any], waited: float, ask: Ask, settings: Settings) -> list[Finding]:
    """What the node's report means.

    Args:
        report: As :mod:`harness.doctor.on_node` writes it.
        waited: Seconds from sbatch to the end.
        ask: What was asked for.
        settings: Of the run.
    """
    host = report["node"] or report["host"]
    found = [ok("probe", f"a job ran on {host}, {waited:.0f} s after sbatch"), _shared_folder(report, host)]
    own = (sys.executable, ".".join(map(str, sys.version_info[:3])), __version__, str(code_root()))
    there = tuple(report[name] for name in ("python", "version", "harness", "code"))
    if there == own:
        found.append(ok("probe code", f"the same Python and code there: {report['python']}, {report['code']}"))
    else:
        mend = "keep environment and code on a disk that all nodes see, and set no other Python in slurm.setup"
        found.append(error("probe code", f"not the same there: {', '.join(there)}", mend))
    data = settings.data.absolute()
    if report["data"]:
        found.append(ok("probe data", f"{data} is there"))
    else:
        found.append(error("probe data", f"{data} is not there on {host}", "give --data on a disk that all nodes see"))
    if report["cpus"] == str(ask.cpus_per_task):
        found.append(ok("probe cpus", f"the step has the {report['cpus']} CPUs that were asked for"))
    else:
        mend = "see what slurm.setup and slurm.environment change of SLURM's variables"
        said = f"{ask.cpus_per_task} CPUs were asked for, the step was given {report['cpus'] or 'no number'}"
        found.append(warning("probe cpus", said, mend))
    if ask.gpus_per_node:
        found.append(Finding("probe gpus", **report["torch"]))
        if not report["gpus"]:
            mend = "ask the administrators for GPUs as generic resources (gres) that set CUDA_VISIBLE_DEVICES"
            found[-1] = error("probe gpus", f"the job was granted a GPU and sees none on {host}", mend)
    return [*found, Finding("probe locks", **report["locks"])]


def _shared_folder(report: dict[str, Any], host: str) -> Finding:
    name, seconds = "probe folder", report["seconds"]
    if seconds is None:
        mend = "use a workspace whose disk shows changes to other machines sooner (NFS: mount option actimeo)"
        return error(name, f"{host} does not see what is written here", mend)
    said = f"{host} and this machine see each other's files; there and back in {seconds:.1f} s"
    if seconds > SLOW_SECONDS:
        return warning(name, said, "a disk with less caching makes rounds and pages quicker (NFS: actimeo)")
    return ok(name, said)
