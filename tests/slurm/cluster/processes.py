"""Daemons of the cluster: recorded with the time of their start, and ended only if they are still the same."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to a process's start (``/proc/PID/stat``, field 22); None where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def wait_until(what: str, is_so: Callable[[], bool], seconds: float, every: float = 0.05) -> None:
    """Waits for something.

    Raises:
        TimeoutError: It is not so after that many seconds.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(every)


def end_process(pid: int, start: int, signals: Sequence[int] = (signal.SIGTERM, signal.SIGKILL)) -> None:
    """Ends a process, if it is still the one that started then.

    Args:
        pid: Process id.
        start: Clock ticks at its start.
        signals: Sent one after the other, each ten seconds after the one before.
    """
    for number in signals:
        if start_ticks(pid) != start:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            wait_until(f"{pid} ends", lambda: start_ticks(pid) != start, 10)


@dataclasses.dataclass(frozen=True)
class Daemon:
    """One daemon that stays in the foreground of a session of its own.

    Args:
        name: For its record and its log.
        folder: The cluster's folder.
        command: What is run.
    """

    name: str
    folder: Path
    command: tuple[str, ...]

    @property
    def _record(self) -> Path:
        return self.folder / "pid" / f"{self.name}.json"

    def recorded(self) -> tuple[int, int] | None:
        """Process id and start of the recorded process, if that one still lives."""
        try:
            raw = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return None
        return (raw["pid"], raw["start"]) if start_ticks(raw["pid"]) == raw["start"] else None

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts it, unless it runs."""
        if self.recorded() is not None:
            return
        with (self.folder / "log" / f"{self.name}.out").open("ab") as log:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._record.write_text(json.dumps({"pid": process.pid, "start": start_ticks(process.pid)}))
        _children.append(process)

    def stop(self) -> None:
        """Ends it in order."""
        if (found := self.recorded()) is not None:
            end_process(*found)
        self._forget()

    def kill(self) -> None:
        """Ends it as a power cut does."""
        if (found := self.recorded()) is not None:
            end_process(*found, (signal.SIGKILL,))
        self._forget()

    def _forget(self) -> None:
        self._record.unlink(missing_ok=True)
        for child in list(_children):
            if child.poll() is not None:
                _children.remove(child)


_children: list[subprocess.Popen[bytes]] = []
"""Daemons that this process started; polled so that no zombies stay behind."""


def processes_with(variables: Mapping[str, str], name: str = "") -> Iterator[tuple[int, int]]:
    """Processes in whose environment these variables have these values, as (process id, start).

    Args:
        variables: Names and values; an empty value stands for any.
        name: If given, only processes of this program.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if name and (entry / "comm").read_text().strip() != name:
                continue
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        held = dict(word.decode(errors="replace").split("=", 1) for word in words if b"=" in word)
        start = start_ticks(int(entry.name))
        if start is not None and all(
            key in held and held[key] == (value or held[key]) for key, value in variables.items()
        ):
            yield int(entry.name), start


def descendants(pids: Sequence[int]) -> set[int]:
    """Processes below these, at any depth."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    edge = set(pids)
    while edge:
        edge = {pid for pid, parent in parents.items() if parent in edge} - found
        found |= edge
    return found
