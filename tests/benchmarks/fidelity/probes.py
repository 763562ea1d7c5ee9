"""Checks of the benchmarks on stored features, sections 5 and 6, and made-up features for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet50

from benchmarks.base import Numerics, PixelPipeline
from benchmarks.catalogue import find_benchmark
from benchmarks.input_convention import input_convention
from benchmarks.probes.feature_store import FeatureFolder, LayerWriter
from benchmarks.probes.features import build_extractor
from benchmarks.probes.images import decode
from benchmarks.probes.images import transform as transformed
from tests.benchmarks.conftest import untrained
from tests.benchmarks.fidelity.checks import MEAN, STD, read_rgb
from tests.benchmarks.fidelity.multi_head import POOLS


def noise_image(path: Path, width: int, height: int) -> Path:
    """A JPEG in which every resize and crop shows."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(small).resize((width, height))) + random.normal(0, 20, (height, width, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=95)
    return path


def check_pixels(name: str, folder: Path, second: Any) -> None:
    """Short edge 256, then ``second``, both PIL's bilinear: equal to torchvision's to the bit."""
    request = find_benchmark(name).feature_request(find_benchmark(name).protocol())
    assert request is not None
    for width, height in ((500, 333), (281, 375)):
        path = noise_image(folder / f"{width}.jpg", width, height)
        expected = transforms.Compose([transforms.Resize(256), second])(Image.fromarray(read_rgb(str(path))))
        assert np.array_equal(transformed(decode(path), request.pixels), np.array(expected))


def check_features(name: str, folder: Path, pixels: PixelPipeline, layers: tuple[str, ...], pooled: bool) -> None:
    """Features as they are extracted, against plain torch on torchvision's network, at 224 pixels.

    Args:
        name: Of the benchmark.
        folder: For an image.
        pixels: What the extraction must ask for.
        layers: Likewise.
        pooled: Whether the maps are pooled to grids (section 2.1), else globally averaged.
    """
    request = find_benchmark(name).feature_request(find_benchmark(name).protocol())
    assert request is not None
    assert (request.pixels, request.layers) == (pixels, layers)
    path = noise_image(folder / "image.jpg", 400, 300)
    tensors, _ = untrained()
    extractor = build_extractor(tensors, request, input_convention("rgb-mean-std"), Numerics(), "cpu", 1)
    assert not extractor.model.training
    (found,) = extractor.features([path])
    reference = resnet50(weights=None)
    reference.load_state_dict(tensors, strict=False)
    reference.eval()
    image = torch.from_numpy(transformed(decode(path), request.pixels).copy()).permute(2, 0, 1).double()
    inputs = transforms.functional.normalize(image, MEAN, STD).float()[None]
    with torch.no_grad():
        # Before the max-pool.
        maps = [torch.relu(reference.bn1(reference.conv1(inputs)))]
        inner = reference.maxpool(maps[0])
        for stage in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            inner = stage(inner)
            maps.append(inner)
        for layer, source in zip(POOLS, maps, strict=True):
            _, kernel, stride, padding, _, dimension = POOLS[layer]
            grid = torch.nn.AvgPool2d(kernel, stride, padding, count_include_pad=True)(source).flatten(1)
            if layer in layers:
                expected = grid if pooled else source.mean((2, 3))
                assert expected.shape == (1, dimension if pooled else 2048)
                torch.testing.assert_close(found[layer], expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


@dataclasses.dataclass
class Recorded:
    """What was asked of scikit-learn's LinearSVC.

    Args:
        settings: Arguments of every machine, in order.
        fits: Rows, positives and cost of every fit, in order.
        drawn: Of every fit the numbers of its rows, which the features hold.
    """

    settings: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    fits: list[tuple[int, int, float]] = dataclasses.field(default_factory=list)
    drawn: list[tuple[int, ...]] = dataclasses.field(default_factory=list)

    def machine(self) -> type:
        """A class that stands in for LinearSVC: it separates the means, whatever the cost."""
        record = self

        class Machine:
            def __init__(self, **settings: Any) -> None:
                record.settings.append(settings)
                self.cost = settings["C"]

            def fit(self, rows: Any, targets: Any) -> Machine:
                assert set(np.unique(targets)) == {-1, 1}
                record.fits.append((len(rows), int((targets == 1).sum()), self.cost))
                # Rows are normalised: the last feature over the one before gives their number.
                record.drawn.append(tuple(np.round(rows[:, -1] / rows[:, -2] * 1000).astype(int).tolist()))
                self.coef_ = (rows[targets == 1].mean(0) - rows[targets == -1].mean(0))[None]
                self.intercept_, self.n_iter_ = np.zeros(1), 1
                return self

            def decision_function(self, rows: Any) -> Any:
                return rows @ self.coef_[0]

        return Machine


def write_features(folder: Path, splits: dict[str, Any], layers: tuple[str, ...]) -> None:
    """A complete feature folder with the same rows in every layer."""
    with FeatureFolder(folder) as target:
        entries: dict[str, Any] = {}
        for split, rows in splits.items():
            written = {}
            for layer in layers:
                writer = LayerWriter(target.path, split, layer, len(rows), 4096)
                writer.append(rows.astype(np.float32))
                written[layer] = writer.entry()
            entries[split] = {"count": len(rows), "layers": written}
        target.publish({"schema": 1, "splits": entries})
