"""One workspace with its data, and the command line on it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class World:
    """One workspace with its data, and the command line on it."""

    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "work"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def diary(self) -> Path:
        return self.folder / "diary"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(self.folder / "site"))),
            "COUNTING_DIARY": str(self.diary),
            "TMPDIR": str(self.folder / "tmp"),
            # On a cluster's login node too, where `auto` is the cluster.
            "HARNESS_EXECUTOR": "local",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "harness", *words]

    def run_words(self, *words: str, suite: str = "counting") -> list[str]:
        common = ("--ckpt", "random:0", "--profile", "smoke", "--data", str(self.data))
        return self.command("run", "--suite", suite, *common, "--workspace", str(self.workspace), *words)

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Any verb, in the folder of this world."""
        return self._wait(self.command(*words))

    def run(self, *words: str, suite: str = "counting") -> subprocess.CompletedProcess[str]:
        """``run`` on the third party's benchmark, to its end."""
        return self._wait(self.run_words(*words, suite=suite))

    def start(self, *words: str, suite: str = "counting") -> subprocess.Popen[str]:
        """``run`` in a process group of its own, as a terminal would start it."""
        return subprocess.Popen(
            self.run_words(*words, suite=suite),
            env=self.environment(),
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _wait(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=self.environment(), cwd=self.folder, text=True, capture_output=True, timeout=120, check=False
        )

    def entries(self, kind: str) -> list[str]:
        """Jobs that started or worked, one entry for each time."""
        return sorted(path.read_text() for path in self.diary.glob(f"{kind}-*"))

    def results(self) -> list[Path]:
        return sorted(self.workspace.glob("jobs/*/result.json"))

    def wait_for(self, kind: str, count: int = 1, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while len(self.entries(kind)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"no {kind} entry after {seconds} s")
            time.sleep(0.02)

    def claims(self) -> list[dict[str, object]]:
        return [json.loads(path.read_text()) for path in sorted(self.workspace.glob("jobs/*/claims/*.json"))]

    def kill_jobs(self) -> None:
        """kill -9 to every process that ever took a claim here."""
        for claim in self.claims():
            process = claim["process"]
            assert isinstance(process, dict)
            if process["pid"] == os.getpid():
                continue
            try:
                os.kill(process["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
