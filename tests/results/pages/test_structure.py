from __future__ import annotations

from typing import Any

from results.pages.sections import GROUPS, SECTIONS
from tests.results.pages.reading import (
    LAYERS,
    SHOTS,
    headings,
    render,
    rounded,
    tables,
)


def test_the_page_of_one_label_has_the_published_structure(builder: Any) -> None:
    jobs = {name: builder.finish(name, seed=0) for name in ("imagenet_knn", "imagenet_mhead", "voc07_svm")}
    builder.run({"simclr": "simclr"}, list(jobs.values()))
    paths = render(builder.workspace)
    assert [path.name for path in paths] == ["results.csv", "simclr.md"]
    assert headings(paths[1]) == [
        ("h1", "simclr"),
        ("h2", "Results and Models"),
        ("h3", "Classification"),
        ("h4", "VOC SVM / Low-shot SVM"),
        ("h4", "ImageNet Linear Evaluation"),
        ("h4", "ImageNet Nearest-Neighbor Classification"),
        ("h2", "How these numbers were made"),
    ]
    first, svm, knn = "Self-Supervised Config", jobs["voc07_svm"], jobs["imagenet_knn"]
    assert [cells for _, _, cells, _ in tables(paths[1])] == [
        [
            [first, "Best Layer", "SVM", *(f"k={k}" for k in SHOTS)],
            ["simclr", "feature5", rounded(svm, "svm", 2), *(rounded(svm, f"lowshot_k{k}", 2) for k in SHOTS)],
        ],
        [
            [first, *(f"Feature{layer}" for layer in LAYERS)],
            ["simclr", *(rounded(svm, f"svm_feature{layer}", 2) for layer in LAYERS)],
        ],
        [
            [first, *(f"Feature{layer}" for layer in LAYERS)],
            ["simclr", *(rounded(jobs["imagenet_mhead"], f"feature{layer}", 2) for layer in LAYERS)],
        ],
        [
            [first, *(f"k={k}" for k in (10, 20, 100, 200))],
            ["simclr", *(rounded(knn, f"knn_k{k}", 1) for k in (10, 20, 100, 200))],
        ],
    ]
    assert tables(paths[1])[1][1] == ["SVM per layer"]


def test_hidden_metrics_are_in_the_csv_and_on_no_page(builder: Any) -> None:
    builder.finish("imagenet_mhead", seed=0)
    builder.run({"a": "simclr"})
    table, page = render(builder.workspace)
    assert "feature5_top5" in table.read_text()
    assert "top-5" not in page.read_text()


def test_every_benchmark_of_the_suite_has_its_place(builder: Any) -> None:
    for section in reversed(SECTIONS):
        builder.finish(section.benchmark)
    builder.finish("zz_of_a_plug_in")
    builder.run({"a": "simclr"})
    expected = [
        ("h3", "Classification"),
        ("h4", "VOC SVM / Low-shot SVM"),
        ("h4", "ImageNet Linear Evaluation"),
        ("h4", "Places205 Linear Evaluation"),
        ("h4", "iNaturalist2018 Linear Evaluation"),
        ("h4", "ImageNet Nearest-Neighbor Classification"),
        ("h4", "Folder of Images"),
        ("h3", "Detection"),
        ("h4", "Pascal VOC 2007 + 2012"),
        ("h4", "COCO2017"),
        ("h3", "Segmentation"),
        ("h4", "Pascal VOC 2012 + Aug"),
        ("h4", "Cityscapes"),
        ("h3", "Other benchmarks"),
        ("h4", "zz_of_a_plug_in"),
    ]
    page = render(builder.workspace)[1]
    assert headings(page)[2:-1] == expected
    # Multi-head and average-pooled linear evaluation share a heading; SVM has two tables.
    assert len(tables(page)) == len(SECTIONS) + 2


def test_a_section_belongs_to_a_group_and_no_benchmark_has_two() -> None:
    assert {section.group for section in SECTIONS} <= {group.name for group in GROUPS}
    assert len({section.benchmark for section in SECTIONS}) == len(SECTIONS)


def test_nothing_is_said_of_benchmarks_that_were_not_run(builder: Any) -> None:
    builder.finish("imagenet_knn")
    builder.run({"a": "simclr"})
    text = render(builder.workspace)[1].read_text()
    for word in ("VOC", "Places", "iNaturalist", "COCO", "Cityscapes", "SVM", "Detection", "Segmentation", "Feature1"):
        assert word not in text


def test_trailing_zeros_stay(builder: Any) -> None:
    builder.finish("voc07_svm", values={"lowshot_k96": 77.4, "svm": 80.0, "lowshot_k1": 0.0})
    builder.run({"a": "simclr"})
    row = tables(render(builder.workspace)[1])[0][2][1]
    assert (row[2], row[3], row[-1]) == ("80.00", "0.00", "77.40")
