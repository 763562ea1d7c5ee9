from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets.layout import CITYSCAPES_CLASSES
from benchmarks.datasets.prepare import prepare
from benchmarks.datasets.prepare.cityscapes import to_train_ids
from benchmarks.datasets.prepare.imagenet import validation_synsets
from benchmarks.datasets.prepare.inaturalist2018 import list_lines
from benchmarks.datasets.prepare.voc import to_mask
from results.errors import HarnessError
from tests.benchmarks.datasets.prepare.official import mat, synsets, tar_of

Packed = Callable[[str], list[Path]]

IDS = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""From the table of Cityscapes' labels; all other ids from 0 to 33 are void."""


def png(values: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def pixels(content: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_train_ids_of_every_id() -> None:
    found = pixels(to_train_ids(png(np.arange(34, dtype=np.uint8).reshape(2, 17)), "x.png")).ravel().tolist()
    named = {identity: CITYSCAPES_CLASSES.index(name) for name, identity in IDS.items()}
    assert found == [named.get(identity, 255) for identity in range(34)]


@pytest.mark.parametrize(
    "content",
    [
        png(np.full((2, 2), 34, np.uint8)),
        png(np.zeros((2, 2, 3), np.uint8)),
        png(np.zeros((2, 2), np.uint8))[:40],
        b"",
        b"not a PNG",
    ],
)
def test_what_is_no_map_of_ids(content: bytes) -> None:
    with pytest.raises(HarnessError) as caught:
        to_train_ids(content, "gtFine.zip: 'x.png'")
    assert caught.value.where == "gtFine.zip: 'x.png'"


def test_masks_of_sbd() -> None:
    labels = np.arange(21, dtype=np.uint8).reshape(3, 7)
    mask = Image.open(io.BytesIO(to_mask(mat(GTcls={"Boundaries": 1, "Segmentation": labels}), "x.mat")))
    assert mask.mode == "L"
    assert np.array_equal(np.asarray(mask), labels)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MATLAB 5.0 MAT-file" + bytes(200),
        mat(GTinst={"Segmentation": np.zeros((2, 2), np.uint8)}),
        mat(GTcls={"Boundaries": 1}),
        mat(GTcls={"Segmentation": np.full((2, 2), 21, np.uint8)}),
        mat(GTcls={"Segmentation": np.zeros((2, 2, 2), np.uint8)}),
        mat(GTcls={"Segmentation": np.full((2, 2), 0.5)}),
        mat(GTcls={"Segmentation": "text"}),
        mat(GTcls={"Segmentation": np.zeros((0, 0), np.uint8)}),
        mat(GTcls={"Segmentation": np.full((2, 2), -1, np.int16)}),
    ],
)
def test_what_is_no_annotation_of_sbd(content: bytes) -> None:
    with pytest.raises(HarnessError) as caught:
        to_mask(content, "benchmark.tgz: 'x.mat'")
    assert caught.value.where == "benchmark.tgz: 'x.mat'"


def test_an_image_of_sbd_without_annotation(packed: Packed, tmp_path: Path) -> None:
    lists = {"benchmark_RELEASE/dataset/train.txt": b"2010_000001\n", "benchmark_RELEASE/dataset/val.txt": b"\n"}
    sbd = tar_of(tmp_path / "benchmark.tgz", lists)
    with pytest.raises(HarnessError, match="SBD lists 1 images without annotation, the first is 2010_000001"):
        prepare("voc12aug_segmentation", [packed("voc0712_detection")[-1], sbd], tmp_path, lambda _: lambda *_: None)


def test_synsets_of_validation_images() -> None:
    """``ILSVRC2012_ID`` runs against the names here; what stands above the classes has children and counts not."""
    found = validation_synsets(synsets(["n1", "n2", "n3"]), b"3\n1\n2\n")
    assert dict(found) == {1: "n1", 2: "n3", 3: "n2"}


