"""Bars that show on standard error how far a verb is that looks at many files."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class FileBar:
    """One bar for each data set or archive; nothing is shown where standard error is no terminal.

    Args:
        quiet: Show nothing at all.
    """

    def __init__(self, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        # Transient: gone at the end, so that what the verb prints stands alone.
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)

    def __enter__(self) -> FileBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def files(self, name: str) -> Callable[[int, int], None]:
        """Begins a bar and returns what moves it: called with how much is done, and of how much (0: not known)."""
        task = self._progress.add_task(name, total=None)
        return lambda done, total: self._progress.update(task, completed=done, total=total or None)
