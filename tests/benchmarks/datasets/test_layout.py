from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets import layout, lists
from benchmarks.datasets.layout import (
    DATA_SETS,
    annotation_files,
    class_names,
    data_set,
    entries,
    missing_files,
    read_split,
    voc_classes,
)
from results.errors import HarnessError

Lists = Callable[[bytes, bytes], Path]
NO_FILES = {"imagenet", "places205", "inaturalist2018", "coco", "voc07_classification"}
MAIN = "VOCdevkit/VOC2007/ImageSets/Main"


def test_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(HarnessError, match="did you mean 'imagenet'"):
        data_set("imagnet")


def test_unknown_split_names_the_nearest(root: Path) -> None:
    with pytest.raises(HarnessError, match="did you mean 'trainval'"):
        read_split("voc07_classification", root, "trainvall")


def test_official_counts_add_up_to_published_totals() -> None:
    # Totals that papers give for the joined sets: VOC07+12 trainval 16,551 images, VOC12 with SBD 10,582.
    detection, segmentation = data_set("voc0712_detection").official, data_set("voc12aug_segmentation").official
    assert detection["voc07_trainval"] + detection["voc12_trainval"] == 16_551
    assert segmentation["train"] + segmentation["aug"] == 10_582


@pytest.mark.parametrize("name", DATA_SETS)
def test_official_counts_cover_every_split_and_the_classes(name: str) -> None:
    assert list(DATA_SETS[name].official) == [*DATA_SETS[name].splits, "classes"]


def test_read_split_keeps_the_order_of_the_list(labelled: Lists) -> None:
    root = labelled(b"b/2.JPEG 1\na/with space.JPEG 0\nb/1.JPEG 1\n", b"1.JPEG 0\n")
    found = read_split("imagenet", root, "train")
    assert [path.relative_to(root / "imagenet/train").as_posix() for path in found.paths] == [
        "b/2.JPEG",
        "a/with space.JPEG",
        "b/1.JPEG",
    ]
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [1, 0, 1]
    assert found.classes == ("a", "b")


def test_classes_reach_to_the_largest_label_of_any_split(labelled: Lists) -> None:
    root = labelled(b"n1/x.JPEG 1\nflat.JPEG 3\n", b"y.JPEG 5\n")
    for split in ("train", "val"):
        assert read_split("imagenet", root, split).classes == ("0", "n1", "2", "3", "4", "5")


def test_places_classes_bear_no_letter_of_the_folder(root: Path) -> None:
    assert class_names("places205", root)[:2] == ("abbey", "airport_terminal")


def test_windows_line_ends_are_read(labelled: Lists) -> None:
    root = labelled(b"a/x.JPEG 0\r\n", b"x.JPEG 0\r\n")
    assert read_split("imagenet", root, "train").paths == (root / "imagenet/train/a/x.JPEG",)


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"a/x.JPEG 0\na/y.JPEG\n", 2, "no label"),
        (b"a/x.JPEG 0\n\na/y.JPEG 0\n", 2, "is empty"),
        (b"a/x.JPEG 0\n\n", 2, "is empty"),
        (b"a/x.JPEG cat\n", 1, "not a whole number"),
        (b"a/x.JPEG 1.0\n", 1, "not a whole number"),
        (b"a/x.JPEG -1\n", 1, "not a whole number"),
        (b"a/x.JPEG 1_0\n", 1, "not a whole number"),
        ("a/x.JPEG ٣\n".encode(), 1, "not a whole number"),
        (b"a/x.JPEG 1000000\n", 1, "too large"),
        (b"a/x.JPEG " + b"9" * 6000 + b"\n", 1, "too large"),
        (b"a/x.JPEG 0\n../../etc/passwd 0\n", 2, "outside the data set"),
        (b"a/../../x.JPEG 0\n", 1, "outside the data set"),
        (b"/etc/passwd 0\n", 1, "outside the data set"),
        (b"a\\x.JPEG 0\n", 1, "outside the data set"),
        (b"a\0x.JPEG 0\n", 1, "outside the data set"),
        (b"a/x.JPEG 0\na/\xff.JPEG 0\n", 2, "not UTF-8"),
    ],
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_bad_list_is_named_with_its_line(labelled: Lists, split: str, content: bytes, line: int, what: str) -> None:
    good = b"a/x.JPEG 0\n"
    root = labelled(content, good) if split == "train" else labelled(good, content)
    with pytest.raises(HarnessError, match=what) as caught:
        read_split("imagenet", root, split)
    assert caught.value.where == f"{root}/imagenet/meta/{split}.txt:{line}"


