"""Slots of this host: as many as GPUs, one on a machine without; shared by all runs of a user.

A slot is a file under the host's own temporary folder that the job's process keeps locked (flock(2)). The kernel frees
it when the process ends, however it ends, so nobody has to judge whether a slot is stale. Claims on jobs do not use
locks: they live on file systems where those cannot be trusted; this folder never leaves the host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from results.errors import HarnessError

NVIDIA_DEVICES = Path("/proc/driver/nvidia/gpus")
POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place to run one job.

    Args:
        number: 0 for the first slot of the host.
        gpu: What to put into ``CUDA_VISIBLE_DEVICES``, several joined by commas; None on a machine without a GPU.
    """

    number: int
    gpu: str | None


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as CUDA names them; found without importing torch."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip() and name.strip() != "-1"]
    try:
        return [str(number) for number, _ in enumerate(sorted(NVIDIA_DEVICES.iterdir()))]
    except OSError:
        return []


def count_slots(limit: int | None, gpus: Sequence[str]) -> int:
    """Jobs that may run at once on this host.

    Args:
        limit: The setting ``slots``; on a machine without a GPU it may also be more than one.
        gpus: What :func:`visible_gpus` returned.
    """
    if limit is None:
        return max(len(gpus), 1)
    return min(limit, len(gpus)) if gpus else limit


def threads_per_job(slots: int) -> int:
    """CPU threads for one job, so that all slots together use each core once."""
    return max(1, len(os.sched_getaffinity(0)) // slots)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"harness-slots-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = folder.lstat().st_uid
    except OSError as error:
        raise HarnessError(
            f"cannot make the folder of slots: {error}", str(folder), "set TMPDIR to a folder that you can write"
        ) from error
    if owner != os.getuid():
        raise HarnessError("the folder of slots belongs to another user", str(folder), "set TMPDIR to your own folder")
    return folder


def _try_lock(name: str) -> IO[bytes] | None:
    stream = (_folder() / f"slot-{quote(name, safe='')}.lock").open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    # Temporary folders are cleaned of what nobody touched for days; a lock on a file that is gone would lock nothing.
    os.utime(stream.fileno())
    return stream


@contextlib.contextmanager
def hold_slot(slots: int, gpus: Sequence[str], count: int = 1) -> Iterator[Slot]:
    """Waits for free slots and holds them.

    Args:
        slots: How many there are.
        gpus: Names of the GPUs, one for each slot; empty on a machine without.
        count: How many are needed at once. All or none are taken, so that two jobs never wait for each other.
    """
    held: list[tuple[int, IO[bytes]]] = []
    while True:
        for number in range(slots):
            # By the GPU's name: another run may see other GPUs, and this one in another place.
            stream = _try_lock(f"gpu-{gpus[number]}" if number < len(gpus) else f"cpu-{number}")
            if stream is not None:
                held.append((number, stream))
            if len(held) == count:
                break
        if len(held) == count:
            break
        while held:
            held.pop()[1].close()
        time.sleep(POLL_SECONDS)
    numbers = [number for number, _ in held]
    try:
        yield Slot(numbers[0], ",".join(gpus[number] for number in numbers) if numbers[-1] < len(gpus) else None)
    finally:
        for _, stream in held:
            stream.close()
