"""What a cluster offers, and what is refused because of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.schedule.slurm import cluster
from harness.schedule.slurm.cluster import (
    Node,
    Partition,
    check_settings,
    count_gpus,
    minutes_of,
    partitions,
    refuse_unfit,
)
from harness.schedule.slurm.request import Ask
from harness.schedule.slurm.settings import SlurmRequest
from harness.settings import Settings
from results.errors import HarnessError
from tests.harness.hand_made import make_job, planned
from tests.harness.schedule.slurm.fake import FakeSlurm

OFFERED = {
    "gpu": Partition("gpu", True, 24 * 60, (Node(32, 256_000, 4), Node(32, 256_000, 4))),
    "cpu": Partition("cpu", False, None, (Node(64, 128_000, 0),)),
}


def ask(**changes: object) -> Ask:
    return dataclasses.replace(Ask(1, 1, 8, 1, 32.0, 60, SlurmRequest()), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gres", "count"),
    [
        ("gpu:8", 8),
        ("gpu:a100:4(S:0-1)", 4),
        ("gpu:a100:2,gpu:v100:2", 4),
        ("nvme:1,gpu", 1),
        ("(null)", 0),
        ("", 0),
        ("gpu:h100:8(S:0,1),shard:32", 8),
    ],
)
def test_gpus_are_counted_as_slurm_writes_them(gres: str, count: int) -> None:
    assert count_gpus(gres) == count


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("infinite", None), ("30:00", 30), ("2:00:00", 120), ("1-00:00:00", 1440), ("10-12:30:00", 15150), ("n/a", None)],
)
def test_time_limits_are_read_as_slurm_prints_them(text: str, minutes: int | None) -> None:
    assert minutes_of(text) == minutes


def test_what_fits_is_not_refused() -> None:
    refuse_unfit("x", ask(), OFFERED)
    refuse_unfit("x", ask(nodes=2, gpus_per_node=4, minutes=1440), OFFERED)
    refuse_unfit("x", ask(gpus_per_node=0, request=SlurmRequest(partition="cpu")), OFFERED)
    refuse_unfit("x", ask(request=SlurmRequest(partition="cpu,gpu")), OFFERED)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"request": SlurmRequest(partition="gpus")}, "no partition 'gpus'"),
        ({"minutes": 1441}, "allows 1440"),
        ({"gpus_per_node": 8}, "8 GPUs"),
        ({"nodes": 3}, "3 nodes"),
        ({"cpus_per_task": 64}, "64 CPUs"),
        ({"memory": 500.0}, "500 GiB"),
        ({"request": SlurmRequest(partition="cpu")}, "1 GPUs"),
    ],
)
def test_what_no_node_could_give_is_refused_by_name(changes: dict[str, object], words: str) -> None:
    with pytest.raises(HarnessError, match=words) as caught:
        refuse_unfit("coco_mask_rcnn", ask(**changes), OFFERED)
    assert caught.value.mend


def test_a_cluster_without_a_default_partition_wants_one_named() -> None:
    offered = {"gpu": dataclasses.replace(OFFERED["gpu"], is_default=False)}
    with pytest.raises(HarnessError, match="no default partition"):
        refuse_unfit("x", ask(), offered)


def test_partitions_are_read_from_sinfo(fake_slurm: FakeSlurm) -> None:
    found = partitions()
    assert sum(each.is_default for each in found.values()) == 1
    assert all(each.nodes for each in found.values())


def test_a_benchmark_that_is_none_is_refused_with_the_nearest(fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path, profile="smoke", slurm={"benchmarks": {"coco_mask_rnn": {}}})
    with pytest.raises(HarnessError, match="coco_mask_rnn") as caught:
        check_settings([planned(make_job())], settings)
    assert "did you mean 'coco_mask_rcnn'?" in caught.value.mend


def test_the_largest_array_is_what_scontrol_says(fake_slurm: FakeSlurm) -> None:
    cluster.configuration.cache_clear()
    fake_slurm.set_config(MaxArraySize="77")
    assert cluster.largest_array() == 77
    cluster.configuration.cache_clear()
    fake_slurm.no_controller()
    assert cluster.largest_array() == cluster.DEFAULT_ARRAY