def test_an_empty_list_is_named(labelled: Lists) -> None:
    with pytest.raises(HarnessError, match=r"train\.txt is empty"):
        read_split("imagenet", labelled(b"", b"x.JPEG 0\n"), "train")


def test_two_dots_inside_a_name_are_fine(labelled: Lists) -> None:
    root = labelled(b"a/x..JPEG 0\n", b"...JPEG 0\n")
    assert read_split("imagenet", root, "val").paths[0].name == "...JPEG"


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0\\\n\r", exclude_categories=["Cs"]), min_size=1),
    label=st.integers(0, lists.LABEL_LIMIT - 1),
)
def test_any_name_is_read_back_or_refused(name: str, label: int) -> None:
    try:
        assert lists.labelled_entry(Path("list"), 7, f"{name} {label}") == (name.rstrip(), label)
    except HarnessError:
        assert not name.strip() or name.startswith("/") or ".." in name.split("/")


def test_voc_labels(root: Path) -> None:
    names = (root / MAIN / "test.txt").read_text().split()
    flags = {"present": "1", "absent": "-1", "difficult": "0"}
    shown = {name: list(flags)[index % 3] for index, name in enumerate(names)}
    rows = [f"{name} {flags[shown[name]]:>2}" for name in reversed(names)]
    (root / MAIN / "bird_test.txt").write_text("\n".join(rows) + "\n")
    found = read_split("voc07_classification", root, "test")
    meaning = {"present": 1, "absent": 0, "difficult": -1}
    assert found.labels.dtype == np.int8
    assert found.labels.shape == (len(names), len(found.classes))
    assert found.labels[:, found.classes.index("bird")].tolist() == [meaning[shown[name]] for name in names]
    assert [path.name for path in found.paths] == [f"{name}.jpg" for name in names]


def test_voc_class_train_is_not_taken_for_a_split(root: Path) -> None:
    before = voc_classes(root)
    for split in ("train", "val", "trainval", "test"):
        (root / MAIN / f"train_{split}.txt").write_bytes((root / MAIN / f"cat_{split}.txt").read_bytes())
    assert len(before) == 10
    assert voc_classes(root) == (*before, "train")
    assert read_split("voc07_classification", root, "trainval").labels.shape[1] == 11


@pytest.mark.parametrize(
    ("row", "what"),
    [("000001 2", "is not"), ("000001", "is not"), ("000001 1 1", "is not"), ("../x 1", "outside"), ("a/b 1", "name")],
)
def test_a_bad_class_list_is_named_with_its_line(root: Path, row: str, what: str) -> None:
    path = root / MAIN / "cat_trainval.txt"
    path.write_text(f"{path.read_text()}{row}\n")
    with pytest.raises(HarnessError, match=what) as caught:
        read_split("voc07_classification", root, "trainval")
    assert caught.value.where.endswith(f"cat_trainval.txt:{len(path.read_text().splitlines())}")


def test_a_class_list_must_name_every_image_once(root: Path) -> None:
    path = root / MAIN / "cat_trainval.txt"
    rows = path.read_text().splitlines()
    path.write_text("\n".join(rows[1:]) + "\n")
    with pytest.raises(HarnessError, match=f"no line for image {rows[0].split()[0]}"):
        read_split("voc07_classification", root, "trainval")
    path.write_text("\n".join([*rows, rows[0]]) + "\n")
    with pytest.raises(HarnessError, match="a second time"):
        read_split("voc07_classification", root, "trainval")


def test_voc_without_class_lists_says_what_to_unpack(root: Path) -> None:
    for path in (root / MAIN).glob("*_*.txt"):
        path.unlink()
    with pytest.raises(HarnessError, match="no class lists"):
        read_split("voc07_classification", root, "test")
    assert missing_files("voc07_classification", root)[0] == f"{MAIN}/aeroplane_trainval.txt"


def test_data_without_labels_of_images_is_refused(root: Path) -> None:
    with pytest.raises(HarnessError, match="no labels of whole images"):
        read_split("cityscapes", root, "val")


