from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.compare import compare as verb
from results.compare import best_of, compare, read_sides
from results.errors import HarnessError
from results.table import Summary


def found(builder: Any, *targets: str, published: bool = False) -> Any:
    sides, left_out = read_sides(builder.workspace, targets)
    assert left_out == []
    return compare(sides, published)


def call(builder: Any, *words: str) -> Any:
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [*words, "--workspace", str(builder.workspace.root)])


def test_two_labels_stand_side_by_side_with_differences(builder: Any) -> None:
    first = builder.finish(backbone="simclr", values={"knn_k10": 47.8})
    second = builder.finish(backbone="byol", values={"knn_k10": 63.25})
    builder.run({"a": "simclr", "b": "byol"})
    (block,) = found(builder, "a", "b").blocks
    line = block.lines[0]
    assert (line.metric, [value.mean for value in line.values]) == ("knn_k10", [47.8, 63.25])
    assert line.differences == (None, 63.25 - 47.8)
    assert found(builder, "b", "a").blocks[0].lines[0].differences == (None, 47.8 - 63.25)
    assert [each.metric for each in block.lines] == [f"knn_k{k}" for k in (10, 20, 100, 200)]
    assert first.protocol.hash == second.protocol.hash == block.hash


def test_a_mean_over_seeds_is_compared(builder: Any) -> None:
    for seed, value in enumerate((1.0, 2.0, 6.0)):
        builder.finish("imagenet_mhead", seed=seed, values={"feature1": value})
    builder.finish("imagenet_mhead", "byol", seed=0, values={"feature1": 4.0})
    builder.run({"a": "simclr", "b": "byol"})
    line = found(builder, "a", "b").blocks[0].lines[0]
    assert [(value.mean, value.n) for value in line.values] == [(3.0, 3), (4.0, 1)]
    assert line.values[0].deviation == pytest.approx(7**0.5)
    assert line.differences == (None, 1.0)


@pytest.mark.parametrize(
    ("change", "mark"),
    [
        ({"profile": "smoke"}, "smoke profile: no results"),
        ({"modified": ["temperature"]}, "modified: temperature"),
        ({"salt": "another version"}, None),
        ({"nonstandard": True}, "non-standard data: 10 classes."),
    ],
)
def test_what_is_not_comparable_stands_apart_and_is_marked(change: dict[str, Any], mark: str, builder: Any) -> None:
    if change.pop("nonstandard", None):
        data = builder.make().data
        change["data"] = dataclasses.replace(data, fingerprint="f" * 64, nonstandard=("10 classes.",))
    builder.finish(backbone="simclr")
    builder.finish(backbone="byol", **change)
    builder.run({"a": "simclr", "b": "byol"})
    comparison = found(builder, "a", "b", published=True)
    assert len(comparison.blocks) == 2
    for block in comparison.blocks:
        for line in block.lines:
            assert sum(value is not None for value in line.values) == 1
            assert line.differences == (None, None)
    if mark:
        assert [block.marks for block in comparison.blocks] == [(), (mark,)]
        assert comparison.blocks[0].lines[0].standings
        assert not comparison.blocks[1].lines[0].standings


def test_differing_code_is_marked(builder: Any) -> None:
    builder.finish(backbone="simclr", git="a" * 40)
    builder.finish(backbone="byol", git="b" * 40)
    builder.run({"a": "simclr", "b": "byol"})
    (block,) = found(builder, "a", "b").blocks
    assert block.marks == ("made by differing code: aaaaaaaaaaaa, bbbbbbbbbbbb",)


def test_a_checkpoint_gets_its_place_among_the_published(builder: Any) -> None:
    builder.finish("imagenet_knn", values={"knn_k10": 47.8})
    builder.run({"a": "simclr"})
    (block,) = found(builder, "a", published=True).blocks[:1]
    line = block.lines[0]
    (standing,) = line.standings
    # Of the thirteen published rows DenseCL (48.2) and seven more are better, SimCLR is equal, NPID (42.9) is next.
    assert (standing.rank.place, standing.rank.of) == (9, 14)
    assert (standing.rank.above.algorithm, standing.rank.above.text) == ("DenseCL", "48.2")
    assert (standing.rank.below.algorithm, standing.rank.below.text) == ("NPID", "42.9")


