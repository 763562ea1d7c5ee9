from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.pages.public import page_stem, public_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read /data/voc/list.txt: empty", "cannot read list.txt: empty"),
        ("cannot read '/home/some body/my data/list.txt'", "cannot read 'list.txt'"),
        ("no such folder: /home/somebody", "no such folder: ~"),
        ("see ~/logs/x.out", "see x.out"),
        ("(/scratch/u/x.pth)", "(x.pth)"),
        ("file:///scratch/u/x.pth", "x.pth"),
        (r"cannot open C:\Users\me\x.pth", "cannot open x.pth"),
        ("a=/x/y b=/z/", "a=y b=z"),
        ("two\n  lines\tof text", "two lines of text"),
        ("n/a, and/or, voc07_svm/train, 3 / 4, https://example.org/a/b", None),
        ("", ""),
    ],
)
def test_of_an_absolute_path_the_last_part_is_left(text: str, expected: str | None) -> None:
    assert public_text(text) == (text if expected is None else expected)


@pytest.mark.parametrize(
    "label",
    ["simclr", "resnet50_8xb32-coslr-200e", "v1.2", "simclr_resnet50_in1k_20220825-15f807a4", "A" * 80],
)
def test_a_plain_label_is_its_own_file_name(label: str) -> None:
    assert page_stem(label) == label


HOSTILE = ["", ".", "..", "../../etc/passwd", "/", "a/b", "a b", "a-b", "a\nb", "a\\b", "x\0y", "<b>|", "-rf"]
HOSTILE += ["model_zoo", "Model_Zoo", "results.csv", ".hidden", "con?", "x" * 81, "x" * 300]
HOSTILE += ["é", "e\u0301", "имя", "名前", "\ud800"]


def test_hostile_labels_get_safe_and_different_names() -> None:
    stems = [page_stem(label) for label in HOSTILE]
    assert len(set(stems)) == len(HOSTILE)
    for stem in stems:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", stem)
        assert stem.lower() != "model_zoo"


@given(st.text())
def test_a_label_that_is_another_ones_file_name_gets_its_own(label: str) -> None:
    stem = page_stem(label)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", stem)
    if stem != label:
        assert page_stem(stem) != stem
