"""COCO 2017: images and annotations lie in the archives as the layout has them."""

from __future__ import annotations

from benchmarks.datasets.prepare.recipe import Recipe, Rule

COCO = Recipe(
    archives=("train2017.zip", "val2017.zip", "annotations_trainval2017.zip"),
    rules=(
        Rule(r"(train2017|val2017)/([^/.][^/]*\.jpg)", r"coco/\1/\2"),
        Rule(r"(instances_(?:train|val)2017\.json)", r"coco/annotations/\1"),
    ),
)
