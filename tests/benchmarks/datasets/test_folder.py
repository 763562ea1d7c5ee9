"""A folder of anybody's images: what is found, held out, and refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.datasets.check import check
from benchmarks.datasets.fingerprint import fingerprint
from benchmarks.datasets.folder import read_folder
from benchmarks.datasets.layout import class_names, entries, missing_files, read_split
from results.errors import HarnessError


def put(root: Path, *paths: str) -> Path:
    """Writes small images."""
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (number, 0, 0)).save(root / path, format="PNG")
    return root


def many(top: str = "") -> list[str]:
    return [f"{top}{name}/{number:02}.png" for name in ("cat", "dog") for number in range(10)]


def test_both_splits_are_read_with_the_labels_of_the_training_folders(tmp_path: Path) -> None:
    put(tmp_path, "train/dog/b.png", "train/cat/a.JPG", "train/cat/deep/er.webp", "val/dog/c.png")
    images = read_split("folder", tmp_path, "train")
    assert images.classes == class_names("folder", tmp_path) == ("cat", "dog")
    assert entries("folder", tmp_path, "train") == ["train/cat/a.JPG", "train/cat/deep/er.webp", "train/dog/b.png"]
    assert images.labels.tolist() == [0, 0, 1]
    assert read_split("folder", tmp_path, "val").labels.tolist() == [1]
    assert missing_files("folder", tmp_path) == []


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "train/dog/b.png", "train/cat/a.png", "val/dog/c.png", "train/cat/.hidden.png", "train/.cache/a.png")
    (tmp_path / "train/cat/Thumbs.db").write_text("")
    (tmp_path / "train/labels.csv").write_text("")
    assert entries("folder", tmp_path, "train") == ["train/cat/a.png", "train/dog/b.png"]


def test_without_val_a_fifth_of_each_class_is_held_out_the_same_everywhere(tmp_path: Path) -> None:
    flat, split = put(tmp_path / "flat", *many()), put(tmp_path / "split", *many("train/"))
    found = read_folder(flat)
    assert found.is_held_out
    assert [label for _, label in found.images["val"]] == [0, 0, 1, 1]
    assert not set(found.images["val"]) & set(found.images["train"])
    inside = {name: [(f"train/{path}", label) for path, label in images] for name, images in found.images.items()}
    assert {name: list(images) for name, images in read_folder(split).images.items()} == inside
    drawn = {
        name: sorted(
            (path for path in many() if path.startswith(name)),
            key=lambda path: hashlib.sha256(b"transfer-harness folder 0\0" + path.encode()).hexdigest(),
        )
        for name in ("cat", "dog")
    }
    assert [path for path, _ in found.images["val"]] == [*sorted(drawn["cat"][:2]), *sorted(drawn["dog"][:2])]


def test_one_image_more_moves_at_most_one_other(tmp_path: Path) -> None:
    before = {path for path, _ in read_folder(put(tmp_path, *many())).images["val"]}
    after = {path for path, _ in read_folder(put(tmp_path, "cat/new.png")).images["val"]}
    assert len(before - after) <= 1


def test_names_may_hold_what_file_systems_allow(tmp_path: Path) -> None:
    names = ["a b.png", "{}.png", "line\nbreak.png", "back\\slash.png", "$(touch x).png", "é.png", "-rf.png"]
    put(tmp_path, *(f"train/{{0}} 'x'/{name}" for name in names), "train/dog/a.png", "val/dog/a.png")
    images = read_split("folder", tmp_path, "train")
    assert sorted(path.name for path in images.paths if path.parent.name != "dog") == sorted(names)
    assert all(path.is_file() for path in images.paths)
    assert missing_files("folder", tmp_path) == []
    assert fingerprint("folder", tmp_path, tmp_path / "cache").counts == {"train": 8, "val": 1, "classes": 2}
    assert check("folder", tmp_path, decode=True).sound


@pytest.mark.parametrize(
    ("paths", "folders", "said"),
    [
        ([], [], "two classes or more, here are 0"),
        (["train/cat/a.png", "val/cat/a.png"], [], "two classes or more, here are 1"),
        (["train/cat/a.png", "val/cat/a.png"], ["train/dog"], "1 of 2 classes have no image to train on: dog"),
        (["train/cat/a.png", "train/dog/a.png", "val/bird/a.png"], [], "classes that train/ lacks: bird"),
        (["train/cat/a.png", "train/dog/a.png"], ["val"], "no image to measure on"),
        (["cat/a.png", "dog/a.png"], [], "no image to measure on"),
        (["val/cat/a.png", "val/dog/a.png"], [], "there is val/ and no train/"),
    ],
)
def test_a_folder_that_cannot_be_measured_on_is_refused(
    tmp_path: Path, paths: list[str], folders: list[str], said: str
) -> None:
    put(tmp_path, *paths)
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(HarnessError, match=said) as refused:
        read_folder(tmp_path)
    assert str(tmp_path) in refused.value.where
    assert refused.value.mend


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot read the folder"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [b"train/cat/\xff.png", b"train/\xff/a.png"])
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, name: bytes) -> None:
    put(tmp_path, "train/cat/a.png", "train/dog/a.png", "val/dog/a.png")
    path = os.fsencode(tmp_path) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(b"x")
    with pytest.raises(HarnessError, match=r"not UTF-8: .*\\udcff"):
        read_folder(tmp_path)


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    put(tmp_path, *many())
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    assert len(read_folder(tmp_path).images["train"]) == 16


def test_the_fingerprint_follows_names_labels_and_sizes(tmp_path: Path) -> None:
    root = put(tmp_path / "images", *many())

    def stamp() -> str:
        return fingerprint("folder", root, tmp_path / "cache").fingerprint

    first = stamp()
    assert stamp() == first
    (root / "cat/00.png").write_bytes(b"another size")
    resized = stamp()
    (root / "cat/00.png").rename(root / "dog/77.png")
    moved = stamp()
    (root / "dog").rename(root / "wolf")
    assert len({first, resized, moved, stamp()}) == 4


def test_an_unreadable_image_is_found_by_data_check(tmp_path: Path) -> None:
    put(tmp_path, *many())
    (tmp_path / "cat/00.png").write_bytes(b"no image")
    (tmp_path / "dog/01.png").write_bytes(b"")
    report = check("folder", tmp_path, decode=True)
    assert not report.sound
    assert {fault.partition(":")[0] for fault in report.broken} == {"cat/00.png", "dog/01.png"}
