from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from benchmarks.datasets.check import check
from benchmarks.datasets.layout import DATA_SETS, class_names, entries, missing_files, read_split
from benchmarks.datasets.sample import MANIFEST, VERSION, make, make_sample
from benchmarks.datasets.sample.digits import load, pool
from benchmarks.datasets.sample.outlines import polygons, run_lengths
from benchmarks.datasets.sample.tree import Tree
from benchmarks.datasets.sample.voc import palette
from results.errors import HarnessError

LEARNED = {"train", "trainval", "aug", "voc07_trainval", "voc12_trainval"}
VOC07, VOC12 = "VOCdevkit/VOC2007", "VOCdevkit/VOC2012"


def manifest(root: Path) -> dict[str, dict[str, list[int]]]:
    digits: dict[str, dict[str, list[int]]] = json.loads((root / MANIFEST).read_text())["digits"]
    return digits


def tree_digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_data_set_is_whole_and_sound(name: str, sample: Path) -> None:
    assert missing_files(name, sample) == []
    report = check(name, sample, decode=True)
    assert (report.missing, report.broken) == ((), ())
    assert report.images > 0


def test_the_first_ten_official_classes(sample: Path) -> None:
    synsets = class_names("imagenet", sample)
    assert synsets == tuple((sample / "imagenet/meta/synsets.txt").read_text().split())
    assert (synsets[0], synsets[-1]) == ("n01440764", "n01518878")
    assert class_names("places205", sample)[::9] == ("abbey", "art_studio")
    assert class_names("inaturalist2018", sample)[7].endswith("/7")
    assert class_names("coco", sample)[::9] == ("person", "traffic light")
    for name in ("imagenet", "places205", "inaturalist2018", "voc07_classification", "voc0712_detection", "coco"):
        assert len(class_names(name, sample)) == 10


def test_two_makes_are_equal_to_the_byte(sample: Path, tmp_path: Path) -> None:
    # Another process with other hash seeds: an order that hangs on a set would show.
    code = "import pathlib; from benchmarks.datasets.sample import make_sample; make_sample(pathlib.Path('data'))"
    home = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(home)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    assert tree_digest(tmp_path / "data") == tree_digest(sample)


def test_pools_part_all_digits() -> None:
    pools = [{index for samples in pool(side) for index in samples} for side in ("train", "test")]
    assert pools[0].isdisjoint(pools[1])
    assert pools[0] | pools[1] == set(range(1797))
    for side in ("train", "test"):
        for digit, samples in enumerate(pool(side)):
            assert {int(load()[1][index]) for index in samples} == {digit}


def test_training_and_test_images_share_no_digit(sample: Path) -> None:
    """Sides by what the layouts call training and test, not by what the writers say."""
    written = {path: digits for side in manifest(sample).values() for path, digits in side.items()}
    used: dict[bool, set[int]] = {True: set(), False: set()}
    for name, data in DATA_SETS.items():
        for split, where in data.where.items():
            for entry in entries(name, sample, split):
                used[split in LEARNED].update(written[where.image.format(entry)])
    assert used[True]
    assert used[False]
    assert used[True].isdisjoint(used[False])


def test_the_manifest_knows_every_image(sample: Path) -> None:
    written = {path for side in manifest(sample).values() for path in side}
    labels = ("Segmentation", "gtFine")
    images = (path for path in sample.rglob("*") if path.suffix in (".jpg", ".JPEG", ".png"))
    names = (path.relative_to(sample).as_posix() for path in images)
    assert {name for name in names if not any(part in name for part in labels)} == written


@pytest.mark.parametrize("name", ["imagenet", "places205", "inaturalist2018"])
def test_labels_are_the_digits_that_are_shown(name: str, sample: Path) -> None:
    written = {path: digits for side in manifest(sample).values() for path, digits in side.items()}
    for split in ("train", "val"):
        found = read_split(name, sample, split)
        for path, label in zip(found.paths, found.labels.tolist(), strict=True):
            (digit,) = written[path.relative_to(sample).as_posix()]
            assert load()[1][digit] == label


