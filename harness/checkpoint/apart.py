"""Intake in a process that ends: what plans and looks on stays small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.checkpoint.intake import Intake, known, take_in
from harness.startup import code_root
from results.errors import HarnessError
from results.workspace import Workspace

PROGRAM = "from harness.checkpoint.apart import answer; answer()"


def take_in_all(
    checkpoints: Sequence[str], workspace: Workspace, input: str | None, encoder: str | None, trust: bool
) -> list[Intake]:
    """As :func:`harness.checkpoint.intake.take_in` for each; torch is loaded in another process, if at all.

    Args:
        checkpoints: As there.
        workspace: As there.
        input: As there.
        encoder: As there.
        trust: As there.

    Raises:
        HarnessError: As there, or that process was killed.
    """
    if "torch" not in sys.modules:
        unknown = [each for each in checkpoints if known(each, workspace, encoder, trust) is None]
        if unknown:
            _take_in_elsewhere(unknown, workspace, input, encoder, trust)
    return [take_in(each, workspace, input, encoder, trust) for each in checkpoints]


def _take_in_elsewhere(
    checkpoints: Sequence[str], workspace: Workspace, input: str | None, encoder: str | None, trust: bool
) -> None:
    question = [list(checkpoints), str(workspace.root), input, encoder, trust]
    path = os.pathsep.join(filter(None, (str(code_root()), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode < 0:
        raise HarnessError(
            f"the process that read the checkpoints was killed by signal {-done.returncode}, often for want of memory",
            ", ".join(checkpoints),
            "free memory (a checkpoint takes about twice its size) and run the same command again",
        )
    refusal = json.loads(done.stdout) if done.returncode == 0 else None
    if refusal:
        what, where, mend = refusal
        raise HarnessError(what, where, mend)
    # Anything else that went wrong there goes wrong here too, where its traceback is this program's.


def answer() -> None:
    """What the other process does: reads the question, and prints the refusal or nothing but null."""
    checkpoints, root, *reading = json.load(sys.stdin)
    refusal = None
    try:
        for checkpoint in checkpoints:
            take_in(checkpoint, Workspace(Path(root)), *reading)
    except HarnessError as error:
        refusal = [error.what, error.where, error.mend]
    print(json.dumps(refusal))
