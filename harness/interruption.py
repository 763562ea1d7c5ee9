"""A job that is asked to stop: by Ctrl-C of its run, by a scheduler whose time is up, by whoever sends a signal."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

NOTICE = signal.SIGUSR2
"""What a cluster's scheduler is asked to send before the time is up, and what it sends before a preemption."""


class Interrupted(BaseException):
    """The job was asked to stop; raised in the main thread wherever it stands.

    Args:
        number: Which signal asked.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM, SIGINT and SIGUSR2 become :class:`Interrupted`, once: a second one is ignored while that is handled."""
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            # A worker that a toolbox forked, and now ends; it must neither work on nor talk of it.
            os._exit(128 + number)
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    handled: dict[int, Any] = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, NOTICE)}
    for each, present in handled.items():
        # A job in its own process is started with SIGINT ignored: Ctrl-C is the run's to handle, which then terminates.
        if present is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, present in handled.items():
            signal.signal(each, present)
