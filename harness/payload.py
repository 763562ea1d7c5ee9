"""What runs in a job's process: claim, slot, work, publish. Everything it says goes into the attempt's log."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from benchmarks.base import ALONE, JobContext, Outcome, TrainingContext, World
from benchmarks.catalogue import find_benchmark
from benchmarks.datasets.fingerprint import fingerprint
from benchmarks.input_convention import input_convention
from harness.attempt_log import logged
from harness.completeness import features_are_there, is_complete
from harness.data_root import expanded
from harness.interruption import NOTICE, Interrupted, signals_interrupt
from harness.job import Job
from harness.ledger import NAME_CHARACTERS, Claim, JobFolder, now
from harness.meeting import (
    Meeting,
    absent_ranks,
    call,
    call_off,
    failure_of_another,
    note_failure,
    note_presence,
    place,
    wait_for,
)
from harness.order import Order, own_gpus
from harness.recording import record_of
from harness.schedule.slots import Slot, hold_slot
from pretrain.catalogue import find_config
from results.errors import HarnessError
from results.files import file_sha256, make_folder
from results.record import BackboneStamp
from results.workspace import Workspace

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

INTERRUPTED = "stopped before it was finished"

LOGGER = logging.getLogger("harness.payload")


def run_job(order: Order) -> str:
    """Runs one job, if nobody else does and it is not finished.

    Args:
        order: Which job.

    Returns:
        ``done``, ``failed`` (reason and traceback are in the attempt), ``interrupted``, ``not needed`` where the job
        was finished or held by another process, or ``not ready`` where it needs features that are not there.
    """
    rank = _rank(order)
    if rank > 0:
        return follow(order, rank)
    folder = JobFolder(Workspace(Path(order.workspace)).root / order.room / order.job)
    try:
        return _lead(order)
    finally:
        if order.world.ranks > 1:
            call_off(place(folder, order.token))


def _rank(order: Order) -> int:
    """This process's place among those of the job, told by submitit."""
    if order.world.ranks == 1:
        return 0
    import submitit

    return int(submitit.JobEnvironment().global_rank)


def follow(order: Order, rank: int) -> str:
    """Trains beside rank 0, which alone claims, records and publishes.

    Args:
        order: Which job.
        rank: From 1.

    Returns:
        As :func:`run_job`; what becomes of the job is rank 0's to say.
    """
    workspace = Workspace(Path(order.workspace))
    folder = JobFolder(workspace.root / order.room / order.job)
    meeting = wait_for(place(folder, order.token))
    if meeting is None:
        return "not needed"
    note_presence(folder.attempt_folder(meeting.attempt), rank)
    job = Job.from_dict(folder.read_spec())
    job = _with_data_root(job, order)
    attempt = folder.attempt_folder(meeting.attempt)
    try:
        with signals_interrupt(), logged(attempt / f"log-rank{rank}.txt", order.own_process):
            device = _prepare(own_gpus(None) if order.grant is not None else meeting.gpus or None, order)
            world = dataclasses.replace(order.world, rank=rank)
            try:
                with _group(order, world, device, meeting, attempt):
                    _measure(job, folder, meeting.attempt, workspace, device, order.threads, world)
            except HarnessError as error:
                LOGGER.error("%s", error)
                note_failure(attempt, rank, error.what)
                return "failed"
            except Exception as error:  # noqa: BLE001 - most often rank 0 is gone; else it must learn of this
                LOGGER.error("%s", traceback.format_exc())
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                note_failure(attempt, rank, f"rank {rank} failed: {first}")
                return "failed"
        return "done"
    except Interrupted:
        return "interrupted"


def _lead(order: Order) -> str:
    """What rank 0 does."""
    workspace = Workspace(Path(order.workspace))
    folder = JobFolder(workspace.root / order.room / order.job)
    job = Job.from_dict(folder.read_spec())
    job = _with_data_root(job, order)
    if is_complete(workspace, job):
        return "not needed"
    if not features_are_there(workspace, job):
        return "not ready"
    attempt = folder.attempt_name()
    claim = _claim(folder, attempt, order)
    if claim is None:
        return "not needed"
    try:
        if is_complete(workspace, job):
            return "not needed"
        make_folder(folder.attempt_folder(attempt))
        with signals_interrupt(), logged(folder.attempt_folder(attempt) / "log.txt", order.own_process):
            return _attempt(folder, claim, job, order)
    except Interrupted:
        # Asked to stop before the work began or while its end was being noted. Signals are as they were before.
        folder.end_attempt(attempt, "interrupted", INTERRUPTED)
        return "interrupted"
    finally:
        with contextlib.suppress(HarnessError):
            folder.release(claim)


def _with_data_root(job: Job, order: Order) -> Job:
    """The job with its data where it lies on this machine."""
    root = job.data_root if order.data_root is None else Path(order.data_root)
    return dataclasses.replace(job, data_root=expanded(root))