@pytest.mark.parametrize(
    ("meta", "truth", "what"),
    [
        (synsets(["n1"]), b"1\n2\n", "line 2 of ILSVRC2012_validation_ground_truth.txt is no class"),
        (synsets(["n1"]), b"x\n", "line 1 of"),
        (mat(other=1), b"1\n", "meta.mat has no synsets"),
        (b"", b"1\n", "meta.mat has no synsets"),
    ],
)
def test_a_broken_development_kit(meta: bytes, truth: bytes, what: str) -> None:
    with pytest.raises(HarnessError, match=what):
        validation_synsets(meta, truth)


def test_a_class_that_has_only_validation_images(small: Path, tmp_path: Path) -> None:
    image = next((small / "imagenet/train").rglob("*.JPEG")).read_bytes()
    files = {"train/n00000002/1.JPEG": image, "val/n00000002/2.JPEG": image, "val/n00000001/3.JPEG": image}
    with pytest.raises(HarnessError, match="1 classes have validation images but no training images"):
        prepare("imagenet", [tar_of(tmp_path / "a.tar", files)], tmp_path, lambda _: lambda *_: None)


def test_a_validation_image_beyond_the_development_kit(packed: Packed, tmp_path: Path) -> None:
    val = tar_of(tmp_path / "val.tar", {"ILSVRC2012_val_00000011.JPEG": b"x"})
    with pytest.raises(HarnessError, match=r"nothing about ILSVRC2012_val_00000011.JPEG: it has 10 validation"):
        prepare("imagenet", [packed("imagenet")[2], val], tmp_path / "data", lambda _: lambda *_: None)


def competition(count: int) -> dict[str, Any]:
    return {
        "images": [{"id": 7 * one, "file_name": f"train_val2018/Aves/{one % 9}/{one}.jpg"} for one in range(count)],
        "annotations": [{"id": one, "image_id": 7 * one, "category_id": one % 9} for one in reversed(range(count))],
        "categories": [{"id": one, "name": str(one)} for one in range(9)],
    }


def lines_of(content: Any, folder: Path) -> list[str]:
    path = folder / "train2018.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list_lines(path)


def test_lines_are_in_the_order_of_the_images(tmp_path: Path) -> None:
    assert lines_of(competition(3), tmp_path) == ["Aves/0/0.jpg 0", "Aves/1/1.jpg 1", "Aves/2/2.jpg 2"]


def test_lists_take_linear_time(tmp_path: Path) -> None:
    """mmselfsup's script compares each image with each annotation: 80,000 would take an hour."""
    start = time.monotonic()
    assert len(lines_of(competition(80_000), tmp_path)) == 80_000
    assert time.monotonic() - start < 10


def change(part: str, **values: Any) -> dict[str, Any]:
    content = competition(3)
    content[part][1].update(values)
    return content


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "not the competition's json"),
        ("[]", "not the competition's json"),
        ({"images": []}, "not the competition's json"),
        ({**competition(3), "annotations": []}, "gives image 0 no category"),
        (change("annotations", image_id=8), "has an annotation of image 8"),
        (change("annotations", category_id=9), "category 9, and one of them is not there"),
        (change("annotations", image_id=0, category_id=5), "gives image 0 the categories 5 and 0"),
        (change("images", file_name="/etc/passwd"), "names an image outside"),
        (change("images", file_name="train_val2018/../../x.jpg"), "outside the data set"),
        (change("images", file_name="train_val2018/a b.jpg"), "names an image outside"),
        (change("images", file_name="train_val2018/a\n0.jpg"), "names an image outside"),
    ],
)
def test_a_broken_json_of_the_competition(content: Any, what: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=what) as caught:
        lines_of(content, tmp_path)
    assert "train2018.json" in caught.value.where


def test_a_list_is_not_written_where_the_other_json_is_broken(packed: Packed, tmp_path: Path) -> None:
    broken = tmp_path / "val2018.json"
    broken.write_text("{")
    with pytest.raises(HarnessError, match="not the competition's json"):
        prepare(
            "inaturalist2018", [*packed("inaturalist2018")[:2], broken], tmp_path / "data", lambda _: lambda *_: None
        )
    assert not list((tmp_path / "data").rglob("*.txt"))
