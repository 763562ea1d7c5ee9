"""Miniature archives in the form of the official ones, packed from the small trees of the sample."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from benchmarks.datasets.layout import data_set, entries, read_split

Files = Mapping[str, bytes]


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def tar_of(path: Path, files: Files) -> Path:
    """A tar archive with its folders, compressed where the name says so."""
    with tarfile.open(path, "w:gz" if path.name.endswith(("gz", "tgz")) else "w") as tar:
        for folder in sorted({name.rpartition("/")[0] for name in files} - {""}):
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for name, content in files.items():
            add(tar, name, content)
    return path


def zip_of(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in sorted({name.rpartition("/")[0] for name in files} - {""}):
            archive.writestr(f"{folder}/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def below(root: Path, folder: str, but: Iterable[str] = ()) -> dict[str, bytes]:
    """Files of a folder of the tree by their names in the tree, without those that contain one of ``but``."""
    paths = {path.relative_to(root).as_posix(): path for path in sorted((root / folder).rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not any(part in name for part in but)}


def mat(**values: Any) -> bytes:
    out = io.BytesIO()
    savemat(out, values)
    return out.getvalue()


def synsets(wnids: Iterable[str]) -> bytes:
    """``meta.mat``: ids in another order than the names, and a synset above all of them, as in the official file."""
    names = list(wnids)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(float(len(names) - index), name, "a word", "a gloss", 0.0) for index, name in enumerate(names)]
    rows.append((float(len(names) + 1), "n00001740", "entity", "everything", float(len(names))))
    return mat(synsets=np.array(rows, dtype=kinds).reshape(-1, 1))


def imagenet(small: Path, out: Path) -> list[Path]:
    with tarfile.open(out / "ILSVRC2012_img_train.tar", "w") as tar:
        for folder in sorted((small / "imagenet/train").iterdir()):
            inner = tar_of(out / "inner.tar", {one.name: one.read_bytes() for one in sorted(folder.iterdir())})
            add(tar, f"{folder.name}.tar", inner.read_bytes())
            inner.unlink()
    images = {path.name: path for path in (small / "imagenet/val").rglob("*.JPEG")}
    tar_of(out / "ILSVRC2012_img_val.tar", {name: images[name].read_bytes() for name in sorted(images)})
    wnids = sorted(path.name for path in (small / "imagenet/train").iterdir())
    truth = [len(wnids) - wnids.index(images[name].parent.name) for name in sorted(images)]
    home = "ILSVRC2012_devkit_t12"
    devkit = {
        f"{home}/readme.txt": b"read me",
        f"{home}/data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{one}\n" for one in truth).encode(),
        f"{home}/data/meta.mat": synsets(wnids),
    }
    tar_of(out / "ILSVRC2012_devkit_t12.tar.gz", devkit)
    return [out / "ILSVRC2012_img_train.tar", out / "ILSVRC2012_img_val.tar", out / "ILSVRC2012_devkit_t12.tar.gz"]


def places205(small: Path, out: Path) -> list[Path]:
    images = {name.removeprefix("Places205/"): content for name, content in below(small, "Places205/data").items()}
    lists = below(small, "Places205/trainvalsplit_places205")
    return [
        tar_of(out / "imagesPlaces205_resize.tar.gz", images),
        zip_of(out / "trainvalsplit_places205.zip", {name.removeprefix("Places205/"): lists[name] for name in lists}),
    ]


def inaturalist2018(small: Path, out: Path) -> list[Path]:
    images = below(small, "iNaturalist2018/train_val2018")
    archives = [
        tar_of(out / "train_val2018.tar.gz", {name.removeprefix("iNaturalist2018/"): images[name] for name in images})
    ]
    for split in ("train", "val"):
        name = f"{split}2018.json"
        archives.append(tar_of(out / f"{name}.tar.gz", {name: (small / "iNaturalist2018" / name).read_bytes()}))
    return archives


def voc2007(small: Path, out: Path) -> list[Path]:
    test = set(entries("voc07_classification", small, "test"))
    parts: dict[bool, dict[str, bytes]] = {True: {}, False: {}}
    for name, content in below(small, "VOCdevkit/VOC2007").items():
        stem = Path(name).stem
        parts[stem in test or stem == "test" or stem.endswith("_test")][name] = content
    return [
        tar_of(out / "VOCtrainval_06-Nov-2007.tar", parts[False]),
        tar_of(out / "VOCtest_06-Nov-2007.tar", parts[True]),
    ]


def voc2012(small: Path, out: Path) -> Path:
    made = ("SegmentationClassAug", "aug.txt")
    return tar_of(out / "VOCtrainval_11-May-2012.tar", below(small, "VOCdevkit/VOC2012", made))


def sbd(small: Path, out: Path) -> Path:
    """SBD lists images of VOC2012's train and val as well; ``aug.txt`` is what remains."""
    listed = {split: entries("voc12aug_segmentation", small, split) for split in ("train", "aug", "val")}
    parts = {"train": [*listed["train"], *listed["aug"][:2]], "val": [*listed["val"], *listed["aug"][2:]]}
    home = "benchmark_RELEASE/dataset"
    files = {f"{home}/{split}.txt": "".join(f"{name}\n" for name in names).encode() for split, names in parts.items()}
    for name in (*parts["train"], *parts["val"]):
        mask = small / f"VOCdevkit/VOC2012/SegmentationClassAug/{name}.png"
        labels = np.asarray(Image.open(mask)) if mask.exists() else np.zeros((96, 96), np.uint8)
        files[f"{home}/cls/{name}.mat"] = mat(
            GTcls={"Boundaries": np.zeros((20, 1)), "Segmentation": labels, "CategoriesPresent": np.unique(labels)}
        )
        files[f"{home}/inst/{name}.mat"] = mat(GTinst={"Segmentation": labels})
        files[f"{home}/img/{name}.jpg"] = b"not looked at"
    return tar_of(out / "benchmark.tgz", files)


