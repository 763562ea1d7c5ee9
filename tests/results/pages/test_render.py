from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown  # type: ignore[import-untyped]
import numpy as np
import pytest

from benchmarks.input_convention import DEFAULT_CONVENTION
from results.errors import HarnessError
from results.pages.build import DEFAULT_INPUT
from results.pages.markdown import file_name
from results.pages.render import render
from results.pages.sections import GROUPS, SECTIONS
from results.record import Column, MetricValue, Record

SHOTS = (1, 2, 4, 8, 16, 32, 64, 96)
LAYERS = range(1, 6)
SMOKE = "Smoke profile: these numbers only show that everything works; they are no results"


class Reader(HTMLParser):
    """A page as blocks: ``(tag, text)``, and ``("table", [[cell, ...], ...])``."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.blocks: list[tuple[str, Any]] = []
        self.text = ""
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.blocks.append(("table", []))
        elif tag == "tr":
            self.blocks[-1][1].append([])
        if tag in ("td", "th", "p", "li", "h1", "h2", "h3", "h4"):
            self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.blocks[-1][1][-1].append(self.text)
        elif tag in ("p", "li", "h1", "h2", "h3", "h4"):
            self.blocks.append((tag, self.text))


def read(text: str) -> Reader:
    return Reader(by_python_markdown(text))


def tables(page: Path) -> list[tuple[str, list[str], list[list[str]], str]]:
    """Heading above, bold lines above, cells, caption below of each table of numbers."""
    found = []
    heading = ""
    bold: list[str] = []
    blocks = read(page.read_text()).blocks
    for number, (tag, content) in enumerate(blocks):
        if tag in ("h2", "h3", "h4"):
            heading, bold = content, []
        elif tag == "p" and not content.startswith("Protocol "):
            bold.append(content)
        elif tag == "table" and heading != "How these numbers were made":
            found.append((heading, bold, content, blocks[number + 1][1]))
            bold = []
    return found


def headings(page: Path) -> list[tuple[str, str]]:
    return [(tag, text) for tag, text in read(page.read_text()).blocks if tag in ("h1", "h2", "h3", "h4")]


def rounded(record: Record, metric: str, decimals: int) -> str:
    value = record.metrics[metric].value
    assert value is not None
    return f"{value:.{decimals}f}"


def only(paths: Sequence[Path], name: str) -> Path:
    (path,) = [path for path in paths if path.name == name]
    return path


def test_the_page_of_one_label_has_the_published_structure(builder: Any) -> None:
    jobs = {name: builder.finish(name, seed=0) for name in ("imagenet_knn", "imagenet_mhead", "voc07_svm")}
    builder.run({"simclr": "simclr"}, list(jobs.values()))
    paths = render(builder.workspace)
    assert [path.name for path in paths] == ["results.csv", "simclr.md"]
    assert headings(paths[1]) == [
        ("h1", "simclr"),
        ("h2", "Results and Models"),
        ("h3", "Classification"),
        ("h4", "VOC SVM / Low-shot SVM"),
        ("h4", "ImageNet Linear Evaluation"),
        ("h4", "ImageNet Nearest-Neighbor Classification"),
        ("h2", "How these numbers were made"),
    ]
    first, svm, knn = "Self-Supervised Config", jobs["voc07_svm"], jobs["imagenet_knn"]
    assert [cells for _, _, cells, _ in tables(paths[1])] == [
        [
            [first, "Best Layer", "SVM", *(f"k={k}" for k in SHOTS)],
            ["simclr", "feature5", rounded(svm, "svm", 2), *(rounded(svm, f"lowshot_k{k}", 2) for k in SHOTS)],
        ],
        [
            [first, *(f"Feature{layer}" for layer in LAYERS)],
            ["simclr", *(rounded(svm, f"svm_feature{layer}", 2) for layer in LAYERS)],
        ],
        [
            [first, *(f"Feature{layer}" for layer in LAYERS)],
            ["simclr", *(rounded(jobs["imagenet_mhead"], f"feature{layer}", 2) for layer in LAYERS)],
        ],
        [
            [first, *(f"k={k}" for k in (10, 20, 100, 200))],
            ["simclr", *(rounded(knn, f"knn_k{k}", 1) for k in (10, 20, 100, 200))],
        ],
    ]
    assert tables(paths[1])[1][1] == ["SVM per layer"]


def test_hidden_metrics_are_in_the_csv_and_on_no_page(builder: Any) -> None:
    builder.finish("imagenet_mhead", seed=0)
    builder.run({"a": "simclr"})
    table, page = render(builder.workspace)
    assert "feature5_top5" in table.read_text()
    assert "top-5" not in page.read_text()


def test_every_benchmark_of_the_suite_has_its_place(builder: Any) -> None:
    for section in reversed(SECTIONS):
        builder.finish(section.benchmark)
    builder.finish("zz_of_a_plug_in")
    builder.run({"a": "simclr"})
    expected = [
        ("h3", "Classification"),
        ("h4", "VOC SVM / Low-shot SVM"),
        ("h4", "ImageNet Linear Evaluation"),
        ("h4", "Places205 Linear Evaluation"),
        ("h4", "iNaturalist2018 Linear Evaluation"),
        ("h4", "ImageNet Nearest-Neighbor Classification"),
        ("h3", "Detection"),
        ("h4", "Pascal VOC 2007 + 2012"),
        ("h4", "COCO2017"),
        ("h3", "Segmentation"),
        ("h4", "Pascal VOC 2012 + Aug"),
        ("h4", "Cityscapes"),
        ("h3", "Other benchmarks"),
        ("h4", "zz_of_a_plug_in"),
    ]
    page = render(builder.workspace)[1]
    assert headings(page)[2:-1] == expected
    # Multi-head and average-pooled linear evaluation share a heading; SVM has two tables.
    assert len(tables(page)) == len(SECTIONS) + 2


def test_a_section_belongs_to_a_group_and_no_benchmark_has_two() -> None:
    assert {section.group for section in SECTIONS} <= {group.name for group in GROUPS}
    assert len({section.benchmark for section in SECTIONS}) == len(SECTIONS)


def test_nothing_is_said_of_benchmarks_that_were_not_run(builder: Any) -> None:
    builder.finish("imagenet_knn")
    builder.run({"a": "simclr"})
    text = render(builder.workspace)[1].read_text()
    for word in ("VOC", "Places", "iNaturalist", "COCO", "Cityscapes", "SVM", "Detection", "Segmentation", "Feature1"):
        assert word not in text


def test_trailing_zeros_stay(builder: Any) -> None:
    builder.finish("voc07_svm", values={"lowshot_k96": 77.4, "svm": 80.0, "lowshot_k1": 0.0})
    builder.run({"a": "simclr"})
    row = tables(render(builder.workspace)[1])[0][2][1]
    assert (row[2], row[3], row[-1]) == ("80.00", "0.00", "77.40")


def test_the_caption_says_how_it_was_measured(builder: Any) -> None:
    record = builder.finish("voc07_svm", seed=4, modified=["costs", "folds"], protocol="voc07_svm@vissl")
    builder.run({"a": "simclr"})
    for _, _, _, caption in tables(render(builder.workspace)[1]):
        assert "\n" not in caption
        assert record.protocol.hash[:12] in caption
        assert record.protocol.hash[:13] not in caption
        for fact in ("voc07_svm@vissl, version 1", "data voc07 (trainval 5011, test 4952, classes 20)", "seed 4"):
            assert fact in caption
        assert "modified: costs, folds" in caption
        assert "numerics: precision fp32" in caption
        for absent in ("input convention", "non-standard", "deviation"):
            assert absent not in caption


def test_another_input_convention_is_said_and_the_default_is_the_catalogues(builder: Any) -> None:
    assert DEFAULT_INPUT == DEFAULT_CONVENTION
    stamp = dataclasses.replace(builder.make().backbone, input="bgr-mean")
    builder.finish(backbone="byol")
    record = builder.make(seed=None)
    record = dataclasses.replace(record, backbone=stamp)
    folder = builder.workspace.job(record.benchmark, record.key)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(record.to_json())
    builder.run({"one": "simclr"}, input="bgr-mean")
    builder.run({"two": "byol"})
    paths = render(builder.workspace)
    assert "input convention bgr-mean (one)" in tables(only(paths, "model_zoo.md"))[0][3]
    assert "input convention" not in tables(only(paths, "two.md"))[0][3]


def test_what_belongs_beside_the_numbers_of_a_backbone_stands_in_the_caption(builder: Any) -> None:
    builder.finish()
    builder.finish(backbone="byol")
    builder.run({"one": "simclr"}, remarks=["read with --trust: its file names x.y | z; none of it was run"])
    builder.run({"two": "byol"})
    paths = render(builder.workspace)
    for page in ("model_zoo.md", "one.md"):
        assert "one: read with --trust: its file names x.y | z; none of it was run" in tables(only(paths, page))[0][3]
    assert "--trust" not in tables(only(paths, "two.md"))[0][3]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("a/b\\simclr.pth", "simclr.pth"),
        ("random:0", "random:0"),
        ("hf://timm/resnet50.a1_in1k/model.safetensors@0123", "hf://timm/resnet50.a1_in1k/model.safetensors@0123"),
    ],
)
def test_a_source_without_its_folder(source: str, shown: str) -> None:
    assert file_name(source) == shown


def test_several_seeds_give_mean_and_sample_deviation(builder: Any) -> None:
    records = [builder.finish("imagenet_mhead", seed=seed) for seed in (0, 1, 2)]
    builder.run({"a": "simclr"})
    ((_, _, cells, caption),) = tables(render(builder.workspace)[1])
    for layer, cell in zip(LAYERS, cells[1][1:], strict=True):
        values = [record.metrics[f"feature{layer}"].value for record in records]
        mean, deviation = (float(number) for number in cell.split(" ± "))
        # A page shows two decimals: half a unit of the last one.
        np.testing.assert_allclose([mean, deviation], [np.mean(values), np.std(values, ddof=1)], rtol=0, atol=0.00501)
    assert "seeds 0, 1, 2 (mean ± sample standard deviation, n = 3)" in caption


def test_a_seed_that_failed_is_told(builder: Any) -> None:
    first, second = (builder.finish(seed=seed) for seed in (0, 1))
    lost = builder.make(seed=2)
    builder.attempt(lost, 1, {"status": "failed", "reason": "disk full"})
    builder.run({"a": "simclr"}, [first, second, lost])
    page = render(builder.workspace)[1]
    ((_, _, cells, caption),) = tables(page)
    assert all(cell.endswith("(n = 2)") for cell in cells[1][1:])
    assert "seeds 0, 1 (" in caption
    assert "No value: k=10, k=20, k=100, k=200, seed 2: failed: disk full" in page.read_text()


def test_labels_with_different_seeds_are_told_apart_in_the_zoo(builder: Any) -> None:
    for seed in (0, 1):
        builder.finish(backbone="simclr", seed=seed)
    builder.finish(backbone="byol", seed=0)
    builder.run({"a": "simclr", "b": "byol"})
    ((_, _, cells, caption),) = tables(only(render(builder.workspace), "model_zoo.md"))
    assert [row[0] for row in cells[1:]] == ["a", "b"]
    assert "seed 0 for b" in caption
    assert "seeds 0, 1 (mean ± sample standard deviation, n = 2) for a" in caption


def test_best_layers_that_differ_between_seeds_are_all_named(builder: Any) -> None:
    builder.finish("voc07_svm", seed=0, details={"best_layer": "feature4"})
    builder.finish("voc07_svm", seed=1, details={"best_layer": "feature5"})
    builder.run({"a": "simclr"})
    assert tables(render(builder.workspace)[1])[0][2][1][1] == "feature4, feature5"


def test_a_blank_cell_has_its_reason_below(builder: Any) -> None:
    reason = "class sheep has 40 of 64 positives | see <list>"
    builder.finish("voc07_svm", values={"lowshot_k64": reason, "lowshot_k96": reason})
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    row = tables(page)[0][2][1]
    assert row[-2:] == ["", ""]
    assert all(row[:-2])
    items = [text for tag, text in read(page.read_text()).blocks if tag == "li"]
    assert items == [f"No value: k=64, k=96: {reason}"]


def test_a_note_beside_a_value_is_shown(builder: Any) -> None:
    record = builder.make("zz")
    note = MetricValue(0.0, note="the detector found nothing")
    builder.finish("zz", metrics={"score": note}, key=record.key)
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    assert tables(page)[0][2][1] == ["a", "0.00"]
    assert "- Note: Score: the detector found nothing" in page.read_text()


def test_a_failed_job_is_a_blank_row_with_its_reason(builder: Any) -> None:
    good, bad = builder.finish(backbone="simclr"), builder.make(backbone="byol")
    reason = "RuntimeError: cannot read '/home/some body/data/x.jpg'\n  at /scratch/somebody/knn.py " + "z" * 500
    builder.attempt(bad, 1, {"status": "failed", "reason": reason})
    builder.run({"a": "simclr", "b": "byol"}, [good, bad])
    zoo = only(render(builder.workspace), "model_zoo.md")
    ((_, _, cells, _),) = tables(zoo)
    assert cells[2] == ["b", "", "", "", ""]
    (item,) = [text for tag, text in read(zoo.read_text()).blocks if tag == "li"]
    assert item.startswith("No value: b, k=10, k=20, k=100, k=200: failed: RuntimeError: cannot read 'x.jpg' at knn.py")
    assert len(item) < 320


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


HOSTILE = [
    "a|b",
    "`a`",
    "*a* _b_ __c__ ~~d~~",
    "<script>alert(1)</script>",
    "[x](javascript:y)",
    "a &amp; b",
    "C#",
    "# a #",
    "1. a",
    "- a",
    "a\\|b",
    "$x$",
    "../../etc/passwd",
    "名前 имя é",
    "https://example.org",
    "---",
    ":-:",
]


def by_python_markdown(text: str) -> str:
    return str(markdown.markdown(text, extensions=["tables"]))


def by_markdown_it(text: str) -> str:
    reader = pytest.importorskip("markdown_it")
    return str(reader.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


@pytest.mark.parametrize("to_html", [by_python_markdown, by_markdown_it])
@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_shown_as_it_is(label: str, to_html: Callable[[str], str], builder: Any) -> None:
    builder.finish("imagenet_knn", seed=0)
    builder.finish("imagenet_knn", seed=1, values={"knn_k10": label})
    builder.run({label: "simclr", "other": "simclr"})
    paths = render(builder.workspace)
    assert all(path.parent == builder.workspace.pages for path in paths)
    (own,) = [path for path in paths if path.name not in ("results.csv", "other.md", "model_zoo.md")]
    page = Reader(to_html(own.read_text()))
    assert page.blocks[0] == ("h1", label)
    zoo = Reader(to_html(only(paths, "model_zoo.md").read_text()))
    for tag, content in page.blocks + zoo.blocks:
        if tag == "table":
            assert {len(row) for row in content} == {len(content[0])}
            assert {row[0] for row in content[1:]} <= {label, "other"}
    assert f"No value: k=10, seed 1: {label}" in [text for tag, text in page.blocks if tag == "li"]
    assert not page.tags & {"script", "em", "a", "del", "s"}


def test_line_breaks_and_control_characters_do_not_break_a_table(builder: Any) -> None:
    builder.finish()
    builder.run({"a\r\n\nb\x00c\u202ed\u2028e": "simclr"})
    page = render(builder.workspace)[1]
    assert tables(page)[0][2][1][0] == "a b\ufffdc\ufffdd e"


def test_hostile_labels_have_pages_of_their_own(builder: Any) -> None:
    builder.finish()
    labels = ["a/b", "a b", "a-b", "a\nb", "../a", "model_zoo", "a|b", "é", "è", "x" * 300]
    builder.run(dict.fromkeys(labels, "simclr"))
    paths = render(builder.workspace)
    assert len(set(paths)) == len(labels) + 2
    assert sorted(builder.workspace.pages.iterdir()) == sorted(paths)


def test_two_labels_of_one_backbone_have_the_same_numbers(builder: Any) -> None:
    builder.finish("voc07_svm")
    builder.run({"a": "simclr", "b": "simclr"})
    zoo = tables(only(render(builder.workspace), "model_zoo.md"))
    for _, _, cells, _ in zoo:
        assert [row[0] for row in cells[1:]] == ["a", "b"]
        assert cells[1][1:] == cells[2][1:]


def test_two_renders_are_equal_byte_for_byte(builder: Any) -> None:
    jobs = [builder.finish("voc07_svm", name, seed=seed) for name in ("x", "y") for seed in (0, 1)]
    jobs.append(builder.make("imagenet_knn", "x"))
    builder.run({"b": "x", "a": "y"}, jobs)
    first = {path: path.read_bytes() for path in render(builder.workspace)}
    assert {path: path.read_bytes() for path in render(builder.workspace)} == first


def test_nothing_private_is_under_pages(builder: Any) -> None:
    job = builder.make("voc07_svm")
    builder.attempt(job, 1, {"status": "failed", "reason": f"no such file: {builder.workspace.root}/x/list.txt"})
    builder.finish("imagenet_knn", values={"knn_k10": f"see {Path.home()}/log.txt"})
    path = builder.run({"a": "simclr"}, [job])
    path.write_text(path.read_text().replace('"source": "', '"source": "/home/somebody/checkpoints/'))
    for written in render(builder.workspace):
        text = written.read_text()
        assert not re.search(r"(?<![\w:/])/[A-Za-z]", re.sub(r"SVM / Low-shot", "", text))
        for private in (str(builder.workspace.root), "somebody", "/home", str(Path.home())):
            assert private not in text
    assert "| simclr.pth |" in written.read_text()


def test_where_numbers_come_from_is_told(builder: Any) -> None:
    record = builder.finish()
    builder.run({"a": "simclr"})
    text = render(builder.workspace)[1].read_text()
    origin = text[text.index("## How these numbers were made") :]
    assert f"| a | `{record.backbone.digest[:12]}` | simclr.pth | mmselfsup | backbone | rgb-mean-std |" in origin
    assert "Versions: git 0123456; numpy 2.2.6; torch 2.14.0." in origin


def test_versions_that_differ_are_told(builder: Any) -> None:
    builder.finish("imagenet_knn")
    builder.finish("voc07_svm", versions={"torch": "2.13.0", "numpy": "2.2.6"})
    builder.run({"a": "simclr"})
    text = render(builder.workspace)[1].read_text()
    assert "torch differs between records: 2.13.0 (voc07_svm) / 2.14.0 (imagenet_knn)" in text
    assert "numpy 2.2.6;" in text


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


def test_a_column_that_a_record_lacks_is_blank_with_a_reason(builder: Any) -> None:
    display = (Column("score", "Score", 2), Column("other", "Other", 1))
    builder.finish("zz", display=display)
    builder.run({"a": "simclr"})
    page = render(builder.workspace)[1]
    assert tables(page)[0][2][1][2] == ""
    assert "- No value: Other: not measured" in page.read_text()
