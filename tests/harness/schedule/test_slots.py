from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from harness.schedule.slots import count_slots, hold_slot, threads_per_job, visible_gpus

HOLDER = (
    "import sys; from harness.schedule.slots import hold_slot\n"
    "with hold_slot(int(sys.argv[1]), sys.argv[2:]) as slot:\n"
    "    print(slot.number, slot.gpu, flush=True)\n"
    "    sys.stdin.readline()\n"
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def start_holder(slots: int, *gpus: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(slots), *gpus], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def answer(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_two_processes_share_one_slot_one_after_the_other() -> None:
    first = start_holder(1)
    assert answer(first) == "0 None"
    second = start_holder(1)
    assert second.stdout is not None
    readable, _, _ = select.select([second.stdout], [], [], 1.0)
    assert not readable, "the second process got the slot that the first one holds"
    first.communicate("end\n")
    assert answer(second) == "0 None"
    second.communicate("end\n")


def test_a_killed_process_frees_its_slot() -> None:
    first = start_holder(1)
    assert answer(first) == "0 None"
    first.kill()
    first.communicate()
    with hold_slot(1, []) as slot:
        assert slot.number == 0


def test_each_slot_has_its_gpu() -> None:
    children = [start_holder(2, "3", "5") for _ in range(2)]
    assert sorted(answer(child) for child in children) == ["0 3", "1 5"]
    for child in children:
        child.communicate("end\n")


@pytest.mark.parametrize(
    ("limit", "gpus", "expected"),
    [(None, [], 1), (None, ["0", "1", "2"], 3), (2, ["0", "1", "2"], 2), (8, ["0"], 1), (4, [], 4)],
)
def test_as_many_slots_as_gpus_and_one_on_a_cpu(limit: int | None, gpus: list[str], expected: int) -> None:
    assert count_slots(limit, gpus) == expected


def test_the_users_choice_of_gpus_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 7")
    assert visible_gpus() == ["2", "7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_threads_of_all_slots_fit_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    for slots in (1, 2, 3, 64):
        assert threads_per_job(slots) >= 1
        assert threads_per_job(slots) * slots <= max(cores, slots)