def pixels(paths: tuple[Path, ...]) -> npt.NDArray[np.float64]:
    small = [np.asarray(Image.open(path).convert("L").resize((16, 16)), dtype=np.float64).ravel() for path in paths]
    centred = np.stack(small) - np.mean(small, axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def test_the_nearest_neighbour_of_a_digit_is_mostly_the_same_digit(sample: Path) -> None:
    train, val = read_split("imagenet", sample, "train"), read_split("imagenet", sample, "val")
    nearest = (pixels(val.paths) @ pixels(train.paths).T).argmax(axis=1)
    # Ten even classes: chance is 10 %.
    assert np.mean(train.labels[nearest] == val.labels) > 0.5


def test_voc2007_suffices_for_low_shot(sample: Path) -> None:
    trainval = read_split("voc07_classification", sample, "trainval").labels
    assert ((trainval == 1).sum(axis=0) >= 4).all()
    assert ((trainval == 0).sum(axis=0) >= 19 * 4).all()
    assert ((trainval == -1).sum(axis=0) >= 1).all()
    assert ((read_split("voc07_classification", sample, "test").labels == 1).sum(axis=0) >= 5).all()


def objects(root: Path, year: int, name: str) -> list[tuple[str, bool, tuple[int, ...]]]:
    tree = ElementTree.parse(root / f"VOCdevkit/VOC{year}/Annotations/{name}.xml")
    return [
        (
            one.findtext("name", ""),
            one.findtext("difficult") == "1",
            tuple(int(one.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")),
        )
        for one in tree.iter("object")
    ]


@pytest.mark.parametrize("split", ["trainval", "test"])
def test_class_lists_agree_with_the_xml(split: str, sample: Path) -> None:
    found = read_split("voc07_classification", sample, split)
    for path, row in zip(found.paths, found.labels.tolist(), strict=True):
        things = objects(sample, 2007, path.stem)
        for name, label in zip(found.classes, row, strict=True):
            difficult = [hard for one, hard, _ in things if one == name]
            assert label == (0 if not difficult else -1 if all(difficult) else 1)


def test_boxes_and_masks_are_the_same_pixels(sample: Path) -> None:
    classes = ("background", *class_names("voc0712_detection", sample))
    looked = 0
    for name in (sample / VOC12 / "ImageSets/Segmentation/train.txt").read_text().split():
        mask = np.asarray(Image.open(sample / VOC12 / f"SegmentationClassAug/{name}.png"))
        things = objects(sample, 2012, name)
        assert {classes[index] for index in np.unique(mask)} == {"background", *(one for one, _, _ in things)}
        for one, _, box in things:
            if [other for other, _, _ in things].count(one) == 1:
                rows, columns = np.nonzero(mask == classes.index(one))
                assert box == (columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1)
                looked += 1
    assert looked > 60


def test_void_rings_stand_only_without_sbd(sample: Path) -> None:
    for name in (sample / VOC12 / "ImageSets/Segmentation/train.txt").read_text().split():
        plain = np.asarray(Image.open(sample / VOC12 / f"SegmentationClassAug/{name}.png"))
        ringed = np.asarray(Image.open(sample / VOC12 / f"SegmentationClass/{name}.png"))
        assert 255 not in plain
        assert (ringed == 255).sum() > 20
        assert (ringed == plain)[ringed != 255].all()
        # A ring is thin: some of every easy object is left.
        easy = {one for one, hard, _ in objects(sample, 2012, name) if not hard}
        assert len(set(np.unique(ringed)) - {0, 255}) == len(easy)


def test_palette_is_that_of_voc() -> None:
    # Of the development kit's published colour table: aeroplane, bicycle, person, tvmonitor, void.
    colours = np.frombuffer(palette(), dtype=np.uint8).reshape(256, 3)
    assert colours[[1, 2, 15, 20, 255]].tolist() == [
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]


def fill(outline: list[float], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels whose centre lies in the polygon, by counting crossings to the right of it."""
    corners = np.array(outline).reshape(-1, 2)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            crossing = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            inside ^= ((y0 > rows) != (y1 > rows)) & (columns < crossing)
    return inside


def unroll(runs: dict[str, list[int]]) -> npt.NDArray[np.bool_]:
    flat = [index % 2 == 1 for index, count in enumerate(runs["counts"]) for _ in range(count)]
    return np.array(flat, dtype=bool).reshape(runs["size"], order="F")


@settings(deadline=None, max_examples=150)
@given(mask=arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_any_mask_is_the_sum_of_its_polygons_and_of_its_runs(mask: npt.NDArray[np.bool_]) -> None:
    height, width = mask.shape
    parts = [fill(outline, (height, width)) for outline in polygons(mask)]
    assert (np.sum(parts, axis=0, dtype=int) == mask).all() if parts else not mask.any()
    assert (unroll(run_lengths(mask)) == mask).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_boxes_areas_and_masks_agree(split: str, sample: Path) -> None:
    content = json.loads((sample / f"coco/annotations/instances_{split}2017.json").read_text())
    sizes = {one["id"]: (one["height"], one["width"]) for one in content["images"]}
    for one in content["annotations"]:
        shape = sizes[one["image_id"]]
        if one["iscrowd"]:
            mask = unroll(one["segmentation"])
        else:
            mask = np.any([fill(outline, shape) for outline in one["segmentation"]], axis=0)
        rows, columns = np.nonzero(mask)
        left, top = columns.min(), rows.min()
        assert one["area"] == mask.sum()
        assert one["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]


def test_coco_has_crowds_empty_images_and_every_category(sample: Path) -> None:
    first: set[int] = set()
    for split in ("train", "val"):
        content = json.loads((sample / f"coco/annotations/instances_{split}2017.json").read_text())
        annotations = content["annotations"]
        assert sum(one["iscrowd"] for one in annotations) >= 2
        assert len({one["id"] for one in content["images"]} - {one["image_id"] for one in annotations}) >= 2
        assert {one["category_id"] for one in annotations if not one["iscrowd"]} == set(range(1, 11))
        ids = {one["id"] for one in annotations}
        assert not ids & first
        first = ids


def test_cityscapes_maps_agree(sample: Path) -> None:
    official = dict(enumerate((7, 8, 11, 12, 13, 17, 19, 20, 21, 22))) | {255: 0}
    seen: set[int] = set()
    for path in (sample / "cityscapes/gtFine").glob("*/*/*_labelTrainIds.png"):
        training = np.asarray(Image.open(path))
        labels, instances = (
            np.asarray(Image.open(path.with_name(path.name.replace("labelTrainIds", kind))))
            for kind in ("labelIds", "instanceIds")
        )
        assert (np.vectorize(official.__getitem__)(training) == labels).all()
        assert (instances == labels).all()
        seen |= set(np.unique(training).tolist())
    assert seen == set(official)


def test_a_second_call_leaves_the_sample_alone(sample: Path) -> None:
    before = (sample / MANIFEST).stat()
    make_sample(sample)
    assert (sample / MANIFEST).stat() == before


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of two files, for what does not depend on the content."""
    monkeypatch.setattr(make, "WRITERS", (lambda tree: tree.text("imagenet/meta/train.txt", ["x 0"]),))


@pytest.mark.usefixtures("quick")
def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    make_sample(tmp_path / "data")
    assert json.loads((tmp_path / "data" / MANIFEST).read_text())["files"] == 2


@pytest.mark.usefixtures("quick")
def test_a_link_to_a_folder_to_be_made_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    make_sample(tmp_path / "data")
    assert (tmp_path / "disk/data" / MANIFEST).is_file()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"sample": "x", "files": 1}', None])
def test_other_data_is_never_touched(tmp_path: Path, content: str | None) -> None:
    name = "holiday.jpg" if content is None else MANIFEST
    (tmp_path / name).write_text(content or "mine")
    with pytest.raises(HarnessError, match="left as it is"):
        make_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == (content or "mine")


@pytest.mark.usefixtures("quick")
def test_a_file_in_the_way_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(HarnessError, match="choose another folder"):
        make_sample(tmp_path / "data")
    assert (tmp_path / "data").read_text() == "mine"


@pytest.mark.usefixtures("quick")
def test_a_damaged_or_old_sample_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_sample(root)
    (root / "imagenet/meta/train.txt").unlink()
    with pytest.raises(HarnessError, match="damaged"):
        make_sample(root)
    (root / MANIFEST).write_text(json.dumps({"sample": VERSION + 1, "files": 1}))
    with pytest.raises(HarnessError, match=f"version {VERSION + 1}"):
        make_sample(root)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_make_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | type[BaseException]
) -> None:
    def fail(tree: Tree) -> None:
        tree.text("imagenet/meta/train.txt", ["x 0"])
        raise error

    monkeypatch.setattr(make, "WRITERS", (fail,))
    with pytest.raises((KeyboardInterrupt, HarnessError)):
        make_sample(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_of_two_makes_at_once_both_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    writers = make.WRITERS

    def overtaken(tree: Tree) -> None:
        monkeypatch.setattr(make, "WRITERS", writers)
        make_sample(root)
        tree.text("imagenet/meta/train.txt", ["x 0"])

    monkeypatch.setattr(make, "WRITERS", (overtaken,))
    make_sample(root)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert missing_files("imagenet", root) == ["imagenet/meta/val.txt", "imagenet/train/x"]
