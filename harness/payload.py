"""What runs in a job's process: claim, slot, work, publish. Everything it says goes into the attempt's log."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import os
import signal
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.base import ALONE, JobContext, Outcome, TrainingContext, World
from benchmarks.catalogue import find_benchmark
from benchmarks.datasets.fingerprint import fingerprint
from benchmarks.input_convention import input_convention
from harness.attempt_log import logged
from harness.completeness import is_complete
from harness.job import Job
from harness.ledger import NAME_CHARACTERS, Claim, JobFolder, now
from harness.meeting import Meeting, call, call_off, failure_of_another, note_failure, place, wait_for
from harness.recording import record_of
from harness.schedule.slots import Slot, count_slots, hold_slot, threads_per_job
from pretrain.catalogue import find_config
from results.errors import HarnessError
from results.files import file_sha256, make_folder
from results.record import BackboneStamp
from results.workspace import Workspace

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

INTERRUPTED = "stopped before it was finished"

LOGGER = logging.getLogger("harness.payload")


class Interrupted(BaseException):
    """The job was asked to stop; raised in the main thread wherever it stands."""


@dataclasses.dataclass(frozen=True)
class Order:
    """What is handed to the job's process; small and picklable.

    Args:
        workspace: Root of the workspace, absolute.
        job: Name of the job's folder.
        slots: The setting ``slots``.
        gpus: GPUs of the host that the run may use, as CUDA names them.
        own_process: False for the debug executor, which runs in the user's process and terminal.
        data_root: The run's ``--data``; None takes the spec's, which another run of the same job may have written.
        room: Folder of the workspace in which the job's folder lies.
        world: Over how many processes the job is spread, and in how many parts each computes; as rank 0 sees it.
        token: Names the submission to its ranks.
    """

    workspace: str
    job: str
    slots: int | None
    gpus: tuple[str, ...]
    own_process: bool
    data_root: str | None = None
    room: str = "jobs"
    world: World = ALONE
    token: str = ""


def run_job(order: Order) -> str:
    """Runs one job, if nobody else does and it is not finished.

    Args:
        order: Which job.

    Returns:
        ``done``, ``failed`` (reason and traceback are in the attempt), ``interrupted``, or ``not needed`` where the job
        was finished or held by another process.
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
    job = Job.from_dict(folder.read_spec())
    if order.data_root is not None:
        job = dataclasses.replace(job, data_root=Path(order.data_root))
    attempt = folder.attempt_folder(meeting.attempt)
    try:
        with _signals_interrupt(), logged(attempt / f"log-rank{rank}.txt", order.own_process):
            device = _prepare(meeting.gpus or None, order)
            world = dataclasses.replace(order.world, rank=rank)
            try:
                with _group(world, device, meeting):
                    _measure(job, folder, meeting.attempt, workspace, device, _threads(order), world)
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
    if order.data_root is not None:
        job = dataclasses.replace(job, data_root=Path(order.data_root))
    if is_complete(workspace, job):
        return "not needed"
    attempt = folder.attempt_name()
    claim = folder.take_claim(attempt, os.environ.get("SUBMITIT_LOCAL_JOB_ID", ""))
    if claim is None:
        return "not needed"
    try:
        if is_complete(workspace, job):
            return "not needed"
        make_folder(folder.attempt_folder(attempt))
        with _signals_interrupt(), logged(folder.attempt_folder(attempt) / "log.txt", order.own_process):
            return _attempt(folder, claim, job, order)
    except Interrupted:
        # Asked to stop before the work began or while its end was being noted. Signals are as they were before.
        folder.end_attempt(attempt, "interrupted", INTERRUPTED)
        return "interrupted"
    finally:
        with contextlib.suppress(HarnessError):
            folder.release(claim)


def _attempt(folder: JobFolder, claim: Claim, job: Job, order: Order) -> str:
    """Works under a claim and writes how it ended."""
    try:
        slots = count_slots(order.slots, order.gpus)
        LOGGER.info("attempt %s of %s, waiting for one of %d slots", claim.attempt, folder.name, slots)
        with hold_slot(slots, order.gpus, order.world.ranks if order.gpus else 1) as slot:
            folder.note_slot(claim.attempt)
            first = _work(job, folder, claim.attempt, Workspace(Path(order.workspace)), slot, order)
        LOGGER.info("done" if first else "done; another attempt had published before, its result stays")
        status, reason = "done", ""
    except Interrupted:
        LOGGER.warning("interrupted")
        status, reason = "interrupted", INTERRUPTED
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
    folder.end_attempt(claim.attempt, status, reason)
    return status


def _work(job: Job, folder: JobFolder, attempt: str, workspace: Workspace, slot: Slot, order: Order) -> bool:
    """Measures and publishes; returns whether this was the first result."""
    _check_data(job, workspace)
    device, threads = _prepare(slot.gpu, order), _threads(order)
    started, clock = now(), time.monotonic()
    backbone = job.backbone
    if backbone is None:
        backbone, outcome = _pretrain(job, folder, attempt, device, threads)
    elif job.extracts:
        outcome = _extract(job, folder, attempt, workspace, device, threads)
    elif order.world.ranks > 1:
        meeting = call(place(folder, order.token), attempt, slot.gpu or "")
        with _group(order.world, device, meeting):
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
        os.environ[variable] = str(_threads(order))
    return _device(gpu)


def _threads(order: Order) -> int:
    """Threads of this process: the ranks of a job share its slot's."""
    return max(1, threads_per_job(count_slots(order.slots, order.gpus)) // (1 if order.gpus else order.world.ranks))


@contextlib.contextmanager
def _group(world: World, device: str, meeting: Meeting) -> Iterator[None]:
    """Joins the ranks of the job."""
    from benchmarks.toolbox.ranks import process_group

    with process_group(world, device, meeting.address, meeting.port):
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
    if gpu is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name()


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGINT become :class:`Interrupted`, once; a second one is ignored while the first is handled."""
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            # A worker that a toolbox forked, and now ends; it must neither work on nor talk of it.
            os._exit(128 + number)
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted

    handled: dict[int, Any] = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    for each, present in handled.items():
        # A job in its own process is started with SIGINT ignored: Ctrl-C is the run's to handle, which then terminates.
        if present is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, present in handled.items():
            signal.signal(each, present)
