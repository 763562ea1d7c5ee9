"""What a run shows while it works: a live table in a terminal, one line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live

from harness.cli.console import make_table
from harness.schedule.tracking import Reporter, TrackedJob

STYLES = {"done": "green", "cached": "cyan", "failed": "red", "running": "yellow", "interrupted": "magenta"}


class PlainLines:
    """One line for each change of state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def changed(self, job: TrackedJob) -> None:
        seconds = time.monotonic() - self._start
        reason = f": {job.reason}" if job.reason else ""
        self._console.print(
            f"{seconds:7.1f} s  {job.folder.name}  {job.state}{reason}", markup=False, highlight=False, soft_wrap=True
        )

    def tick(self, jobs: Sequence[TrackedJob]) -> None:
        pass


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def changed(self, job: TrackedJob) -> None:
        pass

    def tick(self, jobs: Sequence[TrackedJob]) -> None:
        pass


class LiveTable:
    """All jobs with their states, drawn again in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._since: dict[str, float] = {}

    def __enter__(self) -> LiveTable:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def changed(self, job: TrackedJob) -> None:
        self._since[job.folder.name] = time.monotonic()

    def tick(self, jobs: Sequence[TrackedJob]) -> None:
        rows = []
        for job in jobs:
            since = self._since.get(job.folder.name)
            seconds = "" if since is None or job.ended else f"{time.monotonic() - since:.0f}"
            rows.append((job.folder.name, job.state, seconds, job.reason))
        table = make_table(("job", "state", "seconds", "why"), rows, {"state": STYLES})
        self._live.update(table, refresh=True)


def choose_reporter(console: Console, quiet: bool) -> Reporter:
    """The reporter that fits the terminal; all of them are context managers."""
    if quiet:
        return Silence()
    return LiveTable(console) if console.is_terminal else PlainLines(console)
