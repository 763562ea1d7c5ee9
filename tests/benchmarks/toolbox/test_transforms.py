from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.classification.places205_mhead import Places205Mhead
from benchmarks.protocol import Protocol
from benchmarks.toolbox.frozen import training_pipeline
from benchmarks.toolbox.modules import DrawnSamples, PCALighting, collate_readable
from benchmarks.toolbox.modules.samples import seed_generators


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_at: Any) -> Any:
    tiny = tiny_at(tmp_path_factory.mktemp("images"))
    tiny.write_images(train=4, val=1)
    return tiny.root


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return ImagenetMhead().protocol(profile="smoke", overrides={"crop": 24})


def samples(root: Path, protocol: Protocol) -> DrawnSamples:
    data = {"type": "ListedImages", "data": "imagenet", "root": str(root), "split": "train", "classes": 3}
    return DrawnSamples({**data, "pipeline": training_pipeline(protocol)}, 0)


def test_training_pipeline_against_torchvision(root: Path, protocol: Protocol) -> None:
    dataset = samples(root, protocol)
    sample = dataset[5]["inputs"]

    seed_generators(0, 0, 5)
    image = transforms.Compose(
        [
            transforms.RandomResizedCrop(24, (0.08, 1.0), (3 / 4, 4 / 3), transforms.InterpolationMode.BILINEAR),
            transforms.RandomHorizontalFlip(0.5),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.0),
            transforms.ToTensor(),
        ]
    )(Image.open(dataset.get_data_info(5)["img_path"]))
    vectors = np.array(protocol["lighting_eigenvectors"])
    alpha = np.random.normal(0, 0.1, 3)
    shift = sum(vectors[:, i] * alpha[i] * protocol["lighting_eigenvalues"][i] for i in range(3))
    expected = 255 * (image + torch.tensor(shift, dtype=torch.float32)[:, None, None])
    # OpenCV and PIL decode JPEG by the same library, but may differ by a level or two where chroma is upsampled.
    assert sample.shape == (3, 24, 24)
    difference = (sample.flip(0) - expected).abs()
    assert difference.max() <= 8
    assert difference.mean() <= 0.5


def test_places205_pipeline_against_torchvision(root: Path) -> None:
    small = {"short_edge": 30, "training_center_crop": 28, "crop": 20}
    dataset = samples(root, Places205Mhead().protocol(profile="smoke", overrides=small))
    flips = 0
    for index in range(12):
        sample = dataset[index]["inputs"]
        seed_generators(0, 0, index)
        image = transforms.Compose(
            [
                transforms.Resize(30),
                transforms.CenterCrop(28),
                transforms.RandomCrop(20),
                transforms.RandomHorizontalFlip(0.5),
                transforms.PILToTensor(),
            ]
        )(Image.open(dataset.get_data_info(index)["img_path"]))
        # No jitter and no lighting: 8-bit values, which differ by the decoders only.
        assert sample.dtype == torch.uint8
        assert sample.shape == (3, 20, 20)
        difference = (sample.flip(0).float() - image.float()).abs()
        assert difference.max() <= 8
        assert difference.mean() <= 0.5
        mirrored = (sample.flip(0).flip(2).float() - image.float()).abs()
        flips += int(mirrored.mean() > difference.mean())
    assert flips == 12, "images too regular to show a flip"


def test_places205_has_neither_jitter_nor_lighting() -> None:
    steps = training_pipeline(Places205Mhead().protocol())
    assert [step["type"].removeprefix("torchvision/") for step in steps] == [
        "ReadImage",
        "NumpyToPIL",
        "Resize",
        "CenterCrop",
        "RandomCrop",
        "RandomHorizontalFlip",
        "PILToNumpy",
        "PackInputs",
    ]
    assert [steps[number]["size"] for number in (2, 3, 4)] == [256, 256, 224]


def test_lighting_against_its_formula() -> None:
    values, vectors = (0.2, 0.02, 0.005), ((0.5, 0.7, 0.4), (-0.6, 0.1, -0.8), (-0.6, -0.7, 0.4))
    transform = PCALighting(values, vectors, 0.1)
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    np.random.seed(3)
    found = transform({"img": image})["img"]
    np.random.seed(3)
    alpha = np.random.normal(0, 0.1, 3)
    for bgr, row in ((2, 0), (1, 1), (0, 2)):
        added = 255 * sum(vectors[row][i] * alpha[i] * values[i] for i in range(3))
        np.testing.assert_allclose(found[..., bgr], image[..., bgr] + added, atol=1e-4)


def test_lighting_neither_wraps_nor_clips() -> None:
    transform = PCALighting((10.0, 10.0, 10.0), np.eye(3).tolist(), 1.0)
    np.random.seed(0)
    extremes = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    found = transform({"img": extremes})["img"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 1] - found[0, 0], 255, atol=1e-3)
    assert found.max() > 255


def test_lighting_has_the_spread_of_its_components() -> None:
    transform = PCALighting((2.0, 1.0, 0.5), np.eye(3).tolist(), 0.1)
    np.random.seed(0)
    black = np.zeros((1, 1, 3), dtype=np.uint8)
    shifts = np.stack([transform({"img": black})["img"][0, 0, ::-1] for _ in range(4000)]) / 255
    # Standard error of a standard deviation from 4,000 draws: 1.1 %.
    np.testing.assert_allclose(shifts.std(0), [0.2, 0.1, 0.05], rtol=0.05)


def test_collating_readable_samples(root: Path, protocol: Protocol) -> None:
    dataset = samples(root, protocol)
    batch = collate_readable([dataset[0], dataset[1]])
    assert batch["inputs"].shape == (2, 3, 24, 24)
