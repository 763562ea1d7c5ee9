"""The part ``slurm`` of the settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

Word = Annotated[str, pydantic.StringConstraints(pattern=r"^[^\s\x00]+$")]
"""One word of a command line; a space or a line break in it would become another parameter of sbatch."""
Line = Annotated[str, pydantic.StringConstraints(pattern=r"^[^\n\x00]*$")]


class SlurmRequest(pydantic.BaseModel):
    """What a job asks of the cluster.

    Args:
        partition: None takes the cluster's default partition.
        account: Account that is charged.
        qos: Quality of service.
        constraint: Features of nodes.
        gpus_per_node: Most GPUs that a job takes on one node; one of more ranks takes several nodes.
        cpus_per_gpu: CPUs a GPU, and CPUs of a job without one.
        memory_per_gpu: GiB a GPU, and GiB of a job without one.
        minutes: Time limit; None for three times the plan's hours, but no less than an hour.
        requeue: Whether SLURM may start a job again after a preemption or the failure of a node.
        setup: Lines of shell that run on the node before Python does (module load, container).
        environment: Variables of the job.
        extra: Further parameters of sbatch by their long names; true for one without a value.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    gpus_per_node: int = pydantic.Field(default=8, ge=1, le=64)
    cpus_per_gpu: int = pydantic.Field(default=8, ge=1, le=512)
    memory_per_gpu: float = pydantic.Field(default=32, gt=0, le=8192)
    minutes: int | None = pydantic.Field(default=None, ge=1, le=60 * 24 * 365)
    requeue: bool = True
    setup: tuple[Line, ...] = ()
    environment: dict[Word, Line] = {}
    extra: dict[Word, bool | int | Line] = {}


class SlurmOverrides(SlurmRequest):
    """The same for one benchmark; what is not named stays as it is for all."""


class SlurmSettings(SlurmRequest):
    """What runs on a cluster are asked to do.

    Args:
        data_check: ``submit`` plans where ``run`` is called; ``node`` plans in a job, for data that only compute nodes
            see. In ``data`` variables may stand then, for example ``$SLURM_TMPDIR/data``.
        stage: By name of the data set, a command that runs once on each node before a job that needs it.
        array_parallelism: Most jobs of one array that run at a time.
        patrol_minutes: How often it is looked whether a run stands still: SLURM may hold what it could not start.
        rounds: How often the controller plans what is left before it gives up, whatever failed.
        rendezvous_minutes: How long the ranks of a job wait for each other.
        notify: Command that the controller runs at the end, through the shell; the run and its outcome stand in
            ``TRANSFER_NOTICE_RUN`` and ``TRANSFER_NOTICE``.
        benchmarks: By name of the benchmark (``features`` for extraction, ``controller`` for the run's own jobs), what
            is asked otherwise.
    """

    data_check: Literal["submit", "node"] = "submit"
    stage: dict[Word, Line] = {}
    array_parallelism: int = pydantic.Field(default=64, ge=1)
    patrol_minutes: float = pydantic.Field(default=30, gt=0)
    rounds: int = pydantic.Field(default=20, ge=1, le=1000)
    rendezvous_minutes: float = pydantic.Field(default=10, gt=0)
    notify: Line | None = None
    benchmarks: dict[str, SlurmOverrides] = {}

    def of(self, benchmark: str) -> SlurmRequest:
        """What a job of a benchmark asks; environment and extra parameters are merged, the rest replaced."""
        common: dict[str, Any] = {name: getattr(self, name) for name in SlurmRequest.model_fields}
        own = self.benchmarks.get(benchmark)
        if own is None:
            return SlurmRequest(**common)
        changes = {name: getattr(own, name) for name in own.model_fields_set}
        for name in ("environment", "extra"):
            if name in changes:
                changes[name] = {**common[name], **changes[name]}
        return SlurmRequest(**{**common, **changes})
