"""The table itself, with cases that take no time, and the made-up inputs."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.perf import __main__ as perf
from tests.perf.case import Case, Side, measure
from tests.perf.made_coco import make_coco


def busy(seconds: float, answer: Any) -> Any:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return answer


def case(ours: float, peer: float, answer: Any = 1, part: float = 1.0) -> Case:
    def make(seed: int) -> tuple[Side, Side]:
        return Side("ours", lambda: busy(ours, answer)), Side("slow", lambda: busy(peer, 1), part)

    return Case("fake", "a fake", 2, 4, make, lambda mine, other: (mine == other, f"{mine} and {other}"), 2)


def test_the_ratio_is_that_of_the_times_and_of_the_whole_work() -> None:
    row = measure(case(0.01, 0.05), 0)
    assert row["ratio"] == pytest.approx(5, rel=0.4)
    assert (row["fast_enough"], row["equal"]) == (True, True)
    assert row["runs"] == {"ours": 3, "peer": 2}
    scaled = measure(case(0.01, 0.01, part=0.25), 0)
    assert scaled["ratio"] == pytest.approx(4, rel=0.4)
    assert scaled["peer_name"] == "slow, 25% of the work, scaled"


@pytest.mark.parametrize(
    ("fake", "status", "word"),
    [(case(0.01, 0.05), 0, "yes: 1 and 1"), (case(0.01, 0.05, 2), 1, "NO: 2 and 1"), (case(0.02, 0.02), 1, "(!)")],
)
def test_a_wrong_or_slow_row_is_seen(
    fake: Case, status: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(perf, "CASES", {"fake": fake})
    out = tmp_path / "made" / "perf.json"
    for seed in ("0", "7", "7"):
        monkeypatch.setattr(sys, "argv", ["perf", "fake", "--seed", seed, "--out", str(out)])
        assert perf.main() == status
    assert word in " ".join(capsys.readouterr().out.split())
    # What was measured before with another seed stays; the same again is replaced.
    assert [row["seed"] for row in json.loads(out.read_text())["rows"]] == [0, 7]


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["perf", "svn-2048"])
    with pytest.raises(SystemExit, match="2"):
        perf.main()
    assert "unknown: svn-2048" in capsys.readouterr().err


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(perf.CASES) >= 8
    assert all(dataclasses.asdict(one)["least"] >= 1 for one in perf.CASES.values())


def test_made_up_annotations_follow_their_seed() -> None:
    first, again, other = (make_coco(4, seed, True, 5) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    for annotation in first[0]["annotations"]:
        left, top, wide, high = annotation["bbox"]
        assert min(left, top) >= 0
        assert max(left + wide - 640, top + high - 640) <= 0
        assert np.isfinite(annotation["area"])
