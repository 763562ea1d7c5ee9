from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets.check import NAMED, check
from benchmarks.datasets.layout import DATA_SETS
from results.errors import HarnessError

XML = "VOCdevkit/VOC2007/Annotations/000003.xml"
JSON = "coco/annotations/instances_train2017.json"
MASK = "VOCdevkit/VOC2012/SegmentationClass/2008_000001.png"


def broken(name: str, root: Path, decode: bool = True) -> str:
    """The only fault of a data set."""
    report = check(name, root, decode)
    assert (report.missing, report.broken_count) == ((), 1), report.broken
    assert not report.sound
    return report.broken[0]


def image(root: Path, split: str = "train") -> Path:
    return sorted((root / "imagenet" / split).rglob("*.JPEG"))[0]


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_sound_tree(name: str, root: Path) -> None:
    report = check(name, root, decode=True)
    assert report.sound
    assert set(report.counts) == set(report.official)
    assert report.images == sum(count for split, count in report.counts.items() if split != "classes")
    assert report.nonstandard
    assert report.short_edges is not None
    assert json.loads(json.dumps(report.to_dict()))["sound"] is True


@pytest.mark.parametrize("name", DATA_SETS)
def test_nothing_there(name: str, tmp_path: Path) -> None:
    report = check(name, tmp_path, decode=True)
    assert report.missing_count > 0
    assert not report.broken
    assert not report.sound
    assert report.counts.get("classes") is None


def test_unknown_data_set(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="did you mean"):
        check("imagnet", tmp_path, decode=True)


def test_a_missing_image(root: Path) -> None:
    path = image(root)
    path.unlink()
    report = check("imagenet", root, decode=True)
    assert report.missing == (path.relative_to(root).as_posix(),)
    assert not report.broken


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (cut, "cannot be decoded"),
        (lambda data: b"", "empty file"),
        (lambda data: b"<html>404</html>" * 50, "cannot be decoded"),
        (lambda data: b"\0" * len(data), "cannot be decoded"),
        (lambda data: data[:20], "cannot be decoded"),
    ],
)
def test_a_corrupt_image_is_named(root: Path, spoil: Callable[[bytes], bytes], what: str) -> None:
    path = image(root)
    path.write_bytes(spoil(path.read_bytes()))
    assert broken("imagenet", root).startswith(f"{path.relative_to(root)}: {what}")


def test_a_truncated_png_is_named(root: Path) -> None:
    path = sorted((root / "cityscapes/leftImg8bit/val").rglob("*.png"))[0]
    path.write_bytes(cut(path.read_bytes()))
    assert "cannot be decoded" in broken("cityscapes", root)


def test_without_decoding_only_empty_files_show(root: Path) -> None:
    path = image(root)
    path.write_bytes(cut(path.read_bytes()))
    image(root, "val").write_bytes(b"")
    assert "empty file" in broken("imagenet", root, decode=False)
    assert check("imagenet", root, decode=False).short_edges is None


def test_many_faults_are_counted_and_some_named(root: Path) -> None:
    for path in (root / "VOCdevkit/VOC2007/JPEGImages").iterdir():
        path.write_bytes(b"")
    report = check("voc07_classification", root, decode=True)
    assert len(report.broken) == NAMED
    assert report.broken_count == 36


def test_a_bad_list_does_not_hide_the_rest(root: Path) -> None:
    with (root / "imagenet/meta/val.txt").open("a") as stream:
        stream.write("x.JPEG\n")
    path = image(root)
    path.unlink()
    report = check("imagenet", root, decode=True)
    assert report.missing == (path.relative_to(root).as_posix(),)
    assert report.broken == ("imagenet/meta/val.txt:11: line 11 of val.txt has no label",)
    assert dict(report.counts) == {"train": 20}


