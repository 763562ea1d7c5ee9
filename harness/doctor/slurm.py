"""SLURM: its commands and controller, whether the suite fits, and what of its configuration is worth knowing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from benchmarks.base import Batch
from harness.doctor.findings import Finding, error, ok, warning
from harness.doctor.subject import Subject
from harness.job import Job, PlannedJob
from harness.plan import FEATURE_RESOURCES
from harness.schedule.choose import ANSWER_SECONDS
from harness.schedule.slurm.cluster import (
    check_settings,
    configuration,
    describe_partition,
    largest_array,
    partitions,
)
from harness.schedule.slurm.commands import call
from harness.schedule.slurm.settings import SlurmSettings
from results.errors import HarnessError
from results.record import BackboneStamp, DataStamp

NEEDED = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
OLDEST = (20, 11)
"""Oldest SLURM whose options are used as they are written here; 22.05 is the oldest that was tried."""
NOT_INHERITED = (22, 5)
"""From this SLURM on srun takes --cpus-per-task from its own options only (RELEASE_NOTES of 22.05)."""
SMALL_ARRAY = 100
LEAST_JOB_AGE = 120
"""Seconds that an ended job should stay known where nothing else remembers it; a round of the controller is shorter."""
UP_STATES = ("idle", "mix", "alloc", "comp", "resv", "plnd", "planned", "powered", "power")
"""What the states of nodes that take jobs, sooner or later, begin with (sinfo(1), NODE STATE CODES)."""
NOWHERE = BackboneStamp("0" * 64, "", "", "", "rgb-mean-std")
"""Stands for a checkpoint: what a job asks of a cluster does not depend on it."""


def slurm_commands(subject: Subject) -> Finding:
    """SLURM's commands."""
    name = "slurm commands"
    absent = [command for command in NEEDED if shutil.which(command) is None]
    if not absent:
        return ok(name, ", ".join(NEEDED))
    mend = "load the cluster's module, or log in to a node that has them; or use --executor local"
    said = f"not on the PATH: {', '.join(absent)}"
    if subject.settings.executor == "slurm":
        return error(name, said, mend)
    if len(absent) < len(NEEDED) and subject.settings.executor == "auto":
        return warning(name, said, mend)
    return ok(name, "there is no SLURM here; jobs run on this machine")


def is_up(said: str) -> bool:
    """Whether scontrol ping found one controller at least (a backup may be down)."""
    return " is UP" in said


def slurm_controller(subject: Subject) -> Finding:
    """Whether slurmctld answers, and its version. Without an answer ``auto`` is this machine."""
    name = "slurm controller"
    try:
        said = call(["scontrol", "ping"], ANSWER_SECONDS).strip()
        problem = "" if is_up(said) else said or "scontrol ping says nothing"
    except HarnessError as failed:
        problem = failed.what
    if problem:
        if subject.settings.executor == "slurm" or subject.settings.slurm != SlurmSettings():
            return error(name, problem, "wait, or ask the administrators; --executor local does without")
        mend = "ask the administrators if jobs are to go to the cluster"
        return warning(name, f"{problem}; without it jobs run on this machine", mend)
    version = configuration().get("SLURM_VERSION", "unknown")
    up = f"{said.splitlines()[0]}, SLURM {version}"
    if _version(version) < OLDEST:
        return warning(name, f"{up}: older than what was tried", "try with --profile smoke first")
    return ok(name, up)


