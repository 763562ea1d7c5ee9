"""Whether another cluster has the ports, and whose it is."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.slurm.cluster.processes import start_ticks


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def folder_of_running_controller(port: int) -> Path | None:
    """The folder of the cluster of ours whose slurmctld has this port."""
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdecimal() or (entry / "comm").read_text().strip() != "slurmctld":
                continue
            configuration = Path((entry / "cmdline").read_bytes().split(b"\0")[-2].decode())
            folder = configuration.parent.parent
            if f"SlurmctldPort={port}\n" in configuration.read_text() and (folder / "owner.json").exists():
                return folder
        except (OSError, IndexError):
            continue
    return None


def note_owner(folder: Path, owner: int | None) -> None:
    """Notes the process whose end makes a cluster an orphan; the first note stays where ``owner`` is None."""
    path = folder / "owner.json"
    if owner is not None or not path.exists():
        path.write_text(json.dumps({"pid": owner, "start": start_ticks(owner) if owner is not None else None}))


def is_orphan(folder: Path) -> bool:
    """Whether the process that brought a cluster up for itself is gone."""
    owner = json.loads((folder / "owner.json").read_text())
    return owner["pid"] is not None and start_ticks(owner["pid"]) != owner["start"]
