"""What a job asks of SLURM, and the script that asks it; submitit writes the script."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit

from benchmarks.base import World
from harness.completeness import job_folder
from harness.data_root import absolute_root
from harness.job import PlannedJob
from harness.ledger import JobFolder
from harness.schedule.slurm.settings import SlurmRequest
from harness.schedule.slurm.submissions import CONTROLLER, JOBS, Submission
from harness.settings import Settings
from harness.spread import usable_ranks, world_of
from harness.startup import code_root
from results.errors import HarnessError
from results.workspace import Workspace

SMOKE_MEMORY = 8.0
"""GiB: the largest smoke job, Mask R-CNN, needs three."""
CONTROLLER_MEMORY = 4.0
"""GiB: it plans from the disk and draws the pages."""
CONTROLLER_MINUTES = 60
LEAST_MINUTES = 60
TIME_FACTOR = 3
"""Times the plan's hours, which are rough."""
LONGEST_NOTICE_SECONDS = 120
"""How long before the end of its time a job is told (USR2): SLURM was seen to signal 13 s late, and a checkpoint of a
detector takes seconds."""


@dataclasses.dataclass(frozen=True)
class Ask:
    """What the jobs of one submission ask for.

    Args:
        nodes: How many.
        tasks_per_node: Processes on each.
        cpus_per_task: CPUs of each process.
        gpus_per_node: GPUs on each node; 0 for none.
        memory: GiB on each node.
        minutes: Time limit.
        request: Partition, account and the rest.
        stage: Commands that bring data to each node before the work begins.
    """

    nodes: int
    tasks_per_node: int
    cpus_per_task: int
    gpus_per_node: int
    memory: float
    minutes: int
    request: SlurmRequest
    stage: tuple[str, ...] = ()

    @property
    def notice_seconds(self) -> int:
        """How long before the end of its time a job is told; a quarter of a short one's."""
        return min(LONGEST_NOTICE_SECONDS, self.minutes * 15)


def ask_of(planned: PlannedJob, world: World, settings: Settings) -> Ask:
    """What a job of a benchmark, an extraction or a pretraining asks for.

    Args:
        planned: The job.
        world: Over how many processes it is spread.
        settings: Of the run.

    Raises:
        HarnessError: The ranks cannot be spread evenly over nodes.
    """
    request = settings.slurm.of(planned.job.benchmark)
    command = settings.slurm.stage.get(planned.job.data.name)
    stage = (command,) if command is not None else ()
    if settings.profile == "smoke":
        minutes = request.minutes or LEAST_MINUTES
        return Ask(1, world.ranks, 1, 0, SMOKE_MEMORY, minutes, request, stage)
    minutes = request.minutes or max(LEAST_MINUTES, math.ceil(planned.hours * 60 * TIME_FACTOR))
    nodes = math.ceil(world.ranks / request.gpus_per_node)
    tasks, rest = divmod(world.ranks, nodes)
    if rest:
        raise HarnessError(
            f"{world.ranks} ranks of {planned.job.benchmark} cannot be spread evenly over {nodes} nodes of "
            f"{request.gpus_per_node} GPUs",
            "ranks, slurm.gpus_per_node",
            "choose a number of ranks that is a multiple of the GPUs of a node",
        )
    gpus = tasks if settings.device != "cpu" and planned.gpus > 0 else 0
    return Ask(nodes, tasks, request.cpus_per_gpu, gpus, request.memory_per_gpu * tasks, minutes, request, stage)


def controller_ask(settings: Settings) -> Ask:
    """What the job that goes on with a run asks for."""
    request = settings.slurm.of(CONTROLLER)
    own = settings.slurm.benchmarks.get(CONTROLLER)
    memory = own.memory_per_gpu if own is not None and "memory_per_gpu" in own.model_fields_set else CONTROLLER_MEMORY
    minutes = own.minutes if own is not None and own.minutes is not None else CONTROLLER_MINUTES
    return Ask(1, 1, 1, 0, memory, minutes, request)


def draft(
    workspace: Workspace,
    settings: Settings,
    run: str,
    title: str,
    kind: str,
    jobs: Sequence[JobFolder],
    ask: Ask,
    world: World,
) -> Submission:
    """A submission of a run, not yet written.

    Args:
        workspace: Where the jobs lie.
        settings: Of the run.
        run: Its id.
        title: What its name at SLURM begins with.
        kind: Jobs or controller.
        jobs: Folders, in the order of the array.
        ask: What each job asks for.
        world: How each is spread.
    """
    options = {
        "device": settings.device,
        "minutes": ask.minutes,
        "notice_seconds": ask.notice_seconds,
        "requeue": ask.request.requeue,
        "hang_minutes": settings.hang_minutes,
        "readers": settings.readers,
        "rendezvous_minutes": settings.slurm.rendezvous_minutes,
    }
    return Submission.draft(workspace, title, kind, run, jobs, world, str(absolute_root(settings.data)), options)