def _version(text: str) -> tuple[int, int]:
    """Year and month of a version; zeros where it cannot be read."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def slurm_partitions(subject: Subject) -> Finding:
    """Whether every job of the suite, and the controller, fits into its partition."""
    name = "slurm partitions"
    settings = subject.settings.model_copy(update={"executor": "slurm"})
    check_settings(planned_jobs(subject), settings)
    offered = partitions()
    benchmarks = [choice.benchmark.name for choice in subject.choices]
    wanted = {settings.slurm.of(each).partition for each in (*benchmarks, "features", "controller")}
    used = [
        each
        for each in offered.values()
        if any(each.name in words.split(",") if words else each.is_default for words in wanted)
    ]
    away = [each for each in (_away(partition.name) for partition in used) if each]
    said = "; ".join(describe_partition(each) for each in used)
    if away:
        return warning(name, "; ".join(away), "jobs wait until that changes; sinfo shows the other partitions")
    return ok(name, f"all jobs fit: {said}")


def _away(partition: str) -> str:
    """Why a partition takes no job now; empty where it does."""
    said = call(["sinfo", "--noheader", f"--partition={partition}", "--format=%a|%T"], ANSWER_SECONDS)
    rows = [line.strip().split("|") for line in said.splitlines() if "|" in line]
    states = {state.lower() for _, state in rows}
    if any(availability != "up" for availability, _ in rows):
        return f"partition {partition} is {rows[0][0]}"
    if not any(state.startswith(UP_STATES) for state in states):
        return f"no node of partition {partition} takes jobs: {', '.join(sorted(states)) or 'it has none'}"
    return ""


def planned_jobs(subject: Subject) -> list[PlannedJob]:
    """The jobs of the suite as a plan has them, but for data and checkpoint, which may not be there yet."""
    settings = subject.settings
    found = []
    for choice in subject.choices:
        benchmark = choice.benchmark
        protocol = benchmark.protocol(choice.variant, settings.profile)
        request = benchmark.feature_request(protocol)
        job = Job(
            benchmark=benchmark.name,
            protocol=protocol,
            request=request,
            backbone=NOWHERE,
            data=DataStamp(benchmark.data, "", {}),
            data_root=Path("data"),
            seed=0 if benchmark.random else None,
            numerics=settings.numerics.numerics(folds=request is not None),
            batch=Batch(),
        )
        extraction = job.feature_job()
        if extraction is not None:
            found.append(PlannedJob(extraction, hours=FEATURE_RESOURCES.hours, gpus=FEATURE_RESOURCES.gpus))
        resources = benchmark.resources(protocol)
        found.append(PlannedJob(job, hours=resources.hours, gpus=resources.gpus))
    return found


def slurm_accounting(subject: Subject) -> Finding:
    """Whether sacct tells of jobs that are over."""
    name = "slurm accounting"
    try:
        call(["sacct", "--noheader", "--allocations", "--starttime=now-1minutes", "--format=JobID"], ANSWER_SECONDS)
    except HarnessError as failed:
        age = _seconds(configuration().get("MinJobAge", ""))
        said = f"{failed.what}; squeue alone is asked, which remembers ended jobs for {age} s"
        if age < LEAST_JOB_AGE:
            mend = (
                "ask the administrators for accounting or a larger MinJobAge; until then causes of failures are guessed"
            )
            return warning(name, said, mend)
        return ok(name, said)
    return ok(name, "sacct answers")


def _seconds(text: str) -> int:
    found = re.match(r"\d+", text)
    return int(found.group()) if found else 0


def slurm_arrays(subject: Subject) -> Finding:
    """MaxArraySize, below which arrays are kept."""
    name, size = "slurm arrays", configuration().get("MaxArraySize", "")
    if size == "0":
        mend = "ask the administrators for MaxArraySize, or use --executor local inside a job"
        return error(name, "job arrays are turned off (MaxArraySize=0)", mend)
    largest = largest_array()
    said = f"up to {largest:,} jobs each, {subject.settings.slurm.array_parallelism} of them at a time"
    if largest < SMALL_ARRAY:
        return warning(name, f"{said}; larger sweeps take several arrays", "nothing: it is done by itself")
    return ok(name, said)


def slurm_srun(subject: Subject) -> Finding:
    """Whether srun hands the CPUs of the job on to its steps, which it does not from 22.05 on unless told."""
    name = "slurm srun"
    said = f"SLURM {configuration().get('SLURM_VERSION', '')}"
    if _version(said) < NOT_INHERITED:
        return ok(name, f"srun of {said} takes --cpus-per-task from the job")
    words = subject.settings.slurm.extra.get("cpus-per-task")
    if words is not None:
        mend = "leave it out of slurm.extra and set slurm.cpus_per_gpu: only that is handed to srun too"
        return error(name, f"srun of {said} does not take cpus-per-task={words} of slurm.extra from the job", mend)
    return ok(name, f"srun of {said} does not take --cpus-per-task from the job; the harness hands it on itself")


def slurm_preemption(subject: Subject) -> Finding:
    """What becomes of jobs that have to make room, and of those whose node fails."""
    name, found = "slurm preemption", configuration()
    kind, mode = found.get("PreemptType", ""), found.get("PreemptMode", "")
    default = found.get("JobRequeue", "1")
    again = "jobs are started again after the failure of a node"
    if not subject.settings.slurm.requeue:
        mend = "slurm.requeue: true"
        return warning(name, "requeue is false: a job whose node fails is lost until the next round", mend)
    if default == "0":
        again += " (the harness asks for it; JobRequeue is 0)"
    if kind in ("", "preempt/none") or mode == "OFF":
        return ok(name, f"no preemption; {again}")
    if "CANCEL" in mode.upper():
        mend = (
            "choose a partition or a qos that is not preempted, if there is one; else nothing: the next round goes on"
        )
        return warning(name, f"preempted jobs are cancelled ({kind}), not queued again", mend)
    if "preempt_send_user_signal" not in found.get("SlurmctldParameters", ""):
        said = f"preempted jobs are not told before (PreemptMode {mode}); they go on from their last regular checkpoint"
        return ok(name, f"{said}; {again}")
    return ok(name, f"preempted jobs are told before (PreemptMode {mode}) and write a checkpoint; {again}")
