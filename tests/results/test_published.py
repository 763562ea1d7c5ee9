from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.catalogue import catalogue
from results.entries import Entry, Label, entry_of_record
from results.published import BACKBONE, apart, comparable, published, rank, same_protocol

ROOT = Path(__file__).resolve().parents[2]


def test_there_are_429_numbers_of_23_algorithms() -> None:
    assert len(published()) == 429
    assert len({each.algorithm for each in published()}) == 23
    assert Counter(each.benchmark for each in published()) == {
        "voc07_svm": 108,
        "imagenet_mhead": 75,
        "places205_mhead": 65,
        "coco_mask_rcnn": 54,
        "imagenet_knn": 52,
        "imagenet_linear": 31,
        "imagenet_finetune": 24,
        "voc0712_faster_rcnn": 10,
        "voc12aug_fcn": 10,
    }
    assert Counter(each.backbone for each in published())["ResNet-50 (Sobel)"] == 20


@pytest.mark.parametrize(
    ("config", "benchmark", "variant", "metric", "text"),
    [
        # Read off the published SimCLR page by eye.
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "voc07_svm", "", "svm", "79.98"),
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "voc07_svm", "", "lowshot_k96", "77.4"),
        ("simclr_resnet50_16xb256-coslr-200e_in1k", "imagenet_mhead", "", "feature4", "59.44"),
        ("simclr_resnet50_16xb256-coslr-800e_in1k", "imagenet_linear", "", "top1", "69.2"),
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "places205_mhead", "", "feature1", "20.60"),
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "imagenet_knn", "", "knn_k20", "48.4"),
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "voc0712_faster_rcnn", "", "AP50", "79.38"),
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "coco_mask_rcnn", "", "segm_AP75", "37.5"),
        ("simclr_resnet50_8xb32-coslr-200e_in1k", "voc12aug_fcn", "", "mIoU", "64.03"),
        ("barlowtwins_resnet50_8xb256-coslr-300e_in1k", "imagenet_linear", "cosine-100e", "top1", "71.8"),
    ],
)
def test_a_published_cell_is_there_under_our_name(
    config: str, benchmark: str, variant: str, metric: str, text: str
) -> None:
    (found,) = [
        each
        for each in published()
        if (each.config, each.benchmark, each.variant, each.metric) == (config, benchmark, variant, metric)
    ]
    assert found.text == text
    assert found.value == float(text)
    assert found.source == f"mmselfsup 1.x configs/selfsup/{config.partition('_')[0]}/README.md"


def test_benchmarks_metrics_and_variants_are_those_of_the_catalogue() -> None:
    foreign = set()
    for each in published():
        if each.benchmark == "imagenet_finetune":
            continue
        benchmark = catalogue()[each.benchmark]
        assert each.metric in {column.metric for column in benchmark.columns(benchmark.protocol())}
        if each.variant and each.variant not in benchmark.variants:
            foreign.add((each.benchmark, each.variant, each.backbone))
    resnets = {variant for benchmark, variant, backbone in foreign if backbone.startswith("ResNet")}
    # MoCo v3's config, and the sixth column that DeepCluster and ODC have left over from OpenSelfSup.
    assert resnets == {"resnet50_linear-8xb128-coslr-90e_in1k", "mhead-avgpool"}


def entry(builder: Any, **changes: Any) -> Entry:
    record = builder.make("imagenet_knn", **changes)
    return entry_of_record(Label("a", record.backbone), record)


def test_a_number_is_compared_with_the_same_backbone_and_variant_only(builder: Any) -> None:
    others = comparable(entry(builder), "knn_k10")
    assert len(others) == 13
    assert {(each.backbone, each.variant) for each in others} == {(BACKBONE, "")}
    assert [each.value for each in others] == sorted((each.value for each in others), reverse=True)
    linear = same_protocol("imagenet_linear", "cosine-100e", "top1")
    assert {each.algorithm for each in linear} == {"Barlow Twins", "SwAV"}
    rest = apart("imagenet_linear", "cosine-100e", "top1")
    assert len(rest) == 31 - 2
    assert not set(rest) & set(linear)


@pytest.mark.parametrize(
    "change", [{"profile": "smoke"}, {"modified": ["temperature"]}, {"protocol": "imagenet_knn@other"}]
)
def test_what_is_no_result_of_the_published_protocol_has_no_place(change: dict[str, Any], builder: Any) -> None:
    assert comparable(entry(builder, **change), "knn_k10") == ()


def test_a_number_on_non_standard_data_has_no_place(builder: Any) -> None:
    one = entry(builder)
    data = dataclasses.replace(one.data, nonstandard=("ImageNet-1k has 10 classes, not 1,000.",))
    assert comparable(dataclasses.replace(one, data=data), "knn_k10") == ()


def test_places_by_hand() -> None:
    others = same_protocol("voc12aug_fcn", "", "mIoU")
    values = [each.value for each in others]
    assert rank(100.0, 2, others).place == 1
    assert rank(100.0, 2, others).above is None
    assert rank(100.0, 2, others).below == others[0]
    assert rank(0.0, 2, others) == dataclasses.replace(
        rank(0.0, 2, others), place=11, of=11, above=others[-1], below=None
    )
    # Equal to the last published digit: the same place.
    middle = rank(values[4] + 0.004, 2, others)
    assert (middle.place, middle.above, middle.below) == (5, others[3], others[5])


def test_the_conversion_says_what_it_was_told(tmp_path: Path) -> None:
    head = (
        "algorithm,config,benchmark,metric,layer_or_k,value,unit,downstream_config,label_or_remark,release,source_file"
    )
    lines = [
        "byol,byol_resnet50_8xb32-accum16-coslr-200e_in1k,voc07_svm_lowshot,mAP,feature5;k=16,78.30,percent,,x,1.x,a.md",
        "mae,mae_vit-base-p16_8xb512-amp-coslr-300e_in1k,imagenet_finetune,top1,,83.1,percent,ft,ViT bs4096,1.x,b.md",
    ]
    (tmp_path / "in.csv").write_text("\n".join([head, *lines]))
    subprocess.run(
        [sys.executable, str(ROOT / "tools/convert_published.py"), str(tmp_path / "in.csv"), str(tmp_path / "out.csv")],
        check=True,
    )
    with (tmp_path / "out.csv").open(newline="") as stream:
        first, second = ([*row.values()] for row in csv.DictReader(stream))
    config = "byol_resnet50_8xb32-accum16-coslr-200e_in1k"
    facts = ["ResNet-50", "200", "4096", "voc07_svm", "", "lowshot_k16", "78.30", "feature5"]
    assert first == ["BYOL", config, *facts, "mmselfsup 1.x a.md"]
    facts = ["ViT-B/16", "300", "4096", "imagenet_finetune", "ft", "top1", "83.1", ""]
    assert second == ["MAE", "mae_vit-base-p16_8xb512-amp-coslr-300e_in1k", *facts, "mmselfsup 1.x b.md"]