def preview(planned: PlannedJob, settings: Settings, workspace: Workspace) -> str:
    """The script that would be handed over for one job; its token stands for one that is drawn when it is.

    Raises:
        HarnessError: As :func:`ask_of` and :func:`script`.
    """
    world = world_of(planned.job, usable_ranks(settings), settings.largest_batch)
    ask = ask_of(planned, world, settings)
    folder = job_folder(workspace, planned.job)
    return script(
        ask, draft(workspace, settings, "preview", planned.job.benchmark, JOBS, [folder], ask, world), settings
    )


class _ScriptWriter(submitit.SlurmExecutor):
    """Writes scripts where SLURM is not at hand too."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def script(ask: Ask, submission: Submission, settings: Settings, dependency: str = "", begin: str = "") -> str:
    """The text of the file that sbatch is given.

    Args:
        ask: What the jobs ask for.
        submission: What they are.
        settings: Of the run.
        dependency: As ``--dependency`` takes it.
        begin: As ``--begin`` takes it.

    Raises:
        HarnessError: A parameter that submitit does not accept.
    """
    executor = _ScriptWriter(folder=submission.folder, python=_python())
    values = _parameters(ask, submission, settings, dependency, begin)
    count = len(submission.jobs)
    try:
        executor.update_parameters(**values)
    except ValueError as error:
        raise HarnessError(f"the script cannot be written: {error}", "slurm", "correct the settings") from error
    # An array of one too: a job's id then always has the same form.
    executor.parameters["map_count"] = count
    command = f"{_python()} -P -u -m harness.node {shlex.quote(str(submission.folder))}"
    text: str = executor._make_submission_file_text(command, submission.token)
    return text


def _python() -> str:
    return shlex.quote(sys.executable)


def _parameters(ask: Ask, submission: Submission, settings: Settings, dependency: str, begin: str) -> dict[str, Any]:
    request = ask.request
    extra: dict[str, Any] = {"requeue" if request.requeue else "no-requeue": True}
    if dependency:
        # Without it SLURM keeps what can never start in the queue for ever, unless its configuration says otherwise.
        extra["kill-on-invalid-dep"] = "yes"
    if begin:
        extra["begin"] = begin
    extra |= {name: value for name, value in request.extra.items() if value is not False}
    srun = [f"--cpus-per-task={ask.cpus_per_task}"]
    if ask.nodes * ask.tasks_per_node > 1:
        srun.append("--kill-on-bad-exit=1")
    return {
        "job_name": submission.name,
        "partition": request.partition,
        "account": request.account,
        "qos": request.qos,
        "constraint": request.constraint,
        "time": ask.minutes,
        "nodes": ask.nodes,
        "ntasks_per_node": ask.tasks_per_node,
        "cpus_per_task": ask.cpus_per_task,
        "gpus_per_node": ask.gpus_per_node or None,
        "mem": f"{math.ceil(ask.memory * 1024)}M",
        "signal_delay_s": ask.notice_seconds,
        "array_parallelism": settings.slurm.array_parallelism,
        "dependency": dependency or None,
        "wckey": None,
        "setup": [*_exports(request), *request.setup, *(_on_each_node(command, ask) for command in ask.stage)],
        "srun_args": srun,
        "additional_parameters": extra,
    }


def _on_each_node(command: str, ask: Ask) -> str:
    """A command once on each node; where it fails, the job ends."""
    return f"srun --nodes={ask.nodes} --ntasks={ask.nodes} --ntasks-per-node=1 bash -c {shlex.quote(command)} || exit 1"


def _exports(request: SlurmRequest) -> Sequence[str]:
    """The job imports the same code as this process, and nothing from the folder that it is submitted from."""
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(code_root()), os.environ.get("PYTHONPATH", "")))),
        "PYTHONSAFEPATH": "1",
        **request.environment,
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def refuse_unusable_path(folder: Path) -> None:
    """SLURM replaces patterns in the names of its files, and a line of a script ends at a line break.

    Raises:
        HarnessError: The workspace's path cannot be written into a script.
    """
    for sign, name in (("%", "a per cent sign"), ("\n", "a line break"), ("\\", "a backslash")):
        if sign in str(folder):
            raise HarnessError(
                f"the workspace's path holds {name}, which SLURM takes for something else",
                "--workspace",
                "give the folder another name",
            )