def coco(small: Path, out: Path) -> list[Path]:
    folders = {"train2017": "train2017", "val2017": "val2017", "annotations_trainval2017": "annotations"}
    archives = []
    for archive, folder in folders.items():
        files = below(small, f"coco/{folder}")
        extra = {"annotations/captions_val2017.json": b"{}"} if folder == "annotations" else {}
        files = {**{name.removeprefix("coco/"): content for name, content in files.items()}, **extra}
        archives.append(zip_of(out / f"{archive}.zip", files))
    return archives


def cityscapes(small: Path, out: Path) -> list[Path]:
    images = below(small, "cityscapes/leftImg8bit")
    maps = below(small, "cityscapes/gtFine", ["labelTrainIds"])
    short = {name.removeprefix("cityscapes/"): content for name, content in {**images, **maps}.items()}
    city = "test/berlin/berlin_000000_000019"
    left = {name: content for name, content in short.items() if name.startswith("leftImg8bit")}
    fine = {name: content for name, content in short.items() if name.startswith("gtFine")}
    notes = {"README": b"read me", "license.txt": b"terms"}
    return [
        zip_of(
            out / "leftImg8bit_trainvaltest.zip",
            {**notes, f"leftImg8bit/{city}_leftImg8bit.png": b"test", **left},
        ),
        zip_of(
            out / "gtFine_trainvaltest.zip",
            {**notes, f"gtFine/{city}_gtFine_labelIds.png": b"test", **fine},
        ),
    ]


def archives_of(name: str, small: Path, out: Path) -> list[Path]:
    """The archives from which a data set is prepared."""
    out.mkdir(parents=True, exist_ok=True)
    if name == "voc07_classification":
        return voc2007(small, out)
    if name == "voc0712_detection":
        return [*voc2007(small, out), voc2012(small, out)]
    if name == "voc12aug_segmentation":
        return [voc2012(small, out), sbd(small, out)]
    return list(globals()[name](small, out))


def unpack(archives: Iterable[Path], out: Path) -> list[Path]:
    """One folder for each archive, as ``tar x`` and ``unzip`` leave them; tar archives inside stay packed."""
    folders = []
    for archive in archives:
        folder = out / archive.name.partition(".")[0]
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        folders.append(folder)
    return folders


def reading(name: str, root: Path) -> dict[str, Any]:
    """What the layout's readers find in a data set: images, labels or annotations, each with its content."""
    found: dict[str, Any] = {}
    for split, place in data_set(name).where.items():
        listed = sorted(entries(name, root, split))
        found[f"{split} images"] = {one: (root / place.image.format(one)).read_bytes() for one in listed}
        if place.kind == "labels" or name == "voc07_classification":
            labelled = read_split(name, root, split)
            names = [path.relative_to(root).as_posix() for path in labelled.paths]
            found[f"{split} labels"] = dict(zip(names, labelled.labels.tolist(), strict=True))
            found[f"{split} classes"] = labelled.classes
        elif place.kind == "coco":
            found[f"{split} annotations"] = (root / place.listing).read_bytes()
        for one in listed if place.annotation else ():
            path = root / place.annotation.format(one)
            content = path.read_bytes() if path.suffix == ".xml" else np.asarray(Image.open(path)).tolist()
            found[f"{split} annotation of {one}"] = content
    return found