def _claim(folder: JobFolder, attempt: str, order: Order) -> Claim | None:
    """Takes the job; on a cluster also from those who the scheduler says are gone."""
    if order.grant is None:
        return folder.take_claim(attempt, os.environ.get("SUBMITIT_LOCAL_JOB_ID", ""))
    from harness.schedule.slurm.endings import is_gone, note_restart

    grant = order.grant
    claim = folder.take_claim(
        attempt,
        grant.job_id,
        grant.restart,
        grant.submission,
        lambda held: is_gone(held, grant.submission, grant.restart),
    )
    if claim is not None:
        note_restart(folder, claim)
    return claim


def _attempt(folder: JobFolder, claim: Claim, job: Job, order: Order) -> str:
    """Works under a claim and writes how it ended."""
    cause = ""
    try:
        with _slot(folder, claim, order) as slot:
            folder.note_slot(claim.attempt)
            _set_watchdog(folder, claim, order)
            first = _work(job, folder, claim.attempt, Workspace(Path(order.workspace)), slot, order)
        LOGGER.info("done" if first else "done; another attempt had published before, its result stays")
        status, reason = "done", ""
    except Interrupted as stop:
        status, reason, cause = _interruption(stop, folder, claim, order)
        LOGGER.warning("interrupted: %s", reason)
    except HarnessError as error:
        LOGGER.error("%s", error)
        status, reason = "failed", error.what
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a third party raises is this job's failure
        LOGGER.error("%s", traceback.format_exc())
        status, reason = "failed", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        another = failure_of_another(folder.attempt_folder(claim.attempt))
        if another is not None:
            LOGGER.error("%s", another)
            reason = another
    folder.end_attempt(claim.attempt, status, reason, cause)
    return status


@contextlib.contextmanager
def _slot(folder: JobFolder, claim: Claim, order: Order) -> Iterator[Slot]:
    """A slot of this host, or what the scheduler granted."""
    if order.grant is not None:
        where = ", ".join(order.grant.nodes)
        LOGGER.info("attempt %s of %s, job %s on %s", claim.attempt, folder.name, order.grant.job_id, where)
        yield Slot(0, ",".join(order.gpus) or None)
        return
    LOGGER.info("attempt %s of %s, waiting for one of %d slots", claim.attempt, folder.name, order.slot_count)
    with hold_slot(order.slot_count, order.gpus, order.world.ranks if order.gpus else 1) as slot:
        yield slot


def _set_watchdog(folder: JobFolder, claim: Claim, order: Order) -> None:
    """Starts what ends the attempt if it makes no progress; a debugger may stop for as long as it likes."""
    if order.hang_minutes is None or not order.own_process:
        return
    from harness import watchdog

    words = [
        str(claim.process.pid),
        str(claim.process.start),
        str(folder.attempt_folder(claim.attempt)),
        str(folder.claim_path(claim.number)),
        str(order.hang_minutes * 60),
    ]
    # -I and -S: it imports nothing but the standard library, and is up before the work has begun.
    subprocess.Popen([sys.executable, "-I", "-S", watchdog.__file__, *words], stdin=subprocess.DEVNULL)


def _interruption(stop: Interrupted, folder: JobFolder, claim: Claim, order: Order) -> tuple[str, str, str]:
    """What a job that was asked to stop says of itself: (status, reason, cause)."""
    if stop.number != NOTICE or order.grant is None:
        return "interrupted", INTERRUPTED, ""
    from harness.schedule.slurm.endings import has_checkpoint, out_of_time

    if not out_of_time(claim, order.grant):
        return "interrupted", "told to make room; it goes on from its newest checkpoint", "preempted"
    if has_checkpoint(folder.attempt_folder(claim.attempt)):
        return "interrupted", "its time was up; it goes on from its newest checkpoint", "time limit"
    limit = order.grant.minutes
    return (
        "failed",
        f"its time limit of {limit} min was reached before its first checkpoint; raise slurm.minutes",
        "time limit",
    )


def _work(job: Job, folder: JobFolder, attempt: str, workspace: Workspace, slot: Slot, order: Order) -> bool:
    """Measures and publishes; returns whether this was the first result."""
    _check_data(job, workspace)
    device, threads = _prepare(slot.gpu, order), order.threads
    started, clock = now(), time.monotonic()
    backbone = job.backbone
    if backbone is None:
        backbone, outcome = _pretrain(job, folder, attempt, device, threads)
    elif job.extracts:
        outcome = _extract(job, folder, attempt, workspace, device, threads)
    elif order.world.ranks > 1:
        several = order.grant is not None and len(order.grant.nodes) > 1
        meeting = call(place(folder, order.token), attempt, slot.gpu or "", several)
        with _group(order, order.world, device, meeting, folder.attempt_folder(attempt)):
            outcome = _measure(job, folder, attempt, workspace, device, threads, order.world)
    else:
        outcome = _measure(job, folder, attempt, workspace, device, threads, order.world)
    seconds = time.monotonic() - clock
    if order.world != ALONE:
        spread = {"ranks": order.world.ranks, "parts": order.world.parts}
        outcome = dataclasses.replace(outcome, details={**outcome.details, "spread": spread})
    record = record_of(job, backbone, outcome, attempt, started, seconds, _device_name(device))
    return folder.publish_result(record)


