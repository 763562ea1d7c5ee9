from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.main import app
from results.entries import Label, Reading
from results.metadata import Metadata, match, read_metadata
from results.pages.check import check_links, check_pages, check_readme
from results.pages.render import DEFAULT_FORMATS, Pages, Request, write_pages
from results.record import BackboneStamp
from results.workspace import Workspace
from tests.results.pages.zoo_pages import FOLDER, LABELS, simclr


@pytest.fixture
def pages() -> Pages:
    request = Request(None, (*DEFAULT_FORMATS, "latex"), read_metadata(FOLDER / "simclr.yaml"))
    return Pages(Reading(tuple(simclr()), ()), request)


@pytest.fixture
def folder(pages: Pages, tmp_path: Path) -> Path:
    write_pages(pages, Workspace(tmp_path))
    return tmp_path / "pages"


def test_what_was_written_is_right(pages: Pages, folder: Path) -> None:
    assert check_pages(pages, folder) == []


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        ("zoo/SimCLR/README.md", "| 79.98 |", "| 80.98 |", "SVM: the page says '80.98', the records say '79.98'"),
        ("zoo/SimCLR/README.md", "<td>66.9</td>", "<td>67.9</td>", "4096, Results (Top-1 %) / Linear Eval: the page"),
        ("8xb32-200e.md", "| 16.29 |", "| 16.92 |", "Feature1: the page says '16.92', the records say '16.29'"),
        ("results.csv", "79.98", "79.89", "it is not what the records say"),
        ("zoo/SimCLR/metafile.yml", "62.7", "62.8", "not what the records make"),
        ("results.html", "62.91", "62.19", "not what the records make"),
        ("results.tex", "62.91", "62.19", "not what the records make"),
        ("zoo/SimCLR/README.md", "## Abstract", "## Abstrakt", "not what the records make"),
    ],
)
def test_a_number_that_was_changed_is_named(
    name: str, before: str, after: str, told: str, pages: Pages, folder: Path
) -> None:
    path = folder / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    (problem,) = check_pages(pages, folder)
    assert problem.where.startswith(str(path))
    assert told in problem.what


def test_a_row_without_a_record_and_one_that_is_missing_are_named(pages: Pages, folder: Path) -> None:
    path = folder / "model_zoo.md"
    lines = path.read_text().splitlines(keepends=True)
    number = next(place for place, line in enumerate(lines) if line.startswith("| 16xb256-200e |"))
    lines[number] = lines[number].replace("16xb256-200e", "invented")
    path.write_text("".join(lines))
    told = [problem.what for problem in check_pages(pages, folder)]
    assert any("no record makes the row invented" in what for what in told)
    assert any("lacks 16xb256-200e" in what for what in told)


def test_a_file_that_is_missing_is_named(pages: Pages, folder: Path) -> None:
    (folder / "results.parquet").unlink()
    (problem,) = check_pages(pages, folder)
    assert problem.where.endswith("results.parquet")
    assert "python -m harness report" in problem.what


