"""The fake commands of the unit tests against the real ones: the same calls, the same answers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.schedule.slurm.fake import FakeSlurm
from tests.slurm.cluster.cluster import Cluster

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

QUEUE = ("squeue", "--noheader", "--states=all", "--array", "--format=%i|%T|%t|%r|%N|%u|%P|%F|%V|%k|%j")
TOGETHER = ("squeue", "--noheader", "--format=%i|%T|%K|%A|%j")
ACCOUNTS = ("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates")


@pytest.fixture
def fake(tmp_path: Path, cluster: Cluster) -> FakeSlurm:
    """A fake of the cluster, and the cluster wiped: ids begin at 1 in both."""
    cluster.wipe()
    fake = FakeSlurm(tmp_path / "fake")
    fake.set_partitions(
        {"name": "main", "default": True},
        *({"name": name} for name in ("many", "high", "low")),
        {"name": "short", "max_time": "00:01:00", "default_time": "00:01:00"},
        {"name": "closed", "state": "DOWN"},
    )
    return fake


def answer(environment: dict[str, str], command: tuple[str, ...], folder: Path) -> tuple[list[str], str, int]:
    """Lines on standard output in any order, standard error, status; without times."""
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        input="#!/bin/sh\n",
    )
    lines = sorted(TIME.sub("TIME", done.stdout).splitlines())
    return lines, TIME.sub("TIME", done.stderr).strip(), done.returncode


def compare(cluster: Cluster, fake: FakeSlurm, folder: Path, calls: list[tuple[str, ...]]) -> None:
    """Both answer every call alike."""
    real_environment = {**os.environ, **cluster.environment}
    for call in calls:
        assert answer(fake.environment(), call, folder) == answer(real_environment, call, folder), call


def write_scripts(folder: Path) -> None:
    head = ["#!/bin/sh", "#SBATCH --hold --output=/dev/null"]
    (folder / "plain.sh").write_text("\n".join([*head, "true", "#SBATCH --job-name=late"]) + "\n")
    more = [
        '#SBATCH --job-name="a b|c" # remark',
        "#SBATCH -p short --comment='x \"y\"'",
        "#SBATCH --array=1,3,5-9:2%2",
    ]
    (folder / "array.sh").write_text("\n".join([*head, *more, "true"]) + "\n")
    (folder / "none.sh").write_text("true\n")


def test_submitting_and_listing(cluster: Cluster, fake: FakeSlurm, tmp_path: Path) -> None:
    write_scripts(tmp_path)
    calls = [
        ("sbatch", "plain.sh"),
        ("sbatch", "array.sh"),
        QUEUE,
        TOGETHER,
        *((*QUEUE, f"--jobs={ids}") for ids in ("1", "2", "2_3", "1,2_5", "99", "98,99", "99_1", "abc", "1,abc")),
        *((*QUEUE, option) for option in ("--me", "--user=nobody", "--user=no-such-user", "--name=plain.sh")),
        ("squeue", "--noheader", "--states=PD,R", "--array", "--format=%i"),
        ("squeue", "--no-such-option"),
        ("scontrol", "requeue", "1"),
        ("scontrol", "requeue", "99"),
        ("scancel", "2_3"),
        ("scancel", "2_[5-7]"),
        ("scancel", "99"),
        ("scancel", "98", "99"),
        ("scancel", "abc"),
        ("scancel",),
        ("scancel", "--signal=USR2", "99"),
        (*QUEUE, "--jobs=2"),
        TOGETHER,
        ("scancel", "2"),
        (*QUEUE, "--jobs=2"),
        ("squeue", "--noheader", "--states=all", "--format=%i|%T"),
    ]
    compare(cluster, fake, tmp_path, calls)


@pytest.mark.parametrize("name", ["two words", "quote\"'`$(x)", "line\nbreak", "dash — é 漢字", "%i|%T"])
def test_hostile_names(cluster: Cluster, fake: FakeSlurm, tmp_path: Path, name: str) -> None:
    write_scripts(tmp_path)
    compare(cluster, fake, tmp_path, [("sbatch", f"--job-name={name}", "plain.sh"), QUEUE, (*QUEUE, "--jobs=1")])


def test_refused_submissions(cluster: Cluster, fake: FakeSlurm, tmp_path: Path) -> None:
    write_scripts(tmp_path)
    calls = [
        ("sbatch", "none.sh"),
        ("sbatch", "missing.sh"),
        ("sbatch", "--partition=nope", "plain.sh"),
        ("sbatch", "--test-only", "--partition=nope", "plain.sh"),
        ("sbatch", "--array=0-1001", "plain.sh"),
        ("sbatch", "--array=x", "plain.sh"),
        ("sbatch", "--no-such-option", "plain.sh"),
        ("sbatch", "--parsable", "--hold"),
        QUEUE,
    ]
    compare(cluster, fake, tmp_path, calls)


def test_what_the_cluster_is(cluster: Cluster, fake: FakeSlurm, tmp_path: Path) -> None:
    calls = [
        ("sinfo", "--noheader", "--format=%P|%R|%a|%l|%L|%D|%c|%m|%G|%N"),
        ("sinfo", "--noheader", "--partition=main", "--format=%P"),
        ("sinfo", "--noheader", "--partition=nope", "--format=%P"),
        ("scontrol", "ping"),
        ("scontrol", "show", "partition", "nope", "--oneliner"),
        ("scontrol", "show", "job", "99", "--oneliner"),
        ("squeue", "--version"),
        (*ACCOUNTS, "--format=JobID", "--jobs=1"),
        (*ACCOUNTS, "--format=JobID", "--array"),
    ]
    compare(cluster, fake, tmp_path, calls)


def test_fields_of_jobs_partitions_and_configuration(cluster: Cluster, fake: FakeSlurm, tmp_path: Path) -> None:
    write_scripts(tmp_path)
    real = {**os.environ, **cluster.environment}
    compare(cluster, fake, tmp_path, [("sbatch", "plain.sh"), ("sbatch", "array.sh")])
    for call in (
        ("scontrol", "show", "job", "1", "--oneliner"),
        ("scontrol", "show", "job", "2", "--oneliner"),
        ("scontrol", "show", "partition", "--oneliner"),
    ):
        ours, theirs = answer(fake.environment(), call, tmp_path)[0], answer(real, call, tmp_path)[0]
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            fields = re.findall(r"(?:^| )([A-Z]\w*=.*?)(?= [A-Z]\w*=|$)", mine)
            assert len(fields) > 10
            # Every field of the fake's stands in the real line with the same value, in the same order.
            places = [f" {other} ".find(f" {field} ") for field in fields]
            assert -1 not in places, [field for field, place in zip(fields, places, strict=True) if place < 0]
            assert places == sorted(places)
    config = ("scontrol", "show", "config")
    ours, theirs = answer(fake.environment(), config, tmp_path)[0], answer(real, config, tmp_path)[0]
    assert set(ours) <= set(theirs)


@pytest.mark.slow
def test_accounting(cluster: Cluster, fake: FakeSlurm, tmp_path: Path) -> None:
    write_scripts(tmp_path)
    cluster.set_accounting(True)
    fake.set_accounting(True)
    fields = "--format=JobID,JobName,State,ExitCode,NodeList,Submit,Start,Partition,User,Comment"
    calls = [
        ("sbatch", "plain.sh"),
        ("sbatch", "array.sh"),
        ("scancel", "2_3"),
        ("sleep", "6"),
        (*ACCOUNTS, fields, "--jobs=1,2"),
        (*ACCOUNTS, fields, "--jobs=1,99"),
        (*ACCOUNTS, fields, "--jobs=2_3"),
        (*ACCOUNTS, fields, "--jobs=99"),
        (*ACCOUNTS, fields, "--jobs=abc"),
        (*ACCOUNTS, fields, "--jobs=1,2", "--name=plain.sh"),
        (*ACCOUNTS, "--format=JobID,Restarts", "--jobs=1"),
    ]
    compare(cluster, fake, tmp_path, calls)
