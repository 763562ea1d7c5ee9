"""Small trees in the official layouts, and jobs of detectors and segmentors on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmarks.backbone import write_backbone
from benchmarks.base import JobContext, Numerics
from benchmarks.catalogue import find_benchmark
from benchmarks.datasets.fingerprint import fingerprint
from benchmarks.datasets.sample.cityscapes import write_cityscapes
from benchmarks.datasets.sample.coco import write_coco
from benchmarks.datasets.sample.tree import Tree
from benchmarks.datasets.sample.voc import write_voc2007, write_voc2012
from benchmarks.input_convention import input_convention
from tests.benchmarks.conftest import untrained

DENSE = ("voc0712_faster_rcnn", "coco_mask_rcnn", "voc12aug_fcn", "cityscapes_fcn")


@dataclasses.dataclass(frozen=True)
class Dense:
    """A data root and a folder for attempts."""

    root: Path
    folder: Path

    def job(self, name: str, input: str = "rgb-mean-std", previous: tuple[Path, ...] = (), **fields: Any) -> JobContext:
        """A job of a benchmark or variant at smoke size in a new attempt; ``fields`` replace those of the protocol."""
        base, _, variant = name.partition("@")
        benchmark = find_benchmark(base)
        tensors, digest = untrained()
        path = self.folder / "backbone.safetensors"
        if not path.exists():
            write_backbone(path, tensors)
        attempt = self.folder / f"attempt-{len(list(self.folder.glob('attempt-*')))}"
        attempt.mkdir()
        return JobContext(
            protocol=benchmark.protocol(variant or None, "smoke", fields),
            backbone=path,
            digest=digest,
            input=input_convention(input),
            data_root=self.root,
            data=fingerprint(benchmark.data, self.root, None),
            seed=0,
            numerics=Numerics(),
            attempt=attempt,
            features=None,
            previous=previous,
            threads=1,
            device="cpu",
        )


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images of VOC, COCO and Cityscapes."""
    root = tmp_path_factory.mktemp("dense-data")
    tree = Tree(root)
    write_voc2007(tree, trainval=4, test=3)
    write_voc2012(tree, train=3, aug=3, val=2)
    write_coco(tree, train=5, val=4)
    write_cityscapes(tree, train=3, val=2)
    return root


@pytest.fixture
def dense(small_root: Path, tmp_path: Path) -> Dense:
    """Jobs on those."""
    return Dense(small_root, tmp_path)


def benchmark_of(context: JobContext) -> Any:
    """The benchmark that the job's protocol is of, or a variant of."""
    return find_benchmark(context.protocol.name.partition("@")[0])


def build(context: JobContext) -> dict[str, Any]:
    """The config that the job builds."""
    benchmark = benchmark_of(context)
    if benchmark.group == "detection":
        return dict(benchmark.config(context, benchmark.classes(context)))
    return dict(benchmark.config(context))


def pixels(context: JobContext) -> Any:
    """The job's test pipeline in the words of the proof."""
    from benchmarks.toolbox import detection, segmentation

    group = benchmark_of(context).group
    return (detection if group == "detection" else segmentation).evaluation_pixels(context.protocol)
