from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.results.pages.reading import (
    Reader,
    by_python_markdown,
    only,
    render,
    tables,
)

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