def test_an_image_in_two_splits(root: Path) -> None:
    with (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/aug.txt").open("a") as stream:
        stream.write("2008_000001\n")
    found = broken("voc12aug_segmentation", root)
    assert found == "VOCdevkit/VOC2012/JPEGImages/2008_000001.jpg: in train and aug"


def test_an_image_listed_twice(root: Path) -> None:
    path = root / "imagenet/meta/train.txt"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    assert broken("imagenet", root).endswith("listed twice in train")


def test_a_folder_with_two_labels(root: Path) -> None:
    path = root / "Places205/trainvalsplit_places205/train_places205.csv"
    path.write_text(path.read_text().replace("00002.jpg 3\n", "00002.jpg 4\n"))
    assert broken("places205", root).endswith("folder a/amphitheater has the labels 3 and 4")


def test_a_label_without_training_images(root: Path) -> None:
    path = root / "iNaturalist2018/meta/val.txt"
    image_path = root / "iNaturalist2018/train_val2018/Plantae/77/val.jpg"
    image_path.parent.mkdir()
    shutil.copy(image(root), image_path)
    path.write_text(path.read_text() + "Plantae/77/val.jpg 77\n")
    assert broken("inaturalist2018", root) == "iNaturalist2018/meta/val.txt: label 77 has no image in train"


def test_a_bad_class_list(root: Path) -> None:
    path = root / "VOCdevkit/VOC2007/ImageSets/Main/cow_test.txt"
    path.write_text(path.read_text().replace("-1", "-2", 1))
    assert "cow_test.txt:" in broken("voc07_classification", root)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("</annotation>", "", "is not XML"),
        ("<width>96", "<width>97", "says 97x96, its image is 96x96"),
        ("<width>96", "<width>wide", "gives no size"),
        ("<xmin>", "<xmin>x", "object 1 has no box"),
        ("<xmin>", "<xmin>9", "outside its image or turned over"),
        ("<ymax>", "<ymax>nan", "has no box"),
        ("<name>", "<name>z", "is of an unknown class: 'z"),
        ("<difficult>0", "<difficult>yes", "neither difficult nor not"),
    ],
)
def test_a_broken_xml(root: Path, old: str, new: str, what: str) -> None:
    path = root / XML
    path.write_text(path.read_text().replace(old, new, 1))
    found = broken("voc0712_detection", root)
    assert found.startswith(f"{XML}: ")
    assert what in found


def test_a_missing_xml(root: Path) -> None:
    (root / XML).unlink()
    assert check("voc0712_detection", root, decode=True).missing == (XML,)


def change(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["annotations"][0].update(values)


CROWD = {"size": [96, 160], "counts": [96 * 160 - 1]}


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (change(image_id=10**6), "belongs to no image"),
        (change(image_id=[]), "is incomplete"),
        (change(category_id=11), "is of no category"),
        (change(bbox=[1, 2, -3, 4]), "has no proper box"),
        (change(bbox=[1, 2, float("nan"), 4]), "has no proper box"),
        (change(bbox=[1, 2, 3]), "is incomplete"),
        (change(segmentation=[[1, 2, 3, 4, 5]]), "odd number"),
        (change(segmentation=[]), "has no mask"),
        (change(segmentation=CROWD), "do not fill"),
        (change(segmentation={**CROWD, "size": [1, 2]}), "another size"),
        (lambda content: content["annotations"].append(content["annotations"][0]), "used before"),
        (lambda content: content["annotations"].append(7), "is incomplete"),
        (lambda content: content["annotations"][0].pop("bbox"), "is incomplete"),
        (lambda content: content["images"][0].update(width=161), "it is 160x96"),
        (lambda content: content["categories"].append({"id": 11, "name": "fire hydrant"}), "11 categories"),
        (lambda content: content["images"].append({**content["images"][0], "file_name": "x.jpg"}), "an id twice"),
        (lambda content: content.pop("annotations"), "is not a COCO annotation file"),
    ],
)
def test_a_broken_json(root: Path, spoil: Callable[[dict[str, Any]], object], what: str) -> None:
    shutil.copy(root / "coco/train2017/000000000001.jpg", root / "coco/train2017/x.jpg")
    content = json.loads((root / JSON).read_text())
    spoil(content)
    (root / JSON).write_text(json.dumps(content))
    found = broken("coco", root)
    assert found.startswith(f"{JSON}: ")
    assert what in found


def test_a_truncated_json(root: Path) -> None:
    content = json.loads((root / JSON).read_text())
    order = ("info", "images", "categories", "annotations")
    (root / JSON).write_text(json.dumps({part: content[part] for part in order})[:-100])
    assert any("is not a COCO annotation file" in one for one in check("coco", root, decode=True).broken)


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (np.zeros((96, 96, 3), np.uint8), "colour image"),
        (np.zeros((96, 97), np.uint8), "is 97x96, its image 96x96"),
        (np.full((96, 96), 21, np.uint8), "labels that are no class: 21"),
    ],
)
def test_a_broken_mask(root: Path, labels: np.ndarray[Any, Any], what: str) -> None:
    Image.fromarray(labels).save(root / MASK)
    found = broken("voc12aug_segmentation", root)
    assert found.startswith(f"{MASK}: ")
    assert what in found


def test_a_truncated_mask(root: Path) -> None:
    (root / MASK).write_bytes(cut((root / MASK).read_bytes()))
    assert "cannot be decoded" in broken("voc12aug_segmentation", root)
