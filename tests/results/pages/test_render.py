from __future__ import annotations

from typing import Any

import pytest

from results.entries import read_workspace
from results.errors import HarnessError
from results.metadata import Metadata
from results.pages.render import FORMATS, Request, make_pages
from tests.results.pages.reading import (
    only,
    render,
    rounded,
    tables,
)


def test_what_belongs_beside_the_numbers_of_a_backbone_stands_in_the_caption(builder: Any) -> None:
    builder.finish()
    builder.finish(backbone="byol")
    builder.run({"one": "simclr"}, remarks=["read with --trust: its file names x.y | z; none of it was run"])
    builder.run({"two": "byol"})
    paths = render(builder.workspace)
    for page in ("model_zoo.md", "one.md"):
        assert "one: read with --trust: its file names x.y | z; none of it was run" in tables(only(paths, page))[0][3]
    assert "--trust" not in tables(only(paths, "two.md"))[0][3]


def test_two_labels_of_one_backbone_have_the_same_numbers(builder: Any) -> None:
    builder.finish("voc07_svm")
    builder.run({"a": "simclr", "b": "simclr"})
    zoo = tables(only(render(builder.workspace), "model_zoo.md"))
    for _, _, cells, _ in zoo:
        assert [row[0] for row in cells[1:]] == ["a", "b"]
        assert cells[1][1:] == cells[2][1:]


def test_every_format_is_the_same_bytes_twice(builder: Any) -> None:
    jobs = [builder.finish("voc07_svm", name, seed=seed) for name in ("x", "y") for seed in (0, 1)]
    builder.run({"b": "x", "a": "y"}, jobs)
    raw = {"algorithms": [{"name": "A", "models": [{"name": "m", "label": "a"}]}]}
    request = Request(None, FORMATS, Metadata.model_validate(raw))
    one, other = (
        list(make_pages(read_workspace(builder.workspace), builder.workspace, request).files()) for _ in range(2)
    )
    assert one == other
    assert len({name for name, _ in one}) == len(one)


def test_two_renders_are_equal_byte_for_byte(builder: Any) -> None:
    jobs = [builder.finish("voc07_svm", name, seed=seed) for name in ("x", "y") for seed in (0, 1)]
    jobs.append(builder.make("imagenet_knn", "x"))
    builder.run({"b": "x", "a": "y"}, jobs)
    first = {path: path.read_bytes() for path in render(builder.workspace)}
    assert {path: path.read_bytes() for path in render(builder.workspace)} == first


def test_a_label_chooses_its_page_but_the_table_stays_whole(builder: Any) -> None:
    for name in ("x", "y"):
        builder.finish(backbone=name)
    builder.run({"a": "x", "b": "y", "c": "y"})
    whole = {path.name: path.read_bytes() for path in render(builder.workspace)}
    paths = render(builder.workspace, ["b", "b"])
    assert [path.name for path in paths] == ["results.csv", "b.md", "model_zoo.md"]
    assert all(path.read_bytes() == whole[path.name] for path in paths)


def test_an_unknown_label_is_refused_before_anything_is_written(builder: Any) -> None:
    builder.finish()
    builder.run({"simclr": "simclr"})
    with pytest.raises(HarnessError, match="did you mean 'simclr'"):
        render(builder.workspace, ["simlcr"])
    assert not builder.workspace.pages.exists()


def test_an_empty_workspace_is_refused_with_the_command_to_run(builder: Any) -> None:
    with pytest.raises(HarnessError) as caught:
        render(builder.workspace)
    assert caught.value.mend.startswith("python -m harness run --ckpt")
    assert f"'{builder.workspace.root}'" in caught.value.mend
    assert not builder.workspace.root.exists()


def test_broken_files_do_not_break_the_pages(builder: Any) -> None:
    good, bad = builder.finish(seed=0), builder.finish(seed=1)
    builder.run({"a": "simclr"}, [good, bad])
    (builder.workspace.runs / "zzz.json").write_text('{"id":')
    (builder.workspace.job(bad.benchmark, bad.key) / "result.json").write_text("")
    page = render(builder.workspace)[1]
    assert tables(page)[0][2][1][1] == rounded(good, "knn_k10", 1) + " (n = 1)"
    assert "the result file cannot be read" in page.read_text()
