"""Small trees in the official layouts, and the whole sample, made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.datasets.sample import make_sample
from benchmarks.datasets.sample.cityscapes import write_cityscapes
from benchmarks.datasets.sample.classification import write_imagenet, write_inaturalist2018, write_places205
from benchmarks.datasets.sample.coco import write_coco
from benchmarks.datasets.sample.tree import Tree
from benchmarks.datasets.sample.voc import write_voc2007, write_voc2012


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole sample; not to be changed."""
    root = tmp_path_factory.mktemp("sample") / "data"
    make_sample(root)
    return root


@pytest.fixture(scope="session")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = Tree(tmp_path_factory.mktemp("small"))
    write_imagenet(tree, train=20, val=10)
    write_places205(tree, train=20, val=10)
    write_inaturalist2018(tree, train=20, val=10)
    write_voc2007(tree, trainval=20, test=16)
    write_voc2012(tree, train=4, aug=3, val=2)
    write_coco(tree, train=6, val=4)
    write_cityscapes(tree, train=2, val=1)
    return tree.root


@pytest.fixture(scope="session")
def _spoilt(_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(_small, tmp_path_factory.mktemp("copy") / "data"))


def restore(copy: Path, pristine: Path) -> None:
    """Makes ``copy`` the same as ``pristine`` again, touching only what differs in kind, size or time."""
    for path in sorted(copy.rglob("*"), reverse=True):
        origin = pristine / path.relative_to(copy)
        if not origin.exists() or origin.is_dir() != path.is_dir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for origin in sorted(pristine.rglob("*")):
        path = copy / origin.relative_to(pristine)
        if origin.is_dir():
            path.mkdir(exist_ok=True)
            continue
        old = origin.stat()
        new = path.stat() if path.exists() else None
        if new is None or (old.st_size, old.st_mtime_ns) != (new.st_size, new.st_mtime_ns):
            shutil.copy2(origin, path)


@pytest.fixture
def root(_small: Path, _spoilt: Path) -> Iterator[Path]:
    """A very small tree of every data set, for a test to spoil; the next test finds it whole."""
    yield _spoilt
    restore(_spoilt, _small)


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[[bytes, bytes], Path]:
    """Writes ImageNet's two lists and gives the data root; there are no images."""

    def write(train: bytes, val: bytes) -> Path:
        meta = tmp_path / "imagenet/meta"
        meta.mkdir(parents=True, exist_ok=True)
        (meta / "train.txt").write_bytes(train)
        (meta / "val.txt").write_bytes(val)
        return tmp_path

    return write
