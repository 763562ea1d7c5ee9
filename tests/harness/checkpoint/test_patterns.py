from __future__ import annotations

from pathlib import Path

import pytest

from harness.checkpoint.patterns import expanded_checkpoints
from results.errors import HarnessError


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/epoch_9.pth", "a/epoch_10.pth", "b/epoch_1.pth", "b/last.pth", "b/deep/epoch_2.pth", "[x]*.pth"):
        path = tmp_path / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "runs/a/epoch_11.pth").mkdir()
    return tmp_path


def test_a_pattern_is_its_files_in_natural_order() -> None:
    assert expanded_checkpoints(["runs/*/epoch_*.pth"]) == (
        "runs/a/epoch_9.pth",
        "runs/a/epoch_10.pth",
        "runs/b/epoch_1.pth",
    )
    assert "runs/b/deep/epoch_2.pth" in expanded_checkpoints(["runs/**/epoch_*.pth"])


def test_a_file_stands_once_and_what_is_no_pattern_stays() -> None:
    names = ["random:0", "hf://owner/name*", "runs/b/*.pth", "runs/b/last.pth", "not there.pth"]
    assert expanded_checkpoints(names) == (
        "random:0",
        "hf://owner/name*",
        "runs/b/epoch_1.pth",
        "runs/b/last.pth",
        "not there.pth",
    )


def test_what_is_named_twice_may_have_two_labels() -> None:
    assert expanded_checkpoints(["random:0", "random:0"]) == ("random:0", "random:0")


def test_a_file_whose_name_looks_like_a_pattern_is_itself() -> None:
    assert expanded_checkpoints(["runs/[x]*.pth"]) == ("runs/[x]*.pth",)


def test_numbers_of_any_length_and_none_are_ordered(runs: Path) -> None:
    for name in ("1.pth", "x.pth", "01.pth", "9999999999999999999999.pth"):
        (runs / name).touch()
    assert expanded_checkpoints(["*.pth"]) == ("01.pth", "1.pth", "9999999999999999999999.pth", "x.pth")


@pytest.mark.parametrize("pattern", ["runs/*/epoch_*.pt", "nowhere/*.pth", "runs/a/epoch_1[1].pth"])
def test_a_pattern_without_a_match_is_refused_with_what_was_looked_for(runs: Path, pattern: str) -> None:
    with pytest.raises(HarnessError, match="no file matches") as refused:
        expanded_checkpoints(["random:0", pattern])
    assert str(runs / pattern) in refused.value.where
    assert str(runs) in refused.value.mend
