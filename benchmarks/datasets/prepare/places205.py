"""Places205: the release of 256x256 pixels with its lists, both as the layout has them."""

from __future__ import annotations

from benchmarks.datasets.prepare.recipe import Recipe, Rule

PLACES205 = Recipe(
    archives=("imagesPlaces205_resize.tar.gz", "trainvalsplit_places205.zip"),
    rules=(
        Rule(r"images256/((?:[^/]+/)+[^/.][^/]*\.jpg)", r"Places205/data/vision/torralba/deeplearning/images256/\1"),
        Rule(r"((?:train|val)_places205\.csv)", r"Places205/trainvalsplit_places205/\1"),
    ),
)
