"""``data check`` on damaged copies: each fault named with its file, and its line where it has lines; exit status 2."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from benchmarks.datasets.faults import voc_colour
from benchmarks.datasets.layout import DATA_SETS, entries
from harness.cli.data import app

HOMES = {
    "imagenet": "imagenet",
    "places205": "Places205",
    "inaturalist2018": "iNaturalist2018",
    "coco": "coco",
    "cityscapes": "cityscapes",
    "voc07_classification": "VOCdevkit/VOC2007",
    "voc0712_detection": "VOCdevkit",
    "voc12aug_segmentation": "VOCdevkit/VOC2012",
}
"""What a data set needs of the data root."""

Damage = Callable[[Path], list[str]]
"""Damages a copy and returns what must be said of it."""


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def missing_list_entry(root: Path) -> list[str]:
    path = root / "imagenet/meta/train.txt"
    *lines, last = lines_of(path)
    write_lines(path, lines)
    return [f"in no list: imagenet/meta/train.txt: no entry for imagenet/train/{last.split()[0]}, which lies there"]


def missing_entry_of_a_class_list(root: Path) -> list[str]:
    path = root / "VOCdevkit/VOC2007/ImageSets/Main/cow_test.txt"
    *lines, last = lines_of(path)
    write_lines(path, lines)
    return [f"VOCdevkit/VOC2007/ImageSets/Main/cow_test.txt: cow_test.txt has no line for image {last.split()[0]}"]


def entry_without_image(root: Path) -> list[str]:
    path = root / "iNaturalist2018/meta/val.txt"
    lines = lines_of(path)
    name = lines[2].split()[0]
    (root / "iNaturalist2018/train_val2018" / name).unlink()
    return [f"missing: iNaturalist2018/train_val2018/{name}, listed in iNaturalist2018/meta/val.txt:3"]


def truncated_jpeg(root: Path) -> list[str]:
    name = entries("coco", root, "val")[1]
    path = root / "coco/val2017" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return [f"broken: coco/val2017/{name}: cannot be decoded"]


def label_out_of_range(root: Path) -> list[str]:
    path = root / "Places205/trainvalsplit_places205/val_places205.csv"
    lines = lines_of(path)
    write_lines(path, [*lines[:4], f"{lines[4].rpartition(' ')[0]} 205", *lines[5:]])
    return ["val_places205.csv:5: label 205 is out of range: 205 classes have the labels 0 to 204"]


def label_that_is_no_number(root: Path) -> list[str]:
    path = root / "imagenet/meta/val.txt"
    lines = lines_of(path)
    write_lines(path, [*lines[:6], f"{lines[6].rpartition(' ')[0]} -1", *lines[7:]])
    return ["imagenet/meta/val.txt:7: line 7 of val.txt has a label that is not a whole number from 0 on: '-1'"]


def empty_split(root: Path) -> list[str]:
    (root / "imagenet/meta/val.txt").write_bytes(b"")
    return ["imagenet/meta/val.txt: val.txt is empty"]


def empty_split_of_folders(root: Path) -> list[str]:
    for part in ("leftImg8bit", "gtFine"):
        shutil.rmtree(root / "cityscapes" / part / "val")
        (root / "cityscapes" / part / "val").mkdir()
    return ["cityscapes/leftImg8bit/val: no images *_leftImg8bit.png"]


def box_of_size_zero(root: Path) -> list[str]:
    path = root / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][3]["bbox"][2:] = [0, 0]
    path.write_text(json.dumps(content))
    identity = content["annotations"][3]["id"]
    return [f"coco/annotations/instances_train2017.json: annotation {identity} has a box of size zero"]


def box_of_size_zero_in_xml(root: Path) -> list[str]:
    folder = root / "VOCdevkit/VOC2007/Annotations"
    path = next(one for one in sorted(folder.glob("*.xml")) if "<difficult>0" in one.read_text())
    text = path.read_text()
    objects = re.finditer(r"<object>.*?</object>", text, re.DOTALL)
    begin = next(match.start() for match in objects if "<difficult>0" in match[0])
    left = re.search(r"<xmin>([\d.]+)<", text[begin:])[1]  # type: ignore[index]
    path.write_text(text[:begin] + re.sub(r"<xmax>[\d.]+<", f"<xmax>{left}<", text[begin:], count=1))
    line = text.count("\n", 0, begin) + 1
    return [f"VOCdevkit/VOC2007/Annotations/{path.name}: line {line}: object ", " has a box of size zero"]


def json_without_images(root: Path) -> list[str]:
    path = root / "coco/annotations/instances_val2017.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": []}))
    return ["coco/annotations/instances_val2017.json: instances_val2017.json lists no images"]


def json_whose_images_are_gone(root: Path) -> list[str]:
    name = entries("coco", root, "val")[0]
    shutil.rmtree(root / "coco/val2017")
    return [f"missing: coco/val2017/{name}, listed in coco/annotations/instances_val2017.json"]


def wrong_palette(root: Path) -> list[str]:
    name = entries("voc12aug_segmentation", root, "val")[0]
    path = root / f"VOCdevkit/VOC2012/SegmentationClass/{name}.png"
    mask = Image.fromarray(np.asarray(Image.open(path)))
    mask.putpalette([value for label in range(256) for value in voc_colour((label + 1) % 256)])
    mask.save(path)
    return [f"VOCdevkit/VOC2012/SegmentationClass/{name}.png: has a palette that is not VOC's"]


def mask_in_colours(root: Path) -> list[str]:
    name = entries("voc12aug_segmentation", root, "aug")[0]
    path = root / f"VOCdevkit/VOC2012/SegmentationClassAug/{name}.png"
    Image.open(path).convert("RGB").save(path)
    return [f"VOCdevkit/VOC2012/SegmentationClassAug/{name}.png: is a colour image, not a map of labels"]


def ids_instead_of_train_ids(root: Path) -> list[str]:
    path = sorted((root / "cityscapes/gtFine/train").rglob("*_gtFine_labelIds.png"))[0]
    target = path.with_name(path.name.replace("labelIds", "labelTrainIds"))
    shutil.copy(path, target)
    return [f"{target.relative_to(root)}: has labels that are no class: "]


DAMAGES: list[tuple[str, Damage]] = [
    ("voc07_classification", missing_entry_of_a_class_list),
    ("inaturalist2018", entry_without_image),
    ("coco", truncated_jpeg),
    ("places205", label_out_of_range),
    ("imagenet", label_that_is_no_number),
    ("imagenet", empty_split),
    ("cityscapes", empty_split_of_folders),
    ("coco", box_of_size_zero),
    ("voc0712_detection", box_of_size_zero_in_xml),
    ("coco", json_without_images),
    ("coco", json_whose_images_are_gone),
    ("voc12aug_segmentation", wrong_palette),
    ("voc12aug_segmentation", mask_in_colours),
    ("cityscapes", ids_instead_of_train_ids),
]
EACH = pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=[damage.__name__ for _, damage in DAMAGES])


def check(name: str, root: Path, flag: str = "--allow-nonstandard-data") -> Result:
    return CliRunner().invoke(app, ["check", "--data", str(root), "--suite", name, *([flag] if flag else [])])


def refuse(name: str, root: Path, damage: Damage) -> None:
    said = damage(root)
    found = check(name, root)
    assert found.exit_code == 2, found.output
    line = next((one for one in found.stdout.splitlines() if said[0] in one), None)
    assert line is not None, (said, found.stdout)
    assert all(part in line for part in said)
    assert "mend: " in found.stdout


@EACH
def test_a_damaged_copy_of_the_sample(name: str, damage: Damage, root: Path) -> None:
    assert check(name, root).exit_code == 0
    refuse(name, root, damage)


def refuse_missing_list_entry(root: Path) -> None:
    """Without the flag a fault; with it a remark, since a list of a tenth may lie beside the whole folder."""
    (said,) = missing_list_entry(root)
    refused = check("imagenet", root, flag="")
    assert refused.exit_code == 2
    assert said in refused.stdout
    assert "1 in no list" in refused.stdout
    assert "mend: take the whole list" in refused.stdout
    allowed = check("imagenet", root)
    assert allowed.exit_code == 0
    assert said in allowed.stdout
    assert "ok, 1 in no list, not the official counts" in allowed.stdout
    assert "mend" not in allowed.stdout


def test_a_missing_list_entry_in_a_copy_of_the_sample(root: Path) -> None:
    refuse_missing_list_entry(root)


def test_a_part_of_a_list_beside_the_whole_folder(root: Path) -> None:
    """One image of each class, as lists of one and ten percent are made."""
    path = root / "imagenet/meta/train.txt"
    lines = lines_of(path)
    kept = list({line.rpartition(" ")[2]: line for line in lines}.values())
    write_lines(path, kept)
    found = check("imagenet", root)
    left_out = len(lines) - len(kept)
    assert found.exit_code == 0, found.output
    assert f"ok, {left_out} in no list" in found.stdout
    assert found.stdout.count("imagenet: in no list: imagenet/meta/train.txt: no entry for") == min(left_out, 20)


@pytest.fixture(scope="module")
def real() -> Path:
    given = os.environ.get("TRANSFER_TEST_DATA")
    if not given:
        pytest.skip("TRANSFER_TEST_DATA names no folder of real photographs in the official layouts")
    return Path(given)


@pytest.mark.parametrize("name", DATA_SETS)
def test_real_photographs_are_sound(name: str, real: Path) -> None:
    start = time.monotonic()
    assert check(name, real).exit_code == 0
    assert time.monotonic() - start < 30


def copy(real: Path, name: str, folder: Path) -> None:
    shutil.copytree(real / HOMES[name], folder / HOMES[name], copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@EACH
def test_a_damaged_copy_of_real_photographs(name: str, damage: Damage, real: Path, tmp_path: Path) -> None:
    copy(real, name, tmp_path)
    refuse(name, tmp_path, damage)


def test_a_missing_list_entry_in_a_copy_of_real_photographs(real: Path, tmp_path: Path) -> None:
    copy(real, "imagenet", tmp_path)
    refuse_missing_list_entry(tmp_path)
