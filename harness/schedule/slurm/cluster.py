"""What the cluster offers, as sinfo and scontrol tell it, and whether what a run asks for fits."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

from benchmarks.catalogue import catalogue
from benchmarks.datasets.layout import data_set
from harness.job import FEATURES, PlannedJob
from harness.schedule.slurm.commands import call
from harness.schedule.slurm.request import Ask, ask_of, controller_ask, refuse_unusable_path
from harness.schedule.slurm.submissions import CONTROLLER
from harness.settings import Settings
from harness.spread import usable_ranks, world_of
from pretrain.catalogue import CONFIGS
from results.errors import HarnessError, did_you_mean

DEFAULT_ARRAY = 1001
"""MaxArraySize of SLURM where nothing is configured (slurm.conf(5))."""
SINFO_FIELDS = "%P|%l|%c|%m|%G"
"""Partition (a star marks the default), time limit, CPUs, MiB, generic resources; a line a node."""


@dataclasses.dataclass(frozen=True)
class Node:
    """One node as one of its partitions offers it.

    Args:
        cpus: How many.
        memory: MiB.
        gpus: How many.
    """

    cpus: int
    memory: int
    gpus: int


@dataclasses.dataclass(frozen=True)
class Partition:
    """A partition.

    Args:
        name: Of it.
        is_default: Whether jobs go there that name none.
        minutes: Longest time limit; None for none.
        nodes: What it offers.
    """

    name: str
    is_default: bool
    minutes: int | None
    nodes: tuple[Node, ...]


@functools.lru_cache(maxsize=1)
def configuration() -> dict[str, str]:
    """SLURM's configuration by its own names.

    Raises:
        HarnessError: scontrol does not answer.
    """
    lines = call(["scontrol", "show", "config"]).splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def largest_array() -> int:
    """Most tasks of one array; the highest index is one less."""
    try:
        found = int(configuration().get("MaxArraySize", DEFAULT_ARRAY))
    except (HarnessError, ValueError):
        return DEFAULT_ARRAY
    return max(1, found)


def partitions() -> dict[str, Partition]:
    """Every partition by its name.

    Raises:
        HarnessError: sinfo does not answer.
    """
    found: dict[str, Partition] = {}
    for line in call(["sinfo", "--noheader", "--Node", f"--format={SINFO_FIELDS}"]).splitlines():
        parts = line.split("|")
        if len(parts) != 5:
            continue
        name = parts[0].strip()
        node = Node(_number(parts[2]), _number(parts[3]), count_gpus(parts[4]))
        plain = name.rstrip("*")
        before = found[plain].nodes if plain in found else ()
        found[plain] = Partition(plain, name.endswith("*"), minutes_of(parts[1]), (*before, node))
    return found


def describe_partitions() -> list[str]:
    """A line for each partition: its name and what it offers.

    Raises:
        HarnessError: sinfo does not answer.
    """
    return [describe_partition(each) for each in partitions().values()]


def describe_partition(partition: Partition) -> str:
    """Name, time limit, and the most that its nodes have."""
    nodes = partition.nodes
    limit = "no time limit" if partition.minutes is None else f"at most {partition.minutes} min"
    most = ", ".join(
        f"{max(values, default=0)} {unit}"
        for values, unit in (
            ([node.gpus for node in nodes], "GPUs"),
            ([node.cpus for node in nodes], "CPUs"),
            ([node.memory // 1024 for node in nodes], "GiB"),
        )
    )
    default = " (default)" if partition.is_default else ""
    return f"{partition.name}{default}: {limit}, {len(nodes)} nodes of up to {most}"


def _number(text: str) -> int:
    found = re.match(r"\d+", text.strip())
    return int(found.group()) if found else 0


def count_gpus(gres: str) -> int:
    """GPUs in a node's generic resources: ``gpu:a100:4(S:0-1),gpu:2,nvme:1`` has six."""
    total = 0
    for part in re.sub(r"\([^)]*\)", "", gres).split(","):
        words = part.strip().split(":")
        if words[0] == "gpu":
            total += int(words[-1]) if words[-1].isdecimal() else 1
    return total


