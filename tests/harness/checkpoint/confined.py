"""Examines files one by one, each in a process of its own with little memory and little time.

``python -m tests.harness.checkpoint.confined``: a line on standard input is a path, a line on standard output is what
became of it, in JSON. Importing torch takes longer than most files, so every process is a fork of one that has.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from typing import Any

import torch

import benchmarks.backbone
from benchmarks.backbone import digest
from harness.checkpoint.intake import examine
from results.errors import HarnessError

SECONDS = 20
MEMORY = 4 * 2**30
"""Bytes of address space beyond those that the interpreter and torch take."""


def _child(path: str) -> dict[str, Any]:
    with open("/proc/self/statm") as stream:
        base = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (base + MEMORY, base + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    found: dict[str, Any] = {}
    try:
        facts, tensors = examine(path)
        right = facts.digest == digest(tensors) and all(bool(torch.isfinite(value).all()) for value in tensors.values())
        found = {"outcome": "read", "digest": facts.digest if right else "", "text": str(facts.warnings)}
    except HarnessError as error:
        found = {"outcome": "refused", "text": str(error)[:2000], "length": len(str(error))}
    except BaseException as error:  # noqa: BLE001 - it is the result
        found = {"outcome": "raised", "text": f"{type(error).__name__}: {error}"[:2000]}
    found["seconds"] = time.monotonic() - started
    found["megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return found


def _confined(path: str) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            os.write(writing, json.dumps(_child(path)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"outcome": "killed", "text": f"{name} (SIGALRM: longer than {SECONDS} seconds)"}
    return json.loads(told) if told else {"outcome": "killed", "text": "out of memory while it told its result"}


def main() -> None:
    benchmarks.backbone.STAGE_BLOCKS = (1, 1, 0, 0)
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(_confined(line.rstrip("\n"))), flush=True)


if __name__ == "__main__":
    main()
