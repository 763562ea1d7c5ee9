"""Several processes that train one network: their group and their gradients."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
from mmengine.model import MMDistributedDataParallel

from benchmarks.base import World
from benchmarks.toolbox.modules.norm import use_ranked_norms

WAIT = datetime.timedelta(minutes=30)
"""How long a rank waits for another: the slowest test images of the first may take that long."""


class NobodyCameError(Exception):
    """Not all ranks of a job came to where they meet."""


@contextlib.contextmanager
def process_group(world: World, device: str, address: str, port: int, patience: float = 600.0) -> Iterator[None]:
    """Joins the processes of a job, for as long as the context lasts.

    Args:
        world: This process's place.
        device: ``cpu`` (gloo) or ``cuda`` (nccl).
        address: Host of rank 0.
        port: Free port there.
        patience: How long the ranks wait for each other, in seconds.

    Raises:
        NobodyCameError: That was not long enough.
    """
    if world.ranks == 1:
        yield
        return
    # mmengine asks for it; on a host all GPUs of the job are visible to each of its ranks.
    os.environ["LOCAL_RANK"] = str(world.rank % max(1, torch.cuda.device_count()))
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        # A store of our own: the time for meeting is not the time that a step may take.
        store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
            address, port, world.ranks, is_master=world.rank == 0, timeout=datetime.timedelta(seconds=patience)
        )
    except (RuntimeError, ValueError) as error:
        raise NobodyCameError(str(error)) from error
    torch.distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        store=store,
        rank=world.rank,
        world_size=world.ranks,
        timeout=WAIT,
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def shared(model: Any, device: str) -> Any:
    """A model whose gradients are averaged over the ranks, and whose SyncBN is taken over them.

    Args:
        model: The same on every rank.
        device: ``cpu`` or ``cuda``.
    """
    devices = [torch.cuda.current_device()] if device == "cuda" else None
    if device == "cpu":
        model = use_ranked_norms(model)
    return MMDistributedDataParallel(module=model, device_ids=devices, broadcast_buffers=False)
