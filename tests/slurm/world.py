"""One workspace on the cluster, with a third party's benchmark that needs no torch."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.world import World
from tests.slurm.cluster.cluster import Cluster

SOON = 60.0
"""Seconds: on a machine with other work a job takes several to begin."""


@dataclasses.dataclass(frozen=True)
class ClusterWorld(World):
    """A world whose jobs run on a cluster.

    Args:
        cluster: Which.
    """

    cluster: Cluster

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "OMP_NUM_THREADS": "1", "HARNESS_EXECUTOR": "auto"}

    def settle(self, **settings: Any) -> None:
        """Writes the part ``slurm`` of ``harness.yaml``."""
        text = json.dumps({"slurm": {"partition": "many", **settings}})
        (self.folder / "harness.yaml").write_text(text)

    def submit(self, *words: str, suite: str = "counting") -> subprocess.CompletedProcess[str]:
        """``run --detach``."""
        done = self.run("--executor", "slurm", "--detach", *words, suite=suite)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self) -> dict[str, dict[str, Any]]:
        """What ``status --json`` says, by job."""
        done = self.call("status", "--workspace", str(self.workspace), "--json")
        assert done.returncode == 0, done.stderr
        return {each["job"]: each for each in json.loads(done.stdout)}

    def states(self) -> list[str]:
        return sorted(each["state"] for each in self.status().values())

    def wait_until(self, fulfilled: Callable[[], object], what: str, seconds: float = SOON) -> None:
        deadline = time.monotonic() + seconds
        while not fulfilled():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{self.account()}")
            time.sleep(0.2)

    def wait_for_end(self, seconds: float = SOON) -> None:
        """Until every run's last controller has said that nothing is left, and has drawn the pages."""
        self.wait_until(self.has_ended, "the runs end", seconds)
        self.wait_until(lambda: not self.queue(), "the queue is empty", seconds)

    def has_ended(self) -> bool:
        plans = list(self.workspace.glob("controllers/*/plan.json"))
        return bool(plans) and all((plan.parent / "ended.json").exists() for plan in plans)

    def queue(self) -> list[str]:
        """Names of everything that waits or runs."""
        return self.cluster.run("squeue", "--noheader", "--array", "--format=%j").split()

    def ids(self, title: str) -> list[str]:
        """SLURM's ids of what waits or runs under a benchmark's name."""
        lines = self.cluster.run("squeue", "--noheader", "--array", "--format=%i %j").splitlines()
        return [line.split()[0] for line in lines if line.split()[1].startswith(title)]

    def running(self, title: str) -> str:
        """SLURM's id of what runs under a benchmark's name; empty where nothing does."""
        lines = self.cluster.run("squeue", "--noheader", "--states=running", "--format=%i %j").splitlines()
        return next((line.split()[0] for line in lines if line.split()[1].startswith(title)), "")

    def page(self) -> str:
        """All pages as one text."""
        return "\n".join(path.read_text() for path in sorted((self.workspace / "pages").glob("*.md")))

    def outcomes(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.workspace.glob("jobs/*/attempts/*/outcome.json"))]

    def account(self) -> str:
        """What there is to be read after a failure."""
        logs = sorted(self.workspace.glob("submissions/*/*log*")) + sorted(
            self.workspace.glob("jobs/*/attempts/*/log.txt")
        )
        texts = [f"-- {path}\n{path.read_text()[-2000:]}" for path in logs]
        return "\n".join([self.cluster.run("squeue", "--states=all", check=False), *texts])

    def ends(self) -> dict[str, dict[str, str]]:
        """What the last controller wrote of each job."""
        found: dict[str, dict[str, str]] = {}
        for path in sorted(self.workspace.glob("controllers/*/ended.json")):
            found |= json.loads(path.read_text())["jobs"]
        return found

    def kill_jobs(self) -> None:
        """The cluster's own healing ends what is left."""


def make_cluster_world(world: World, cluster: Cluster) -> ClusterWorld:
    """A world on a cluster, out of one on this machine."""
    os.environ.pop("SLURM_JOB_ID", None)
    made = ClusterWorld(world.folder, cluster)
    made.settle()
    return made


def results_of(folder: Path) -> dict[str, Any]:
    """Metrics by job, to the last bit as JSON holds them."""
    found = {}
    for path in sorted(folder.glob("jobs/*/result.json")):
        raw = json.loads(path.read_text())
        found[path.parent.name] = raw["metrics"]
    return found
