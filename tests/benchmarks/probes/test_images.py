from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from benchmarks.base import PixelPipeline
from benchmarks.probes.images import decode, image_batches, transform
from results.errors import HarnessError


def picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 160), st.integers(20, 160), st.integers(32, 80), st.booleans())
def test_pixels_are_those_of_torchvision(height: int, width: int, short_edge: int, squash: bool) -> None:
    """mmselfsup 0.x builds its pipeline of torchvision's transforms: every pixel equal, rounding of sizes included."""
    image, side = picture(height, width), short_edge * 7 // 8
    second = transforms.Resize((side, side)) if squash else transforms.CenterCrop(side)
    expected = np.asarray(second(transforms.Resize(short_edge)(image)))
    pixels = PixelPipeline(short_edge, squash=side) if squash else PixelPipeline(short_edge, crop=side)
    np.testing.assert_array_equal(transform(image, pixels), expected)


def test_decoding_gives_rgb(tmp_path: Path) -> None:
    picture(9, 14).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "a.png")), np.asarray(picture(9, 14)))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_kinds_of_images_become_rgb(tmp_path: Path, mode: str) -> None:
    picture(9, 14).convert(mode).save(tmp_path / "a.png")
    assert np.asarray(decode(tmp_path / "a.png")).shape == (9, 14, 3)


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    flat = np.zeros((16, 32, 3), dtype=np.uint8)
    flat[:, :16] = 250
    Image.fromarray(flat).save(tmp_path / "a.jpg", exif=exif, quality=95)
    turned = np.asarray(decode(tmp_path / "a.jpg"))
    assert turned.shape == (32, 16, 3)
    assert turned[:12].mean() > 240
    assert turned[20:].mean() < 10


def content(kind: str) -> bytes:
    stream = io.BytesIO()
    picture(90, 80).save(stream, format="PNG" if "png" in kind else "JPEG")
    data = stream.getvalue()
    return {"empty": b"", "text": b"<html>404</html>", "zeros": bytes(3000)}.get(kind, data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["empty", "text", "zeros", "half a jpeg", "half a png", "missing", "folder"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_named(tmp_path: Path, kind: str, workers: int) -> None:
    picture(40, 50).save(tmp_path / "good.png")
    bad = tmp_path / "bad {} image\n.JPEG"
    if kind == "folder":
        bad.mkdir()
    elif kind != "missing":
        bad.write_bytes(content(kind))
    with pytest.raises(HarnessError) as caught:
        list(image_batches([tmp_path / "good.png", bad], PixelPipeline(40, squash=32), 2, workers, False))
    assert caught.value.where == str(bad)
    assert caught.value.mend


def test_batches_are_in_order_whatever_reads_them(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        picture(40 + number, 50).save(path)
    pixels = PixelPipeline(40, squash=32)
    expected = np.stack([transform(decode(path), pixels) for path in paths])
    for batch, workers in ((1, 0), (3, 0), (7, 2), (2, 2)):
        found = [part.numpy() for part in image_batches(paths, pixels, batch, workers, False)]
        assert [len(part) for part in found[:-1]] == [batch] * (len(found) - 1)
        np.testing.assert_array_equal(np.concatenate(found), expected)
