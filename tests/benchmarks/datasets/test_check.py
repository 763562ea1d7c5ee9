from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets.check import NAMED, check
from benchmarks.datasets.faults import voc_colour
from benchmarks.datasets.layout import DATA_SETS
from results.errors import HarnessError

XML = "VOCdevkit/VOC2007/Annotations/000003.xml"
LIST = "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt"
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
    assert report.missing == (f"{path.relative_to(root)}, listed in imagenet/meta/train.txt:1",)
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
    assert report.missing == (f"{path.relative_to(root)}, listed in imagenet/meta/train.txt:1",)
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
    line = next(number for number, one in enumerate(path.read_text().splitlines(), 1) if one.endswith("00002.jpg 4"))
    assert broken("places205", root) == f"{path.relative_to(root)}:{line}: folder a/amphitheater has the labels 3 and 4"


def test_a_label_without_training_images(root: Path) -> None:
    path = root / "iNaturalist2018/meta/val.txt"
    image_path = root / "iNaturalist2018/train_val2018/Plantae/77/val.jpg"
    image_path.parent.mkdir()
    shutil.copy(image(root), image_path)
    path.write_text(path.read_text() + "Plantae/77/val.jpg 77\n")
    assert broken("inaturalist2018", root) == "iNaturalist2018/meta/val.txt:11: label 77 has no image in train"


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
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    found = broken("voc0712_detection", root)
    assert found.startswith(f"{XML}: ")
    assert what in found


@pytest.mark.parametrize(("from_side", "to_side"), [("xmin", "xmax"), ("ymin", "ymax")])
def test_a_box_of_size_zero_is_named_with_its_line(root: Path, from_side: str, to_side: str) -> None:
    path = root / XML
    text = path.read_text()
    value = re.search(f"<{from_side}>([0-9]+)<", text)[1]  # type: ignore[index]
    path.write_text(re.sub(f"<{to_side}>[0-9]+<", f"<{to_side}>{value}<", text, count=1))
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "<object>" in one)
    assert broken("voc0712_detection", root).startswith(f"{XML}: line {line}: object 1 has a box of size zero: [")
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1", 1))
    assert check("voc0712_detection", root, decode=True).sound


def test_the_two_flat_boxes_of_coco_2017_are_no_fault(root: Path) -> None:
    content = json.loads((root / JSON).read_text())
    old = content["annotations"][0]["image_id"]
    content["annotations"][0]["bbox"][3] = 0
    for one in (*content["images"], *content["annotations"]):
        key = "id" if "file_name" in one else "image_id"
        one[key] = 200365 if one[key] == old else one[key]
    (root / JSON).write_text(json.dumps(content))
    assert check("coco", root, decode=True).sound


def test_a_label_out_of_range_is_named_with_its_line(root: Path) -> None:
    path = root / "imagenet/meta/val.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[4].rpartition(" ")[0] + " 1000", *lines[5:]]) + "\n")
    found = check("imagenet", root, decode=False).broken
    assert "imagenet/meta/val.txt:5: label 1000 is out of range: 1,000 classes have the labels 0 to 999" in found


def test_a_gap_in_the_labels_is_named(root: Path) -> None:
    path = root / "iNaturalist2018/meta/train.txt"
    lines = path.read_text().splitlines()
    image_path = root / "iNaturalist2018/train_val2018/Plantae/77/train.jpg"
    image_path.parent.mkdir()
    shutil.copy(image(root), image_path)
    path.write_text("\n".join([*lines, "Plantae/77/train.jpg 77"]) + "\n")
    found = broken("inaturalist2018", root)
    assert found.startswith(f"iNaturalist2018/meta/train.txt:{len(lines) + 1}: labels run to 77, but 67 below have no")


@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("imagenet", "imagenet/meta/train.txt"),
        ("inaturalist2018", "iNaturalist2018/meta/val.txt"),
        ("voc07_classification", "VOCdevkit/VOC2007/ImageSets/Main/test.txt"),
    ],
)
def test_a_missing_list_entry_is_named(root: Path, name: str, listing: str) -> None:
    path = root / listing
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    lost = lines[-1].partition(" ")[0].rpartition("/")[2]
    report = check(name, root, decode=True)
    assert report.unlisted_count == 1
    (found,) = report.unlisted
    assert listing in found
    assert lost in found


def test_an_image_without_entry_in_the_json_is_named(root: Path) -> None:
    shutil.copy(root / "coco/train2017/000000000001.jpg", root / "coco/train2017/x.jpg")
    report = check("coco", root, decode=True)
    assert report.unlisted == (f"{JSON}: no entry for coco/train2017/x.jpg, which lies there",)
    assert report.sound


def test_a_json_without_images(root: Path) -> None:
    content = json.loads((root / JSON).read_text())
    (root / JSON).write_text(json.dumps({**content, "images": []}))
    assert f"{JSON}: instances_train2017.json lists no images" in check("coco", root, decode=True).broken


def test_an_empty_split(root: Path) -> None:
    (root / "imagenet/meta/val.txt").write_text("")
    assert broken("imagenet", root) == "imagenet/meta/val.txt: val.txt is empty"


def test_progress_ends_within_the_files(root: Path) -> None:
    told: list[tuple[int, int]] = []
    check("voc0712_detection", root, True, lambda done, total: told.append((done, total)))
    assert told
    assert all(done <= total for done, total in told)


def test_a_missing_xml(root: Path) -> None:
    (root / XML).unlink()
    assert check("voc0712_detection", root, decode=True).missing == (f"{XML}, listed in {LIST}:3",)


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
        (change(bbox=[1, 2, 0, 4]), "has a box of size zero"),
        (change(bbox=[1, 2, 3, 0]), "has a box of size zero"),
        (change(bbox=[1, 2, 0, 0]), "has a box of size zero"),
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
    content = json.loads((root / JSON).read_text())
    spoil(content)
    (root / JSON).write_text(json.dumps(content))
    if "x.jpg" in (root / JSON).read_text():
        shutil.copy(root / "coco/train2017/000000000001.jpg", root / "coco/train2017/x.jpg")
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


def resave(root: Path, colours: list[int]) -> None:
    """Saves the mask anew with the same labels and another palette."""
    labels = np.asarray(Image.open(root / MASK))
    mask = Image.fromarray(labels)
    mask.putpalette(colours)
    mask.save(root / MASK)


def test_a_wrong_palette(root: Path) -> None:
    """What remains of labels where a tool sorts the colours: the same picture, other indices."""
    colours = [value for label in range(256) for value in voc_colour((label + 1) % 256)]
    resave(root, colours)
    assert broken("voc12aug_segmentation", root) == (
        f"{MASK}: has a palette that is not VOC's: label 0 is (128, 0, 0), not (0, 0, 0)"
    )


def test_a_palette_of_greys_says_the_label_itself(root: Path) -> None:
    resave(root, [label for label in range(256) for _ in range(3)])
    assert check("voc12aug_segmentation", root, decode=True).sound


def test_colours_of_voc() -> None:
    """From the development kit: aeroplane, cat, tvmonitor and the void."""
    assert [voc_colour(label) for label in (1, 8, 20, 255)] == [
        (128, 0, 0), (64, 0, 0), (0, 64, 128), (224, 224, 192)
    ]  # fmt: skip


def test_a_truncated_mask(root: Path) -> None:
    (root / MASK).write_bytes(cut((root / MASK).read_bytes()))
    assert "cannot be decoded" in broken("voc12aug_segmentation", root)
