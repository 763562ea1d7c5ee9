"""Turns the table of published numbers into our names: ``python tools/convert_published.py ORIGINAL CONVERTED``.

``results/published.csv`` is what it made.
The original has one row a published cell of the mmselfsup 1.x pages, in the words of those pages: algorithm, config,
benchmark, metric, layer_or_k, value, unit, downstream_config, label_or_remark, release, source_file. It is not part of
this project; what came out of it is.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Mapping
from pathlib import Path

COLUMNS = (
    "algorithm",
    "config",
    "backbone",
    "epochs",
    "batch_size",
    "benchmark",
    "variant",
    "metric",
    "value",
    "layer",
    "source",
)

ALGORITHMS = {
    "barlowtwins": "Barlow Twins",
    "beit": "BEiT",
    "beitv2": "BEiT v2",
    "byol": "BYOL",
    "cae": "CAE",
    "deepcluster": "DeepCluster",
    "densecl": "DenseCL",
    "eva": "EVA",
    "mae": "MAE",
    "maskfeat": "MaskFeat",
    "milan": "MILAN",
    "mixmim": "MixMIM",
    "mocov2": "MoCo v2",
    "mocov3": "MoCo v3",
    "npid": "NPID",
    "odc": "ODC",
    "pixmim": "PixMIM",
    "relative_loc": "Relative Location",
    "rotation_pred": "Rotation Prediction",
    "simclr": "SimCLR",
    "simmim": "SimMIM",
    "simsiam": "SimSiam",
    "swav": "SwAV",
}

BACKBONES = (
    # DeepCluster's network sees two Sobel gradients in place of three colours: another stem, another backbone.
    ("sobel_resnet50", "ResNet-50 (Sobel)"),
    ("resnet50", "ResNet-50"),
    ("vit-small", "ViT-S/16"),
    ("vit-base", "ViT-B/16"),
    ("vit-b", "ViT-B/16"),
    ("vit-large", "ViT-L/16"),
    ("vit-huge", "ViT-H/16"),
    ("swin-base", "Swin-B"),
    ("swin-large", "Swin-L"),
    ("mixmim-base", "MixMIM-B"),
)
"""What a config's name begins its backbone with."""

BENCHMARKS = {
    "voc07_svm": ("voc07_svm", "svm"),
    "voc07_svm_lowshot": ("voc07_svm", "lowshot_k{k}"),
    "imagenet_linear_mhead": ("imagenet_mhead", "{layer}"),
    "places205_linear_mhead": ("places205_mhead", "{layer}"),
    "imagenet_linear": ("imagenet_linear", "top1"),
    "imagenet_linear_avgpool": ("imagenet_linear", "top1"),
    "imagenet_finetune": ("imagenet_finetune", "top1"),
    "imagenet_knn": ("imagenet_knn", "knn_k{k}"),
    "voc0712_detection": ("voc0712_faster_rcnn", "AP50"),
    "coco2017_detection": ("coco_mask_rcnn", "{coco}"),
    "voc12aug_segmentation": ("voc12aug_fcn", "mIoU"),
}
"""Our benchmark and metric for each of theirs."""

LINEAR_VARIANTS = {
    "resnet50_linear-8xb512-coslr-90e_in1k": "",
    "resnet50_linear-8xb32-steplr-100e_in1k": "sgd-100e",
    "resnet50_linear-8xb32-coslr-100e_in1k": "cosine-100e",
}
"""Our variant of ``imagenet_linear`` for each of their configs; others keep their name, which is none of ours."""


def convert(row: Mapping[str, str]) -> dict[str, str]:
    """One row of the original in our names.

    Raises:
        KeyError, ValueError: The row is of a kind that this script does not know.
    """
    benchmark, metric = BENCHMARKS[row["benchmark"]]
    k = re.search(r"k=(\d+)", row["layer_or_k"])
    layer = re.search(r"feature[1-5]", row["layer_or_k"])
    facts = {
        "k": k[1] if k else "",
        "layer": layer[0] if layer else "",
        "coco": row["metric"].replace("box_", "bbox_").replace("mask_", "segm_"),
    }
    if row["unit"] != "percent":
        raise ValueError(f"unit {row['unit']}")
    names = (row["config"], row["label_or_remark"])
    return {
        "algorithm": ALGORITHMS[row["algorithm"]],
        # One row of the original has the backbone's name in place of a config's.
        "config": "" if row["config"] == "ViT-B/16" else row["config"],
        "backbone": _backbone(row["config"]),
        "epochs": _epochs(row["config"]),
        "batch_size": _batch_size(*names),
        "benchmark": benchmark,
        "variant": _variant(row),
        "metric": metric.format(**facts),
        "value": row["value"],
        "layer": facts["layer"] if benchmark == "voc07_svm" else "",
        "source": f"mmselfsup {row['release']} {row['source_file']}",
    }


def _backbone(config: str) -> str:
    return next(name for beginning, name in BACKBONES if beginning in config.lower())


def _epochs(config: str) -> str:
    found = re.search(r"-(\d+)e(?:_|$)", config)
    return found[1] if found else ""


def _batch_size(config: str, remark: str) -> str:
    if said := re.search(r"\bbs(\d+)", remark):
        return said[1]
    found = re.search(r"(\d+)xb(\d+)(?:-accum(\d+))?", config)
    return str(int(found[1]) * int(found[2]) * int(found[3] or 1)) if found else ""


def _variant(row: Mapping[str, str]) -> str:
    if row["benchmark"] == "imagenet_linear_avgpool":
        # Left over from OpenSelfSup: one more head of the multi-head evaluation, the best of its epochs.
        return "mhead-avgpool"
    config = row["downstream_config"]
    if row["benchmark"] in ("imagenet_linear", "imagenet_finetune"):
        # One algorithm's row names the config in another column, one names none.
        named = config or (row["layer_or_k"] if "_ft-" in row["layer_or_k"] else "unknown")
        return LINEAR_VARIANTS.get(named, named)
    return ""


def main() -> None:
    """Reads the first argument, writes the second."""
    original, converted = map(Path, sys.argv[1:])
    with original.open(newline="", encoding="utf-8") as stream:
        rows = [convert(row) for row in csv.DictReader(stream)]
    with converted.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} numbers")


if __name__ == "__main__":
    main()
