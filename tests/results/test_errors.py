from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.errors import HarnessError, did_you_mean


def test_an_error_says_what_where_and_how_to_mend() -> None:
    text = str(HarnessError("no such file", "a/b.pth", "give another --ckpt"))
    assert [line.split(":")[0].strip() for line in text.splitlines()] == ["no such file", "where", "mend"]
    assert "a/b.pth" in text
    assert "give another --ckpt" in text


def test_an_error_leaves_out_what_it_does_not_know() -> None:
    assert str(HarnessError("no such file")) == "no such file"
    assert "where" not in str(HarnessError("no such file", mend="look again"))


@pytest.mark.parametrize(("typed", "meant"), [("voc07svm", "voc07_svm"), ("ImageNet_KNN", "imagenet_knn")])
def test_a_near_miss_is_suggested_first(typed: str, meant: str) -> None:
    text = did_you_mean(typed, ["imagenet_knn", "voc07_svm"])
    assert text.startswith(f"did you mean '{meant}'?")
    assert text.endswith("valid: imagenet_knn, voc07_svm")


def test_a_name_far_from_all_gets_the_list_only() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "valid: a, b"
    assert did_you_mean("zzz", []) == "there are none"


@given(st.text(), st.lists(st.text()))
def test_any_name_is_answered(name: str, valid: list[str]) -> None:
    assert did_you_mean(name, valid)
