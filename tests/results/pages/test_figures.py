from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from results.pages.build import build_page
from results.pages.figures import draw, figures
from results.pages.series import Axis, Dot, Line, LinePlot, StripPlot
from tests.results.pages.html.sample import sample_entries

HOSTILE = ["$x^2", "$\\frac{", "a_b^c", "<b>&amp;", "名前", "x" * 300, "_hidden", "\u202e"]


def test_every_plot_of_a_page_is_an_svg_and_a_png() -> None:
    files = dict(figures(build_page("Model zoo", sample_entries())))
    names = set(files)
    assert {"imagenet_mhead-feature.svg", "voc07_svm-lowshot.png", "coco_mask_rcnn-published.svg"} <= names
    assert {name.replace(".svg", ".png") for name in names if name.endswith(".svg")} == {
        name for name in names if name.endswith(".png")
    }
    for name, content in files.items():
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag.endswith("svg")
        else:
            image = Image.open(io.BytesIO(content))
            assert image.size == (920, 640)
            # Something is drawn: not every pixel is white.
            assert image.convert("L").getextrema()[0] < 128


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_plot_gives_the_same_bytes(kind: str) -> None:
    plot = LinePlot("knn", "T", (Line("a", ((1, 2.0), (2, 3.0))),), Axis("k", ((1, "1"), (2, "2")), True))
    assert draw(plot, "H", kind) == draw(plot, "H", kind)
    assert b"Date" not in draw(plot, "H", kind)
    assert b"<dc:date>" not in draw(plot, "H", kind)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name: str) -> None:
    lines = LinePlot("knn", name[:40], (Line(name, ((1, 2.0), (2, 3.0))),), Axis("k", ((1, name[:9]),)))
    dots = StripPlot(name[:40], (Dot(name, 1.0, True), Dot(name, 2.0, False)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for plot in (lines, dots):
            ElementTree.fromstring(draw(plot, name[:40], "svg"))
