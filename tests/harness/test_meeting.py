"""How ranks meet, and what is said of those that do not come."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.base import World
from harness.ledger import JobFolder
from harness.meeting import Meeting, absent_ranks, call, call_off, node_name, note_presence, place, wait_for
from harness.order import Grant, Order

GRANT = Grant("linear-0123", 0, "7_0", 0, 4, ("n1", "n2"), 60, 60, True)
ORDER = Order("/work", "linear-1", None, (), True, world=World(ranks=4), rendezvous_minutes=2, grant=GRANT)


def test_others_read_where_rank_0_waits(tmp_path: Path) -> None:
    path = place(JobFolder(tmp_path), "token")
    called = call(path, "0001-a", "0,1")
    assert wait_for(path) == called
    assert called.address == "127.0.0.1"
    assert called.port > 0


def test_a_meeting_of_several_nodes_is_at_a_name_that_others_resolve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "localhost")
    assert call(place(JobFolder(tmp_path), "token"), "0001-a", "", several_nodes=True).address == "localhost"


def test_a_name_that_nobody_resolves_is_not_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "no-such-node.invalid")
    assert node_name() != "no-such-node.invalid"


def test_an_incarnation_of_before_does_not_lead_astray(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    call(place(folder, "token-0"), "0001-a", "")
    assert not place(folder, "token-1").exists()


def test_called_off_there_is_nothing_to_do(tmp_path: Path) -> None:
    path = place(JobFolder(tmp_path), "token")
    call_off(path)
    assert wait_for(path) is None


def test_the_nodes_of_absent_ranks_are_named(tmp_path: Path) -> None:
    note_presence(tmp_path, 1)
    error = absent_ranks(tmp_path, World(rank=0, ranks=4), Meeting("0001-a", "n1", 1234), ORDER)
    assert "rank 2 on n2, rank 3 on n2 did not join rank 0 at n1 within 2 min" in error.what
    assert "firewall" in error.mend


def test_a_rank_that_cannot_reach_the_first_says_where_it_tried(tmp_path: Path) -> None:
    error = absent_ranks(tmp_path, World(rank=3, ranks=4), Meeting("0001-a", "n1", 1234), ORDER)
    assert "could not reach rank 0 at n1" in error.what


def test_ranks_that_heard_and_cannot_come_are_told_from_those_that_did_not_hear(tmp_path: Path) -> None:
    for rank in (1, 2, 3):
        note_presence(tmp_path, rank)
    error = absent_ranks(tmp_path, World(rank=0, ranks=4), Meeting("0001-a", "n1", 1234), ORDER)
    assert "cannot reach it" in error.what