def test_workspaces_folders_and_files_of_records_can_be_named(builder: Any, tmp_path: Path) -> None:
    record = builder.finish(backbone="simclr")
    builder.run({"a": "simclr"})
    other = type(builder)(tmp_path / "other")
    other.finish(backbone="byol")
    other.run({"a": "byol"})
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "one.json").write_text(builder.make(backbone="swav").to_json())
    file = builder.workspace.job(record.benchmark, record.key) / "result.json"
    comparison = found(builder, "a", str(other.workspace.root), str(loose), str(file))
    assert comparison.sides == ("a", "a (2)", "swav", "simclr")
    assert all(value is not None for value in comparison.blocks[0].lines[0].values)


def test_an_unknown_name_is_refused_with_the_nearest(builder: Any) -> None:
    builder.finish()
    builder.run({"simclr": "simclr"})
    with pytest.raises(HarnessError, match="did you mean 'simclr'"):
        read_sides(builder.workspace, ["simlcr"])


def test_an_empty_folder_is_refused(builder: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match="nothing to compare"):
        read_sides(builder.workspace, [str(tmp_path / "empty")])


def test_one_label_alone_needs_the_published(builder: Any) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    assert isinstance(call(builder, "a").exception, HarnessError)
    assert call(builder, "a", "--published").exit_code == 0


def test_a_broken_record_is_named_and_the_exit_status_is_one(builder: Any, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    for name in ("simclr", "byol"):
        (folder / f"{name}.json").write_text(builder.make(backbone=name).to_json())
    (folder / "broken.json").write_text('{"key": ')
    (folder / "newer.json").write_text('{"schema": 9}')
    result = call(builder, str(folder), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["labels"] == ["byol", "simclr"]
    assert "broken.json" in result.stderr
    assert "newer.json: a record of schema 9, made by a newer harness" in result.stderr


def test_json_and_table_say_the_same(builder: Any) -> None:
    builder.finish(backbone="simclr", values={"knn_k10": 47.84})
    builder.finish(backbone="byol", values={"knn_k10": 63.25})
    builder.run({"a[red]": "simclr", "b": "byol"})
    told = json.loads(call(builder, "a[red]", "b", "--published", "--json").stdout)
    metric = told["tables"][0]["metrics"][0]
    assert metric["values"]["b"] == {"mean": 63.25, "deviation": None, "n": 1}
    assert metric["differences"] == {"b": 63.25 - 47.84}
    # Better than 63.25 are Barlow Twins (63.6) and BYOL (63.9, 66.1).
    assert metric["places"]["b"] == {"place": 4, "of": 14}
    assert len(metric["published"]) == 13
    text = call(builder, "a[red]", "b", "--published").stdout
    assert "a[red]" in text
    assert "47.8  63.2  +15.4" in " ".join(text.split("k=10")[1].split()).replace(" ", "  ")
    assert "4 of 14" in text
    assert metric["best"]["side"] == "b"
    assert metric["best"]["verdict"] in text


def side(mean: float, deviation: float, n: int) -> Summary:
    return Summary(mean, deviation if n > 1 else math.nan, n)


@pytest.mark.parametrize(
    ("values", "best", "lead", "spread", "said"),
    [
        # A 3-4-5 triangle: the deviation of a difference is the root of the sum of variances.
        ((side(70, 3, 3), side(76, 4, 3)), ("b", "a"), 6.0, 5.0, "beyond the seeds' spread"),
        ((side(76, 3, 3), side(71, 4, 3)), ("a", "b"), 5.0, 5.0, "within the seeds' spread"),
        ((side(70, 0, 1), side(76, 4, 3)), ("b", "a"), 6.0, None, "a side has one run"),
        ((side(70, 1, 3), side(70, 1, 3)), ("a", "b"), 0.0, 2**0.5, "within the seeds' spread"),
        ((None, side(1, 0, 1), side(2, 0, 1)), ("c", "b"), 1.0, None, "a side has one run"),
    ],
)
def test_the_best_is_named_with_its_lead_and_the_seeds_spread(
    values: tuple[Summary | None, ...], best: tuple[str, str], lead: float, spread: float | None, said: str
) -> None:
    found = best_of("abc"[: len(values)], values)
    assert found is not None
    assert (found.side, found.runner_up, found.lead) == (*best, lead)
    assert found.spread == pytest.approx(spread)
    assert said in found.verdict


def test_one_number_alone_is_not_the_best() -> None:
    assert best_of("ab", (side(70, 1, 3), None)) is None
