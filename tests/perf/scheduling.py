"""Figures of planning and scheduling: ``python -m tests.perf.scheduling [plan] [status] [submit] [--jobs N]``.

``submit`` brings up the tests' own SLURM (root, Debian's packages; ``tests/slurm/cluster/``). The others need nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from harness.checkpoint.intake import take_in
from harness.ledger import JobFolder
from harness.plan import make_plan
from harness.schedule.slurm.run_plan import RunPlan
from harness.schedule.slurm.watch import Watch
from harness.settings import Settings, load_settings
from harness.status import all_statuses, look_at_cluster
from results.workspace import Workspace
from tests.harness.conftest import THIRD_PARTY, make_tiny_imagenet
from tests.harness.hand_made import inside, make_job, make_record
from tests.harness.world import World
from tests.slurm.cluster.cluster import Cluster
from tests.slurm.cluster.config import Shape

MANY = 10_000
RUNS = 5


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median of wall seconds."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def say(what: str, value: str, wanted: str) -> None:
    print(f"{what:<62} {value:>14}   wanted {wanted}", flush=True)


def make_world(folder: Path) -> World:
    """A workspace with a benchmark that does nothing."""
    world = World(folder)
    information = folder / "site" / "third_party-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "site" / "third_party_benchmarks.py").write_text(THIRD_PARTY)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[harness.benchmarks]\ncounting = third_party_benchmarks:Counting\nanother = third_party_benchmarks:Another\n"
    )
    make_tiny_imagenet(world.data)
    (folder / "tmp").mkdir()
    world.workspace.mkdir()
    return world


def settings_for(world: World, checkpoints: int, seeds: int, executor: str) -> Settings:
    return load_settings(
        {
            "ckpt": tuple(f"random:{seed}" for seed in range(checkpoints)),
            "suite": "counting",
            "profile": "smoke",
            "data": world.data,
            "workspace": world.workspace,
            "seeds": seeds,
            "executor": executor,
            "slurm": {"partition": "many", "array_parallelism": 64},
        }
    )


def measure_plan(folder: Path) -> None:
    """A plan of ten thousand jobs whose checkpoints are known."""
    world = make_world(folder)
    with inside(world):
        settings = settings_for(world, 10, 1000, "local")
        for checkpoint in settings.ckpt:
            take_in(checkpoint, Workspace(world.workspace))
        seconds = median(lambda: make_plan(settings))
    say(f"plan of {MANY:,} jobs", f"{seconds:.2f} s", "2 s")


def measure_status(folder: Path) -> None:
    """Status of ten thousand jobs: half done, half failed, a scheduler beside that knows of none."""
    workspace = Workspace(folder / "work")
    with mock.patch("os.fsync"):
        for seed in range(MANY):
            job = make_job(seed=seed)
            place = JobFolder(workspace.jobs / job.name)
            place.write_spec(job.to_dict())
            claim = place.take_claim(place.attempt_name())
            if claim is None:
                raise RuntimeError("nobody else is here")
            place.attempt_folder(claim.attempt).mkdir(parents=True)
            (place.attempt_folder(claim.attempt) / "log.txt").touch()
            if seed % 2:
                place.publish_result(make_record(job, claim.attempt))
            place.end_attempt(claim.attempt, "done" if seed % 2 else "failed", "" if seed % 2 else "broken on purpose")
            place.release(claim)
    seconds = median(lambda: all_statuses(workspace))
    say(f"status of {MANY:,} jobs", f"{seconds:.2f} s", "1 s")
    command = [sys.executable, "-m", "harness", "status", "--workspace", str(workspace.root)]
    seconds = median(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    say("  the command, its table printed", f"{seconds:.2f} s", "-")


@contextlib.contextmanager
def a_cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder, Shape(port=int(os.environ.get("TRANSFER_TEST_SLURM_PORT", Shape.port))))
    cluster.up(owner=os.getpid())
    try:
        yield cluster
    finally:
        cluster.down()


def measure_submission(folder: Path, jobs: int) -> None:
    """Many trivial jobs on real daemons, against one call of sbatch for as many."""
    world = make_world(folder / "world")
    with a_cluster(Path(tempfile.mkdtemp(prefix="slurm-"))) as cluster, inside(world):
        # Jobs inherit what this process would.
        os.environ.update(world.environment() | cluster.environment)
        settings = settings_for(world, 1, jobs, "slurm")
        take_in("random:0", Workspace(world.workspace))
        script = world.folder / "trivial.sh"
        script.write_text("#!/bin/bash\ntrue\n")
        array = ["sbatch", "--partition=closed", f"--array=0-{jobs - 1}%1", "--output=/dev/null", str(script)]
        raw = median(lambda: subprocess.run(array, check=True, stdout=subprocess.DEVNULL))
        cluster.cancel_all()
        made = make_plan(settings)
        watch = Watch(Workspace(world.workspace), made.jobs, settings, Silent())
        begun = time.perf_counter()
        plan = RunPlan.write(Workspace(world.workspace), "perf", ("counting",), made.jobs, settings)
        written = time.perf_counter()
        watch.submit(plan)
        ours = time.perf_counter() - begun
        say(f"{jobs:,} jobs submitted, specs written", f"{ours:.2f} s", "-")
        say("  of which specs", f"{written - begun:.2f} s", "-")
        say(f"  raw sbatch --array of {jobs:,}", f"{raw:.3f} s", "-")
        say("  beyond raw, a job", f"{1000 * (ours - raw) / jobs:.2f} ms", "1 ms")
        seen = look_at_cluster(Workspace(world.workspace))
        say("  scheduler calls of status", str(seen.calls), "at most 2")
        begun = time.perf_counter()
        while not plan.has_ended():
            time.sleep(1)
        done = sum(folder.is_finished() for folder in (tracked.folder for tracked in watch.jobs))
        say(f"  collected after {time.perf_counter() - begun:.0f} s", f"{done:,}", f"{jobs:,}")


class Silent:
    """Shows nothing."""

    def changed(self, job: object) -> None: ...

    def tick(self, jobs: object) -> None: ...


def measure_memory(folder: Path) -> None:
    """The process of ``plan`` where the checkpoint was never seen: torch is loaded by another one."""
    world = make_world(folder)
    command = world.command("plan", "--ckpt", "random:7", "--suite", "counting", "--profile", "smoke")
    words = [*command, "--data", str(world.data), "--workspace", str(world.workspace), "--executor", "local"]
    process = subprocess.Popen(words, env=world.environment(), stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            text = Path(f"/proc/{process.pid}/status").read_text()
            most = max(most, int(text.partition("VmHWM:")[2].split()[0]))
        time.sleep(0.02)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    say("memory of the run's process at intake", f"{most / 1024:.0f} MB", "200 MB")
    say("  of the process that reads", f"{children / 1024:.0f} MB", "-")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.scheduling")
    parser.add_argument("names", nargs="*", choices=["plan", "status", "memory", "submit", []], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1000)
    arguments = parser.parse_args()
    names = arguments.names or ["plan", "status", "memory", "submit"]
    with tempfile.TemporaryDirectory(prefix="perf-") as text:
        folder = Path(text)
        if "plan" in names:
            measure_plan(folder / "plan")
        if "status" in names:
            measure_status(folder / "status")
        if "memory" in names:
            measure_memory(folder / "memory")
        if "submit" in names:
            measure_submission(folder, arguments.jobs)


if __name__ == "__main__":
    main()