def readme(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "README.md"
    path.write_text(text)
    return path


def test_the_published_page_itself_is_held_against_its_records(pages: Pages, folder: Path, tmp_path: Path) -> None:
    text = (folder / "zoo/SimCLR/README.md").read_text()
    assert check_readme(pages, readme(tmp_path, text)) == []
    (problem,) = check_readme(pages, readme(tmp_path, text.replace("| 79.98 |", "| 79.99 |")))
    assert "resnet50_8xb32-coslr-200e, SVM: the page says 79.99, the records say 79.98" in problem.what
    (problem,) = check_readme(pages, readme(tmp_path, text.replace("<td>69.2</td>", "<td>69.3</td>")))
    assert "the page says 69.3, the records say 69.2" in problem.what


def test_a_number_in_a_hand_written_table_needs_a_record(pages: Pages, tmp_path: Path) -> None:
    head = "#### Cityscapes\n\n| Self-Supervised Config | mIOU |\n|---|---|\n"
    (problem,) = check_readme(pages, readme(tmp_path, f"{head}| resnet50_8xb32-coslr-200e | 71.23 |\n"))
    assert "no record makes the number 71.23" in problem.what
    assert problem.where.endswith("README.md, line 3")
    # A number under another benchmark's heading is not that benchmark's.
    assert check_readme(pages, readme(tmp_path, f"{head}| resnet50_8xb32-coslr-200e | 64.03 |\n"))
    # Tables of other things are none of ours.
    assert check_readme(pages, readme(tmp_path, "| Setting | Value |\n|---|---|\n| epochs | 200 |\n")) == []


def test_what_stands_between_markers_is_held_against_the_records(pages: Pages, tmp_path: Path) -> None:
    path = readme(tmp_path, "<!-- harness:begin voc12aug_fcn -->\n<!-- harness:end -->\n")
    assert check_readme(pages, path)
    part = pages.part_of("README.md")("voc12aug_fcn", "").strip("\n")
    path.write_text(f"<!-- harness:begin voc12aug_fcn -->\n\n{part}\n\n<!-- harness:end -->\n")
    assert check_readme(pages, path) == []
    path.write_text(path.read_text().replace("64.03", "64.30"))
    (problem,) = check_readme(pages, path)
    assert "'64.30'" in problem.what


META = yaml.safe_load((FOLDER / "simclr.yaml").read_text())


def links(change: Callable[[list[dict[str, Any]]], None], tmp_path: Path, **hashes: str) -> list[str]:
    raw = copy.deepcopy(META)
    change(raw["algorithms"][0]["models"])
    metadata = Metadata.model_validate(raw)
    stamp = BackboneStamp("d" * 64, "x.pth", "mmselfsup", "backbone", "rgb-mean-std")
    matched = match(metadata, [Label(label, stamp) for label in LABELS.values()])
    found = check_links(metadata, matched, hashes, tmp_path)
    return [f"{each.where}: {each.what}" for each in found]


def test_the_links_of_the_published_page_are_right(tmp_path: Path) -> None:
    assert links(lambda models: None, tmp_path) == []


def test_the_wrong_link_of_the_published_metafile_is_found(tmp_path: Path) -> None:
    """The published metafile gives the first model the linear weights of the second."""

    def change(models: list[dict[str, Any]]) -> None:
        wrong = models[1]["downstream"]["imagenet_linear"]["weights"]
        models[0]["downstream"]["imagenet_linear"]["weights"] = wrong

    first, second = links(change, tmp_path)
    place = "simclr_resnet50_8xb32-coslr-200e_in1k.downstream.imagenet_linear.weights"
    assert first.startswith(f"{place}: this link is that of simclr_resnet50_16xb256-coslr-200e_in1k: https://")
    assert "has the same link" in second


def test_a_weight_file_of_another_hash_is_found(tmp_path: Path) -> None:
    def change(models: list[dict[str, Any]]) -> None:
        models[0]["sha256"] = "15f807a4" + "0" * 56
        models[1]["sha256"] = "4d9cce50" + "0" * 56
        models[0]["weights"] = "https://example.org/resnet50_20220825-4d9cce50.pth"

    (told,) = links(change, tmp_path)
    assert told.startswith(
        "simclr_resnet50_8xb32-coslr-200e_in1k.weights: the file's name says 4d9cce50, which is that of"
    )
    assert told.endswith("begins with 15f807a4")


def test_the_hash_that_a_run_noted_counts_too(tmp_path: Path) -> None:
    hashes = {"8xb32-200e": "15f807a4" + "1" * 56}
    assert links(lambda models: None, tmp_path, **hashes) == []
    (told,) = links(lambda models: None, tmp_path, **{"8xb32-200e": "2" * 64})
    assert "the model's sha256 begins with 22222222" in told
    (told,) = links(lambda models: models[0].update(sha256="15f807a4" + "0" * 56), tmp_path, **hashes)
    assert "is not that of the file that was measured" in told


def test_a_name_without_a_hash_cannot_be_held_against_one(tmp_path: Path) -> None:
    def change(models: list[dict[str, Any]]) -> None:
        models[0].update(sha256="1" * 64, weights="https://example.org/simclr.pth")

    (told,) = links(change, tmp_path)
    assert "does not end in the first 8 digits" in told


def test_links_that_are_paths_lead_to_files_whose_names_tell_their_content(tmp_path: Path) -> None:
    content = b"weights"
    right = hashlib.sha256(content).hexdigest()[:8]
    for name in (f"a-{right}.pth", "b-01234567.pth"):
        (tmp_path / name).write_bytes(content)

    def change(models: list[dict[str, Any]]) -> None:
        for model, path in zip(models, (f"a-{right}.pth", "b-01234567.pth", "c-01234567.pth"), strict=True):
            model["weights"] = path

    second, third = links(change, tmp_path)
    assert f"the content's sha256 begins with {right}, the name says 01234567" in second
    assert "it leads nowhere: c-01234567.pth" in third


def test_the_command_writes_nothing_and_tells_by_its_exit_status(builder: Any, tmp_path: Path) -> None:
    builder.finish()
    builder.run({"a": "simclr"})
    words = ["report", "--workspace", str(builder.workspace.root)]
    missing = CliRunner().invoke(app, [*words, "--check"])
    assert missing.exit_code == 1
    assert "results.csv: it is not there" in missing.stdout
    assert not builder.workspace.pages.exists()
    assert CliRunner().invoke(app, words).exit_code == 0
    right = CliRunner().invoke(app, [*words, "--check"])
    assert (right.exit_code, right.stdout) == (0, "every number is that of its record\n")
    path = builder.workspace.pages / "a.md"
    path.write_text(path.read_text().replace(" | ", " | 1", 1))
    wrong = CliRunner().invoke(app, [*words, "--check", "--json"])
    assert wrong.exit_code == 1
    assert '"where"' in wrong.stdout