def _prepare(gpu: str | None, order: Order) -> str:
    """Sets what libraries read when they are imported, and says which device the job computes on."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(order.threads)
    return _device(gpu)


@contextlib.contextmanager
def _group(order: Order, world: World, device: str, meeting: Meeting, attempt: Path) -> Iterator[None]:
    """Joins the ranks of the job."""
    from benchmarks.toolbox.ranks import NobodyCameError, process_group

    patience = order.rendezvous_minutes * 60
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(process_group(world, device, meeting.address, meeting.port, patience))
        except NobodyCameError as error:
            raise absent_ranks(attempt, world, meeting, order) from error
        yield


def _check_data(job: Job, workspace: Workspace) -> None:
    """Refuses lists that are not those of the plan: the record would bear the fingerprint of the old ones."""
    if fingerprint(job.data.name, job.data_root, workspace.cache).fingerprint != job.data.fingerprint:
        raise HarnessError(
            f"the lists or annotations of {job.data.name} changed since the job was planned",
            str(job.data_root),
            "run the same command again: it plans anew",
        )


def _extract(job: Job, folder: JobFolder, attempt: str, workspace: Workspace, device: str, threads: int) -> Outcome:
    from benchmarks.probes.features import extract

    if job.request is None:
        raise ValueError("a feature job has a request")
    backbone = job.required_backbone()
    manifest = extract(
        job.request,
        backbone=workspace.backbone(backbone.digest) / "backbone.safetensors",
        digest=backbone.digest,
        convention=input_convention(backbone.input),
        numerics=job.numerics,
        data_root=job.data_root,
        out=workspace.feature_set(job.key),
        attempt=folder.attempt_folder(attempt),
        device=device,
        threads=threads,
        previous=_previous(folder, attempt),
    )
    counts = {split: entry["count"] for split, entry in manifest["splits"].items()}
    return Outcome(metrics={}, details={"request": job.request.to_dict(), "counts": counts})


def _measure(
    job: Job, folder: JobFolder, attempt: str, workspace: Workspace, device: str, threads: int, world: World
) -> Outcome:
    if job.protocol is None:
        raise ValueError("a benchmark's job has a protocol")
    extraction, backbone = job.feature_job(), job.required_backbone()
    context = JobContext(
        protocol=job.protocol,
        backbone=workspace.backbone(backbone.digest) / "backbone.safetensors",
        digest=backbone.digest,
        input=input_convention(backbone.input),
        data_root=job.data_root,
        data=job.data,
        seed=job.seed,
        numerics=job.numerics,
        attempt=folder.attempt_folder(attempt),
        features=workspace.feature_set(extraction.key) if extraction is not None else None,
        previous=_previous(folder, attempt),
        threads=threads,
        device=device,
        world=world,
    )
    return find_benchmark(job.benchmark, "spec.json").run(context)


def _pretrain(job: Job, folder: JobFolder, attempt: str, device: str, threads: int) -> tuple[BackboneStamp, Outcome]:
    """Trains, and puts the checkpoint into the job's folder."""
    if job.protocol is None:
        raise ValueError("a pretraining job has a protocol")
    config = find_config(job.benchmark, "spec.json")
    context = TrainingContext(
        protocol=job.protocol,
        data_root=job.data_root,
        data=job.data,
        seed=job.seed,
        numerics=job.numerics,
        attempt=folder.attempt_folder(attempt),
        previous=_previous(folder, attempt),
        threads=threads,
        device=device,
    )
    product = config.run(context)
    sha = file_sha256(product.checkpoint)
    name = f"{config.name}_{datetime.datetime.now(datetime.UTC):%Y%m%d}-{sha[:NAME_CHARACTERS]}.pth"
    folder.publish_product(product.checkpoint, name)
    stamp = BackboneStamp(product.digest, name, config.format, config.encoder, config.input)
    made = {"file": name, "sha256": sha, "bytes": product.checkpoint.stat().st_size}
    outcome = dataclasses.replace(product.outcome, details={"checkpoint": made, **product.outcome.details})
    return stamp, outcome


def _previous(folder: JobFolder, attempt: str) -> tuple[Path, ...]:
    return tuple(folder.attempt_folder(name) for name in folder.resumable() if name != attempt)


def _device(gpu: str | None) -> str:
    """Which device the job computes on.

    Raises:
        HarnessError: It has a GPU that torch cannot use; on the CPU it would take weeks.
    """
    if gpu is None:
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        raise HarnessError(
            f"the job has GPU {gpu}, but torch {torch.__version__} finds no CUDA on {socket.gethostname()}",
            "this node",
            "install a torch with CUDA and a driver that fits it, or set device: cpu (HARNESS_DEVICE=cpu)",
        )
    return "cuda"


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name()
