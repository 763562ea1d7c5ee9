from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from results.entries import read_workspace
from results.errors import HarnessError
from results.pages.refresh import refresh, refresh_file
from results.pages.render import Request, make_pages
from tests.results.pages.reading import read


def part(name: str, page: str) -> str:
    return f"\n{name} of {page or 'all'}\n| a |\n"


def test_only_what_stands_between_markers_changes() -> None:
    text = "# Mine\n\n1.0  \n<!-- harness:begin imagenet_knn -->\nold\n\nolder\n<!-- harness:end -->\nafter, no newline"
    expected = (
        "# Mine\n\n1.0  \n<!-- harness:begin imagenet_knn -->\n\nimagenet_knn of all\n| a |\n\n<!-- harness:end -->\n"
        "after, no newline"
    )
    assert refresh(text, "README.md", part) == expected
    assert refresh(expected, "README.md", part) == expected


def test_a_marker_may_name_a_page_and_there_may_be_several() -> None:
    text = "<!--harness:begin a Mo Co-->\n<!-- harness:end -->\nx\n  <!-- harness:begin b -->\n<!-- harness:end -->\n"
    made = refresh(text, "README.md", part)
    assert "a of Mo Co" in made
    assert "b of all" in made
    assert "\nx\n" in made


def test_line_endings_stay(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes("\ufeff# A\r\n<!-- harness:begin a -->\r\n<!-- harness:end -->\r\né".encode())
    assert refresh_file(path, part)
    content = path.read_bytes()
    assert content.decode() == (
        "\ufeff# A\r\n<!-- harness:begin a -->\r\n\r\na of all\r\n| a |\r\n\r\n<!-- harness:end -->\r\né"
    )
    assert not refresh_file(path, part)


def test_markers_that_a_code_block_shows_are_no_markers() -> None:
    text = "```\n<!-- harness:begin a -->\n```\n~~~~ md\n<!-- harness:end -->\n```\n~~~\n~~~~\n"
    with pytest.raises(HarnessError, match="no marker"):
        refresh(text, "README.md", part)
    after = text + "<!-- harness:begin a -->\n<!-- harness:end -->\n"
    assert refresh(after, "README.md", part).startswith(text)


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("a\n<!-- harness:begin a -->\n", "does not end", 2),
        ("<!-- harness:end -->\n", "did not begin", 1),
        ("<!-- harness:begin a -->\n<!-- harness:begin b -->\n<!-- harness:end -->", "begins inside", 2),
    ],
)
def test_a_marker_without_its_partner_is_refused_with_its_line(text: str, what: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(HarnessError, match=what) as caught:
        refresh_file(path, part)
    assert caught.value.where == f"{path}, line {line}"
    assert path.read_text() == text


def test_a_readme_is_refreshed_from_the_workspace(builder: Any, tmp_path: Path) -> None:
    builder.finish("imagenet_knn", values={"knn_k10": 47.8})
    builder.run({"a": "simclr"})
    pages = make_pages(read_workspace(builder.workspace), builder.workspace, Request())
    path = tmp_path / "README.md"
    path.write_text("# Mine\n\n<!-- harness:begin imagenet_knn a -->\n<!-- harness:end -->\n\nAfter.\n")
    path.chmod(0o640)
    assert refresh_file(path, pages.part_of("README.md"))
    blocks = read(path.read_text()).blocks
    assert blocks[0] == ("h1", "Mine")
    (table,) = [content for tag, content in blocks if tag == "table"]
    assert table[1][:2] == ["a", "47.8"]
    assert blocks[-1] == ("p", "After.")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("marker", "near"), [("imagenet_kn a", "imagenet_knn"), ("imagenet_knn simcrl", "simclr")])
def test_an_unknown_part_or_page_gets_the_nearest(marker: str, near: str, builder: Any, tmp_path: Path) -> None:
    builder.finish("imagenet_knn")
    builder.run({"a": "simclr", "simclr": "simclr"})
    pages = make_pages(read_workspace(builder.workspace), builder.workspace, Request())
    path = tmp_path / "README.md"
    path.write_text(f"<!-- harness:begin {marker} -->\n<!-- harness:end -->\n")
    with pytest.raises(HarnessError) as caught:
        refresh_file(path, pages.part_of(str(path)))
    assert caught.value.mend.startswith(f"did you mean '{near}'?")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "docs.md"
    target.write_text("<!-- harness:begin a -->\n<!-- harness:end -->\n")
    (tmp_path / "README.md").symlink_to(target)
    assert refresh_file(tmp_path / "README.md", part)
    assert (tmp_path / "README.md").is_symlink()
    assert "a of all" in target.read_text()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_readme_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"cannot read README\.md"):
        refresh_file(path, part)
