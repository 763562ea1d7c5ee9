"""A child process that ends: what it imports may be slow, or hang in a broken driver."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from harness.startup import code_root

KILLED_SECONDS = 5.0
"""How long a killed child is waited for; one that hangs in the kernel does not end, and is left alone."""


@dataclasses.dataclass(frozen=True)
class Said:
    """What a child answered.

    Args:
        content: The JSON of its last line; None where it gave none.
        problem: Why there is none: its last line on standard error, or that it did not end.
    """

    content: Any
    problem: str = ""


def ask_python(program: str, seconds: float, words: Sequence[str] = ()) -> Said:
    """Runs a program in a Python like this one, and takes the JSON that it prints in its last line.

    Args:
        program: Its text.
        seconds: How long it may take.
        words: Its arguments.
    """
    paths = [str(code_root()), os.environ.get("PYTHONPATH", "")]
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", program, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    try:
        out, said = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=KILLED_SECONDS)
        return Said(None, f"did not end within {seconds:g} s")
    lines = out.strip().splitlines()
    try:
        return Said(json.loads(lines[-1]))
    except (IndexError, ValueError):
        last = (said.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        return Said(None, last[:300])
