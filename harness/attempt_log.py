"""The log of an attempt: everything that its process writes."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

LOGGED_PACKAGES = ("harness", "benchmarks", "pretrain")
"""What these log at INFO goes into the attempt's log; toolboxes keep logs of their own."""


@contextlib.contextmanager
def logged(path: Path, own_process: bool) -> Iterator[None]:
    """Sends everything that the process writes into the attempt's log; in the user's own process only the logging."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    loggers = [logging.getLogger(name) for name in LOGGED_PACKAGES]
    handler: logging.Handler
    saved: list[tuple[int, int]] = []
    if own_process:
        sys.stdout.flush()
        sys.stderr.flush()
        with path.open("ab") as stream:
            for number in (1, 2):
                saved.append((number, os.dup(number)))
                os.dup2(stream.fileno(), number)
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.FileHandler(path)
    handler.setFormatter(formatter)
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
