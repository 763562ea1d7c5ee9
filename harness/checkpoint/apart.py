"""Intake in a process that ends: what plans and looks on stays small."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from harness.checkpoint.intake import Intake, known, take_in
from results.errors import HarnessError
from results.workspace import Workspace


def take_in_apart(
    checkpoint: str, workspace: Workspace, input: str | None = None, encoder: str | None = None, trust: bool = False
) -> Intake:
    """As :func:`harness.checkpoint.intake.take_in`; torch is loaded in another process, if at all.

    Raises:
        HarnessError: As there, or that process was killed.
    """
    if "torch" in sys.modules or known(checkpoint, workspace, encoder, trust) is not None:
        return take_in(checkpoint, workspace, input, encoder, trust)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(take_in, checkpoint, workspace, input, encoder, trust).result()
    except BrokenProcessPool as error:
        raise HarnessError(
            "the process that read the checkpoint was killed, most often for want of memory",
            checkpoint,
            "free memory (a checkpoint takes about twice its size) and run the same command again",
        ) from error
