from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from benchmarks.datasets import lists
from benchmarks.datasets.fingerprint import fingerprint, nonstandard_counts
from benchmarks.datasets.layout import DATA_SETS, annotation_files
from results.errors import HarnessError


def settle(root: Path) -> None:
    """Dates every file an hour back, as data is that has lain for a while."""
    for path in root.rglob("*"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 3600 * 10**9))


def only_cache(cache: Path) -> Path:
    (path,) = cache.iterdir()
    return path


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_place_does_not_matter_but_each_annotation_does(name: str, root: Path, tmp_path: Path) -> None:
    stamp = fingerprint(name, root, None)
    moved = Path(shutil.copytree(root, tmp_path / "elsewhere" / "data"))
    assert fingerprint(name, moved, None) == stamp
    for path in (annotation_files(name, moved)[0], annotation_files(name, moved)[-1]):
        before = path.read_bytes()
        path.write_bytes(before + b"\n" if path.suffix != ".png" else before + b"0")
        try:
            assert fingerprint(name, moved, None).fingerprint != stamp.fingerprint
        except HarnessError:
            assert path.suffix in (".txt", ".csv")
        path.write_bytes(before)
    assert fingerprint(name, moved, None) == stamp


def test_images_do_not_count(root: Path) -> None:
    stamp = fingerprint("imagenet", root, None)
    shutil.rmtree(root / "imagenet/train")
    assert fingerprint("imagenet", root, None) == stamp


def test_a_label_map_counts(root: Path) -> None:
    stamp = fingerprint("voc07_classification", root, None)
    for split in ("trainval", "test"):
        main = root / "VOCdevkit/VOC2007/ImageSets/Main"
        (main / f"cow_{split}.txt").rename(main / f"zebra_{split}.txt")
    assert fingerprint("voc07_classification", root, None).fingerprint != stamp.fingerprint


def test_counts_and_sentences(root: Path) -> None:
    stamp = fingerprint("voc12aug_segmentation", root, None)
    assert stamp.name == "voc12aug_segmentation"
    assert dict(stamp.counts) == {"train": 4, "aug": 3, "val": 2, "classes": 21}
    assert stamp.nonstandard == (
        "VOC2012+SBD segmentation has 4 images in train, not 1,464.",
        "VOC2012+SBD segmentation has 3 images in aug, not 9,118.",
        "VOC2012+SBD segmentation has 2 images in val, not 1,449.",
    )
    assert fingerprint("coco", root, None).nonstandard[-1] == "COCO 2017 has 10 classes, not 80."


@pytest.mark.parametrize("name", DATA_SETS)
def test_official_counts_are_standard(name: str) -> None:
    assert nonstandard_counts(name, DATA_SETS[name].official) == ()


@pytest.mark.parametrize("name", ["imagenet", "coco", "cityscapes"])
def test_a_warm_cache_reads_no_file(name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(root)
    cold = fingerprint(name, root, tmp_path / "cache")
    monkeypatch.setattr(lists, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert fingerprint(name, root, tmp_path / "cache") == cold
    assert list(fingerprint(name, root, tmp_path / "cache").counts) == list(cold.counts)


def test_a_warm_cache_reads_no_xml(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(root)
    cold = fingerprint("voc0712_detection", root, tmp_path / "cache")
    read: list[Path] = []
    real = lists.read_bytes

    def spy(path: Path) -> bytes:
        read.append(path)
        return real(path)

    monkeypatch.setattr(lists, "read_bytes", spy)
    assert fingerprint("voc0712_detection", root, tmp_path / "cache") == cold
    assert {path.suffix for path in read} == {".txt"}


def test_a_warm_cache_is_not_written_again(root: Path, tmp_path: Path) -> None:
    settle(root)
    fingerprint("imagenet", root, tmp_path / "cache")
    first = only_cache(tmp_path / "cache").stat().st_ino
    fingerprint("imagenet", root, tmp_path / "cache")
    assert only_cache(tmp_path / "cache").stat().st_ino == first


def test_a_changed_file_of_the_same_size_is_seen(root: Path, tmp_path: Path) -> None:
    settle(root)
    path = root / "imagenet/meta/train.txt"
    cold = fingerprint("imagenet", root, tmp_path / "cache")
    status = path.stat()
    text = path.read_text()
    path.write_text(text.replace(" 1\n", " 2\n", 1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert fingerprint("imagenet", root, tmp_path / "cache").fingerprint != cold.fingerprint


def test_a_file_just_written_is_not_believed_by_its_time(root: Path, tmp_path: Path) -> None:
    path = root / "imagenet/meta/train.txt"
    path.touch()
    cold = fingerprint("imagenet", root, tmp_path / "cache")
    status = path.stat()
    path.write_text(path.read_text().replace(" 1\n", " 2\n", 1))
    # A second write within the clock's grain leaves the time as it was.
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint("imagenet", root, tmp_path / "cache").fingerprint != cold.fingerprint


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: "\0",
        lambda text: json.dumps({**json.loads(text), "form": 99}),
        lambda text: json.dumps({**json.loads(text), "summary": {"counts": {"train": "x"}, "classes": []}}),
        lambda text: json.dumps({**json.loads(text), "summary": {}}),
        lambda text: json.dumps({**json.loads(text), "files": {"a": 1}}),
        lambda text: json.dumps({**json.loads(text), "files": {"a": [1, 2, 3]}}),
        lambda text: json.dumps({**json.loads(text), "key": None}),
    ],
)
def test_a_corrupt_cache_is_ignored_and_mended(root: Path, tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    settle(root)
    cold = fingerprint("imagenet", root, tmp_path / "cache")
    path = only_cache(tmp_path / "cache")
    good = path.read_text()
    path.write_text(spoil(good))
    assert fingerprint("imagenet", root, tmp_path / "cache") == cold
    assert path.read_text() == good


def test_two_roots_do_not_share_a_cache_file(root: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(root, tmp_path / "other"))
    with (other / "imagenet/meta/val.txt").open("a") as stream:
        stream.write("n01440764/extra.JPEG 0\n")
    stamps = [fingerprint("imagenet", place, tmp_path / "cache") for place in (root, other, root)]
    assert stamps[0] == stamps[2]
    assert stamps[0].fingerprint != stamps[1].fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_link_to_the_data_is_the_same_data(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert fingerprint("coco", tmp_path / "link", tmp_path / "cache") == fingerprint("coco", root, tmp_path / "cache")
    assert only_cache(tmp_path / "cache")


def test_missing_data_says_how_to_see_more(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="data check"):
        fingerprint("imagenet", tmp_path, None)


def test_a_missing_annotation_is_named(root: Path) -> None:
    (root / "VOCdevkit/VOC2007/Annotations/000003.xml").unlink()
    with pytest.raises(HarnessError, match=r"cannot read 000003\.xml"):
        fingerprint("voc0712_detection", root, None)


def test_the_stamp_fits_into_a_record(root: Path) -> None:
    json.dumps(dataclasses.asdict(fingerprint("cityscapes", root, None)))