@pytest.mark.parametrize("name", DATA_SETS)
def test_nothing_is_missing_from_a_whole_tree(name: str, root: Path) -> None:
    assert missing_files(name, root) == []


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_file_is_missed(name: str, root: Path) -> None:
    where = data_set(name).where
    needed = {path.relative_to(root).as_posix() for path in annotation_files(name, root)}
    needed |= {place.image.format(one) for split, place in where.items() for one in entries(name, root, split)}
    if name == "cityscapes":
        # The last image of a folder takes the split with it; one of each split stays.
        needed.discard("cityscapes/leftImg8bit/val/frankfurt/frankfurt_000000_000019_leftImg8bit.png")
    for path in needed:
        aside = (root / path).rename(root / "aside")
        assert missing_files(name, root) == [path]
        aside.rename(root / path)


@pytest.mark.parametrize("name", DATA_SETS)
def test_nowhere_lists_come_first(name: str, tmp_path: Path) -> None:
    missing = missing_files(name, tmp_path / "nowhere")
    assert missing
    assert missing == [path for path in layout.list_files(name, tmp_path) if path in missing]


def test_lists_annotations_images_in_this_order_up_to_the_limit(root: Path) -> None:
    (root / "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt").unlink()
    for folder in ("Annotations", "JPEGImages"):
        for path in sorted((root / "VOCdevkit/VOC2007" / folder).iterdir())[:2]:
            path.unlink()
    expected = [
        "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt",
        "VOCdevkit/VOC2007/Annotations/000001.xml",
        "VOCdevkit/VOC2007/Annotations/000002.xml",
        "VOCdevkit/VOC2007/JPEGImages/000001.jpg",
        "VOCdevkit/VOC2007/JPEGImages/000002.jpg",
    ]
    assert missing_files("voc0712_detection", root) == expected
    assert missing_files("voc0712_detection", root, limit=3) == expected[:3]


def test_a_large_split_is_looked_at_evenly(labelled: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "EVERY_IMAGE_UP_TO", 100)
    monkeypatch.setattr(layout, "SPACED_IMAGES", 5)
    root = labelled(b"".join(b"%d.JPEG 0\n" % number for number in range(101)), b"0.JPEG 0\n")
    (root / "imagenet/val").mkdir()
    (root / "imagenet/val/0.JPEG").touch()
    assert missing_files("imagenet", root) == [f"imagenet/train/{number}.JPEG" for number in (0, 25, 50, 75, 100)]
    assert len(entries("imagenet", root, "train")) == 101


def test_an_impossible_name_is_missing_not_a_crash(labelled: Lists) -> None:
    name = "a" * 5000
    assert missing_files("imagenet", labelled(f"{name} 0\n".encode(), b"x 0\n"))[0] == f"imagenet/train/{name}"


def test_a_folder_in_place_of_a_list(root: Path) -> None:
    (root / "imagenet/meta/val.txt").unlink()
    (root / "imagenet/meta/val.txt").mkdir()
    with pytest.raises(HarnessError, match=r"cannot read val\.txt"):
        missing_files("imagenet", root)


def test_coco_names_are_those_of_the_json(root: Path) -> None:
    path = root / "coco/annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = 'quote " and \\u00e9 é.jpg'.replace("\\", "")
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False, indent=1)):
        path.write_text(text)
        assert entries("coco", root, "val") == [one["file_name"] for one in content["images"]]


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", ""])
def test_coco_names_stay_below_their_folder(root: Path, name: str) -> None:
    path = root / "coco/annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(HarnessError, match=r"instances_val2017\.json names"):
        missing_files("coco", root)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"images": []}', b'{"file_name": "\\x"}'])
def test_coco_json_without_images(root: Path, content: bytes) -> None:
    (root / "coco/annotations/instances_val2017.json").write_bytes(content)
    with pytest.raises(HarnessError, match=r"instances_val2017\.json"):
        entries("coco", root, "val")


def test_cityscapes_image_or_mask_alone_shows(root: Path) -> None:
    image = "cityscapes/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    mask = "cityscapes/gtFine/train/aachen/aachen_000001_000019_gtFine_labelTrainIds.png"
    (root / image).unlink()
    (root / mask).unlink()
    assert missing_files("cityscapes", root) == [mask, image]
    with pytest.raises(HarnessError, match="no images"):
        entries("cityscapes", root / "coco", "train")


@pytest.mark.parametrize("name", DATA_SETS)
def test_annotation_files_are_sorted_and_there(name: str, root: Path) -> None:
    files = [path.relative_to(root).as_posix() for path in annotation_files(name, root)]
    assert files == sorted(set(files))
    assert all(os.path.isfile(root / path) for path in files)
    assert any(path.endswith((".xml", ".png")) for path in files) == (name not in NO_FILES)