def minutes_of(text: str) -> int | None:
    """Minutes of a time limit as SLURM prints it, ``days-hours:minutes:seconds``; None for one without end."""
    days, dash, clock = text.strip().rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in parts) or (dash and not days.isdecimal()):
        return None
    numbers = [int(part) for part in parts]
    hours, minutes = (numbers[0], numbers[1]) if len(numbers) == 3 else (0, numbers[0])
    return (int(days) if dash else 0) * 24 * 60 + hours * 60 + minutes


def check_settings(planned: Sequence[PlannedJob], settings: Settings) -> None:
    """Refuses what the cluster would refuse or leave in its queue for ever, before anything is submitted.

    Raises:
        HarnessError: An unknown benchmark or partition, or more than any node of the partition has.
    """
    refuse_unusable_path(settings.workspace.absolute())
    names = {*catalogue(), *CONFIGS, FEATURES, CONTROLLER}
    for name in settings.slurm.benchmarks:
        if name not in names:
            raise HarnessError(
                f"slurm.benchmarks names '{name}'", "harness.yaml or HARNESS_SLURM", did_you_mean(name, names)
            )
    for name in settings.slurm.stage:
        data_set(name)
    offered = partitions()
    asks = {"controller": controller_ask(settings)}
    for each in planned:
        world = world_of(each.job, usable_ranks(settings), settings.largest_batch)
        asks.setdefault(each.job.benchmark, ask_of(each, world, settings))
    for name, ask in asks.items():
        refuse_unfit(name, ask, offered)


def refuse_unfit(name: str, ask: Ask, offered: dict[str, Partition]) -> None:
    """Refuses what the cluster cannot give.

    Args:
        name: Of the benchmark.
        ask: What a job of it asks for.
        offered: Partitions by name.

    Raises:
        HarnessError: There is no such partition, or it offers less.
    """
    where = "the part 'slurm' of harness.yaml"
    wanted = ask.request.partition
    if wanted is None:
        default = [each for each in offered.values() if each.is_default]
        if not default:
            raise HarnessError("the cluster has no default partition", where, f"set slurm.partition; {_valid(offered)}")
        chosen = default
    else:
        # Several joined by commas: SLURM takes the one that can begin first.
        unknown = [word for word in wanted.split(",") if word not in offered]
        if unknown:
            raise HarnessError(f"the cluster has no partition '{unknown[0]}'", where, did_you_mean(unknown[0], offered))
        chosen = [offered[word] for word in wanted.split(",")]
    problems = [problem for each in chosen if (problem := _unfit(ask, each))]
    if len(problems) == len(chosen):
        raise HarnessError(
            f"{name}: {problems[0]}", where, f"ask for less under slurm.benchmarks.{name}, or name another partition"
        )


def _valid(offered: dict[str, Partition]) -> str:
    return f"valid: {', '.join(sorted(offered))}"


def _unfit(ask: Ask, partition: Partition) -> str:
    """Why a partition cannot take a job; empty where it can."""
    name = partition.name
    if partition.minutes is not None and ask.minutes > partition.minutes:
        return f"{ask.minutes} min are asked for, partition {name} allows {partition.minutes}"
    cpus, memory = ask.cpus_per_task * ask.tasks_per_node, ask.memory * 1024
    fitting = [node for node in partition.nodes if node.gpus >= ask.gpus_per_node]
    if len(fitting) < ask.nodes:
        most = max((node.gpus for node in partition.nodes), default=0)
        wanted = f"{ask.nodes} nodes with {ask.gpus_per_node} GPUs"
        return f"{wanted} are asked for, those of partition {name} have up to {most}"
    fitting = [node for node in fitting if node.cpus >= cpus]
    if len(fitting) < ask.nodes:
        most = max((node.cpus for node in partition.nodes), default=0)
        return f"{cpus} CPUs a node are asked for, those of partition {name} have up to {most}"
    fitting = [node for node in fitting if node.memory >= memory]
    if len(fitting) < ask.nodes:
        most = max((node.memory for node in partition.nodes), default=0)
        return f"{ask.memory:g} GiB a node are asked for, those of partition {name} have up to {most // 1024}"
    return ""
