from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.results.pages.reading import (
    only,
    render,
    tables,
)

SMOKE = "Smoke profile: these numbers only show that everything works; they are no results"


def test_smoke_and_full_numbers_never_share_a_table(builder: Any) -> None:
    full = builder.finish("imagenet_knn", "simclr")
    smoke = builder.finish("imagenet_knn", "byol", profile="smoke")
    builder.run({"a": "simclr", "b": "byol"})
    paths = render(builder.workspace)
    first, second = tables(only(paths, "model_zoo.md"))
    assert [row[0] for row in first[2][1:]] == ["a"]
    assert [row[0] for row in second[2][1:]] == ["b"]
    assert not any("Smoke" in line for line in first[1])
    assert "Smoke profile: no results" in second[1]
    assert full.protocol.hash[:12] in first[3]
    assert smoke.protocol.hash[:12] in second[3]
    for name, warned in (("model_zoo.md", True), ("b.md", True), ("a.md", False)):
        text = only(paths, name).read_text()
        assert (SMOKE in text) is warned
        assert ("Smoke" in text) is warned
        if warned:
            assert text.index(SMOKE) < text.index("## Results")


def test_a_smoke_page_marks_every_table(builder: Any) -> None:
    builder.finish("voc07_svm", profile="smoke", seed=0)
    builder.finish("imagenet_knn", profile="smoke")
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    assert len(tables(page)) == 3
    for _, above, _, _ in tables(page):
        assert "Smoke profile: no results" in above
    assert "the others" not in page.read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "another protocol"},
        {"modified": ["temperature"]},
        {"numerics": {"precision": "bf16", "channels_last": True}},
        {"profile": "another"},
        {"fingerprint": "f" * 64},
    ],
)
def test_what_cannot_be_compared_stands_in_tables_of_its_own(change: dict[str, Any], builder: Any) -> None:
    if fingerprint := change.pop("fingerprint", None):
        data = dataclasses.replace(
            builder.make().data, fingerprint=fingerprint, nonstandard=("10 classes instead of 1000",)
        )
        change["data"] = data
    builder.finish(backbone="simclr")
    builder.finish(backbone="byol", **change)
    builder.run({"a": "simclr", "b": "byol"})
    found = tables(only(render(builder.workspace), "model_zoo.md"))
    assert sorted(tuple(row[0] for row in cells[1:]) for _, _, cells, _ in found) == [("a",), ("b",)]
    assert found[0][3] != found[1][3]
    if fingerprint:
        assert sum("non-standard data: 10 classes instead of 1000" in caption for *_, caption in found) == 1
