"""Detectors and segmentors learn two images by heart: the proof that boxes, masks and labels are wired right.

Minutes each on two cores, so outside CI; the figures are printed (pytest -s).
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.datasets.sample.cityscapes import write_cityscapes
from benchmarks.datasets.sample.coco import write_coco
from benchmarks.datasets.sample.tree import Tree
from benchmarks.datasets.sample.voc import write_voc2007, write_voc2012

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DETECTOR = {
    "roi_samples": "16",
    "test_proposals_before_nms": "300",
    "test_proposals": "30",
    "train_proposals_before_nms": "1000",
    "train_proposals": "300",
    "warmup_iterations": "20",
}
FIELDS = {
    "voc0712_faster_rcnn": {
        **DETECTOR,
        "iterations": "100",
        "milestones": "[75, 90]",
        "evaluation_interval": "100",
        "checkpoint_interval": "100",
    },
    "coco_mask_rcnn": {
        **DETECTOR,
        "epochs": "160",
        "milestones": "[120, 145]",
        "evaluation_interval": "160",
        "checkpoint_interval": "160",
    },
    "voc12aug_fcn": {"iterations": "200", "evaluation_interval": "200", "checkpoint_interval": "200"},
    "cityscapes_fcn": {
        # Its digits are half as large as those of VOC: a little larger, and at one scale.
        "long_edge": "160",
        "short_edge": "80",
        "crop": "81",
        "slide_window": "81",
        "slide_stride": "54",
        "scale_range": "[1.0, 1.0]",
        "iterations": "500",
        "evaluation_interval": "500",
        "checkpoint_interval": "500",
    },
}
METRICS = {
    "voc0712_faster_rcnn": {"AP50": 90.0},
    "coco_mask_rcnn": {"bbox_AP50": 90.0, "segm_AP50": 90.0},
    "voc12aug_fcn": {"mIoU": 80.0},
    "cityscapes_fcn": {"mIoU": 40.0},
}
"""What must be reached: a detector that is wired wrong finds nothing, a segmentor sees one class.

mIoU counts classes that only a prediction holds as 0, so it stays lower than the pixels are right.
"""


@pytest.fixture(scope="module")
def two_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of each data set, the same for training and for testing."""
    root = tmp_path_factory.mktemp("overfit") / "data"
    tree = Tree(root)
    write_voc2007(tree, trainval=2, test=1)
    write_coco(tree, train=2, val=1)
    write_cityscapes(tree, train=2, val=1)
    devkit = root / "VOCdevkit"
    lists = devkit / "VOC2007/ImageSets/Main"
    for path in lists.glob("*trainval.txt"):
        shutil.copy(path, path.with_name(path.name.replace("trainval", "test")))
    write_voc2012(tree, train=2, aug=2, val=1)
    segmentation = devkit / "VOC2012/ImageSets/Segmentation"
    for split in ("aug", "val"):
        shutil.copy(segmentation / "train.txt", segmentation / f"{split}.txt")
    # Detection's second half is the first one again.
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        shutil.copytree(devkit / "VOC2007" / folder, devkit / "VOC2012" / folder, dirs_exist_ok=True)
    coco = root / "coco"
    shutil.copy(coco / "annotations/instances_train2017.json", coco / "annotations/instances_val2017.json")
    shutil.copytree(coco / "train2017", coco / "val2017", dirs_exist_ok=True)
    for kind in ("leftImg8bit", "gtFine"):
        shutil.rmtree(root / "cityscapes" / kind / "val")
        shutil.copytree(root / "cityscapes" / kind / "train", root / "cityscapes" / kind / "val")
    return root


@pytest.mark.parametrize("name", list(FIELDS))
def test_two_images_are_learnt_by_heart(two_images: Path, tmp_path: Path, name: str) -> None:
    changes = [word for field, value in FIELDS[name].items() for word in ("--set", f"{name}.{field}={value}")]
    workspace = tmp_path / "work"
    words = ["--ckpt", "random:0", "--suite", name, "--profile", "smoke", "--data", str(two_images), *changes]
    command = [sys.executable, "-P", "-m", "harness", "run", *words, "--workspace", str(workspace)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with (workspace / "pages/results.csv").open(newline="") as stream:
        values = {row["metric"]: float(row["value"]) for row in csv.DictReader(stream)}
    print(f"\n{name}: {values}")
    for metric, least in METRICS[name].items():
        assert values[metric] >= least, values
