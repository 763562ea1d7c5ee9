"""Which process on which host, and whether it still lives."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


def _start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process (field 22 of ``/proc/PID/stat``, proc(5)).

    Returns:
        None where there is no such process, or it is a zombie that its parent has not collected.
    """
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the command in brackets and may hold anything, brackets and spaces too.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process of another user that ``/proc`` does not show (``hidepid``, proc(5))."""
    if (_PROC / str(pid)).exists():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""


@dataclasses.dataclass(frozen=True)
class ProcessIdentity:
    """One process, so that a reused pid, a reboot or another container is not taken for it.

    Args:
        host: Host name.
        boot: The kernel's boot id.
        namespace: Pid namespace (containers of one host have several).
        pid: Process id.
        start: Clock ticks from boot to its start.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    start: int

    @staticmethod
    def current() -> ProcessIdentity:
        """The calling process."""
        pid = os.getpid()
        return ProcessIdentity(socket.gethostname(), _boot_id(), _pid_namespace(), pid, _start_ticks(pid) or 0)

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> ProcessIdentity:
        return ProcessIdentity(**{field.name: raw[field.name] for field in dataclasses.fields(ProcessIdentity)})

    def is_alive(self) -> bool | None:
        """Whether the process lives; None where this host cannot know (another host or another container)."""
        here = ProcessIdentity.current()
        if self.host != here.host:
            return None
        if self.boot != here.boot:
            return False
        if self.namespace != here.namespace:
            return None
        ticks = _start_ticks(self.pid)
        if ticks is None and _is_hidden(self.pid):
            return None
        return ticks == self.start
