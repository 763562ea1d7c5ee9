"""How the ranks of one job find each other: rank 0 holds the claim, and writes down where it waits for the others."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path

from benchmarks.base import World
from harness.ledger import JobFolder
from harness.order import Order
from results.errors import HarnessError
from results.files import read_json, to_json, write_whole

POLL_SECONDS = 0.1
FAILURE = "rank{}.failed.json"
"""In the attempt's folder: why a rank other than 0 gave up."""
PRESENCE = "rank{}.present.json"
"""In the attempt's folder: where a rank other than 0 heard of the meeting."""


@dataclasses.dataclass(frozen=True)
class Meeting:
    """Where the ranks of one attempt meet.

    Args:
        attempt: Name of the attempt; empty where there is nothing to do.
        address: Host of rank 0.
        port: Free port there.
        gpus: ``CUDA_VISIBLE_DEVICES`` of the job; empty on a machine without.
    """

    attempt: str
    address: str = ""
    port: int = 0
    gpus: str = ""


def place(folder: JobFolder, token: str) -> Path:
    """The file that tells of a meeting.

    Args:
        folder: The job's.
        token: Of the submission: another submission of the same job meets elsewhere.
    """
    return folder.path / "submissions" / f"{token}.meeting.json"


def call(path: Path, attempt: str, gpus: str, several_nodes: bool = False) -> Meeting:
    """Rank 0 says where it is.

    Args:
        path: From :func:`place`.
        attempt: Name of the attempt.
        gpus: ``CUDA_VISIBLE_DEVICES`` of the job; empty on a machine without.
        several_nodes: Whether ranks come from other nodes; else nothing leaves this one.
    """
    address = node_name() if several_nodes else "127.0.0.1"
    with socket.socket() as probe:
        probe.bind(("" if several_nodes else address, 0))
        found = Meeting(attempt, address, int(probe.getsockname()[1]), gpus)
    write_whole(path, to_json(dataclasses.asdict(found)))
    return found


def node_name() -> str:
    """A name of this node that the others can resolve: the scheduler's, else its own."""
    named = os.environ.get("SLURMD_NODENAME", "")
    with contextlib.suppress(OSError):
        if named:
            socket.getaddrinfo(named, None)
            return named
    return socket.gethostname()


def call_off(path: Path) -> None:
    """Rank 0 says that there is nothing to do, unless it has called the others already."""
    if not path.exists():
        write_whole(path, to_json(dataclasses.asdict(Meeting(""))))


def wait_for(path: Path) -> Meeting | None:
    """Another rank waits until rank 0 has a claim and a slot.

    Returns:
        Where it is; None where there is nothing to do, or where what started the ranks is gone.
    """
    parent = os.getppid()
    while not path.exists():
        if os.getppid() != parent:
            return None
        time.sleep(POLL_SECONDS)
    found = Meeting(**read_json(path))
    return found if found.attempt else None


def note_presence(attempt: Path, rank: int) -> None:
    """A rank says that it has heard of the meeting, and where it is."""
    write_whole(attempt / PRESENCE.format(rank), to_json({"node": node_name()}))


def absent_ranks(attempt: Path, world: World, meeting: Meeting, order: Order) -> HarnessError:
    """Says who was waited for in vain.

    Args:
        attempt: Folder of the attempt.
        world: As the rank that waited sees it.
        meeting: Where it waited.
        order: What the job was given.
    """
    nodes = order.grant.nodes if order.grant is not None else ()
    waited = f"{order.rendezvous_minutes:g} min"
    mend = (
        "see that the nodes resolve each other's names and that no firewall stands between them; "
        "slurm.rendezvous_minutes says how long is waited"
    )
    if world.rank > 0:
        return HarnessError(
            f"rank {world.rank} on {node_name()} could not reach rank 0 at {meeting.address} within {waited}",
            "ranks",
            mend,
        )
    a_node = max(1, world.ranks // max(1, len(nodes)))
    absent = []
    for rank in range(1, world.ranks):
        if not (attempt / PRESENCE.format(rank)).exists():
            absent.append(f"rank {rank}" + (f" on {nodes[rank // a_node]}" if rank // a_node < len(nodes) else ""))
    who = ", ".join(absent) if absent else "some rank that has heard of the meeting, but cannot reach it,"
    return HarnessError(f"{who} did not join rank 0 at {meeting.address} within {waited}", "ranks", mend)


def note_failure(attempt: Path, rank: int, reason: str) -> None:
    """A rank leaves its reason for rank 0, which only sees that the connection broke."""
    write_whole(attempt / FAILURE.format(rank), to_json({"reason": reason}))


def failure_of_another(attempt: Path) -> str | None:
    """Why a rank other than 0 gave up, if one said so."""
    for path in sorted(attempt.glob(FAILURE.format("*"))):
        return str(read_json(path)["reason"])
    return None
