"""The process beside an attempt: what it ends, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import watchdog

SLEEP = "import time; time.sleep(60)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    folder = tmp_path / "attempts" / "0001-a"
    folder.mkdir(parents=True)
    (tmp_path / "claims").mkdir()
    return folder


def claim_of(attempt: Path) -> Path:
    return attempt.parents[1] / "claims" / "0001.json"


def watch(process: subprocess.Popen[str], attempt: Path, seconds: float, start: int | None = None) -> bool:
    begun = watchdog.start_ticks(process.pid) if start is None else start
    assert begun is not None
    return watchdog.watch(process.pid, begun, attempt, claim_of(attempt), seconds)


def test_a_process_without_progress_is_ended_with_its_children_and_the_cause_is_noted(attempt: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert watch(process, attempt, 0.2)
    assert process.wait(10) == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while watchdog.start_ticks(child) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert watchdog.start_ticks(child) is None
    outcome = json.loads((attempt / "outcome.json").read_text())
    assert (outcome["status"], outcome["cause"]) == ("failed", "hang")
    assert "hang_minutes" in outcome["reason"]
    assert claim_of(attempt).with_suffix(".released").exists()


def test_anything_written_below_the_attempt_is_progress(attempt: Path) -> None:
    writes = (
        "import pathlib, sys, time\n"
        "for number in range(12):\n"
        "    (pathlib.Path(sys.argv[1]) / 'toolbox').mkdir(exist_ok=True)\n"
        "    (pathlib.Path(sys.argv[1]) / 'toolbox' / 'log').write_text(str(number))\n"
        "    time.sleep(0.1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", writes, str(attempt)], text=True)
    assert not watch(process, attempt, 0.8)
    assert process.wait(10) == 0
    assert not (attempt / "outcome.json").exists()


def test_a_process_that_ends_is_no_hang(attempt: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"], text=True)
    time.sleep(0.3)
    process.wait(10)
    assert not watch(process, attempt, 0.1, start=1)


def test_a_pid_that_came_round_again_is_left_alone(attempt: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLEEP], text=True)
    start = watchdog.start_ticks(process.pid)
    assert start is not None
    assert not watch(process, attempt, 0.1, start=start - 1)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_what_the_attempt_said_of_itself_stays(attempt: Path) -> None:
    (attempt / "outcome.json").write_text('{"status": "done"}')
    process = subprocess.Popen([sys.executable, "-c", SLEEP], text=True)
    assert watch(process, attempt, 0.1)
    process.wait()
    assert json.loads((attempt / "outcome.json").read_text()) == {"status": "done"}


def test_it_imports_nothing_of_ours_and_outlives_ctrl_c(attempt: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLEEP], text=True)
    start = watchdog.start_ticks(process.pid)
    words = [str(process.pid), str(start), str(attempt), str(claim_of(attempt)), "1.5"]
    dog = subprocess.Popen([sys.executable, "-I", "-S", watchdog.__file__, *words])
    time.sleep(0.5)
    os.kill(dog.pid, signal.SIGINT)
    assert dog.wait(20) == 0
    assert process.wait(10) == -signal.SIGKILL
