"""How the ranks of one job find each other: rank 0 holds the claim, and writes down where it waits for the others."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from pathlib import Path

from harness.ledger import JobFolder
from results.files import read_json, to_json, write_whole

POLL_SECONDS = 0.1
FAILURE = "rank{}.failed.json"
"""In the attempt's folder: why a rank other than 0 gave up."""


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


def call(path: Path, attempt: str, gpus: str) -> Meeting:
    """Rank 0 says where it is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = Meeting(attempt, "127.0.0.1", int(probe.getsockname()[1]), gpus)
    write_whole(path, to_json(dataclasses.asdict(found)))
    return found


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


def note_failure(attempt: Path, rank: int, reason: str) -> None:
    """A rank leaves its reason for rank 0, which only sees that the connection broke."""
    write_whole(attempt / FAILURE.format(rank), to_json({"reason": reason}))


def failure_of_another(attempt: Path) -> str | None:
    """Why a rank other than 0 gave up, if one said so."""
    for path in sorted(attempt.glob(FAILURE.format("*"))):
        return str(read_json(path)["reason"])
    return None
