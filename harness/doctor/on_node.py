"""The part of the probe that runs on a node: what is seen from there."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from harness import __version__
from harness.doctor.disk import locks
from harness.doctor.findings import look
from harness.doctor.gpus import judge_torch
from harness.schedule.slots import visible_gpus
from harness.schedule.slurm.submissions import Submission
from harness.startup import code_root
from results.files import to_json, write_whole

HERE, ANSWER, REPORT = "here.json", "answer.json", "report.json"
"""What the node writes first; what the login node answers; what the node writes last."""
ANSWER_SECONDS = 30.0
"""A file shows on another machine when the client's cache of the folder is too old: 30 s by default with NFS (nfs(5),
acdirmin)."""
POLL_SECONDS = 0.1
TORCH_SECONDS = 60.0


def look_around(submission: Submission) -> int:
    """Writes down what this node sees; returns the exit status."""
    # The limit of a minute or two is near enough for SLURM to say so at once.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    folder, asked = submission.folder, submission.options
    began = time.monotonic()
    write_whole(folder / HERE, to_json({"host": socket.gethostname()}))
    answered = _wait_for(folder / ANSWER)
    seconds = time.monotonic() - began if answered else None
    names = visible_gpus()
    report: dict[str, Any] = {
        "host": socket.gethostname(),
        "node": os.environ.get("SLURMD_NODENAME", ""),
        "seconds": seconds,
        "python": sys.executable,
        "version": ".".join(map(str, sys.version_info[:3])),
        "harness": __version__,
        "code": str(code_root()),
        "data": os.path.isdir(os.path.expandvars(submission.data_root)),
        "cpus": os.environ.get("SLURM_CPUS_PER_TASK", ""),
        "gpus": names,
    }
    if asked["gpus"]:
        report["torch"] = _plain(look("torch", lambda: judge_torch(False, names or ["a GPU"], TORCH_SECONDS)))
    report["locks"] = _plain(look("locks", locks))
    write_whole(folder / REPORT, to_json(report))
    return 0


def _plain(found: Any) -> dict[str, str]:
    return {"state": found[0].state, "what": found[0].what, "mend": found[0].mend}


def _wait_for(path: Path) -> bool:
    """Whether a file of another machine shows in time."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        # Listing makes the client look at the folder again; asking for a name may be answered from its cache.
        if path.name in os.listdir(path.parent):
            return True
        time.sleep(POLL_SECONDS)
    return False
