from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.toolbox.multi_head import training_pipeline
from mmengine.runner import Runner
from PIL import Image
from torchvision import transforms

from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.protocol import Protocol
from benchmarks.toolbox.modules import PCALighting, SeedSample, collate_readable


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_at: Any) -> Any:
    tiny = tiny_at(tmp_path_factory.mktemp("images"))
    tiny.write_images(train=4, val=1)
    return tiny.root


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return ImagenetMhead().protocol(profile="smoke", overrides={"crop": 24})


def loader(root: Path, protocol: Protocol, workers: int, seed: int = 0, shuffle: bool = False) -> Any:
    dataset = {"type": "mmpretrain.ListedImages", "data": "imagenet", "root": str(root), "split": "train", "classes": 3}
    return Runner.build_dataloader(
        {
            "dataset": {**dataset, "pipeline": training_pipeline(protocol, seed)},
            "batch_size": 5,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "collate_fn": {"type": "collate_readable"},
            "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        },
        seed=seed,
    )


def pixels(built: Any, epoch: int) -> torch.Tensor:
    built.dataset.pipeline.transforms[0].set_epoch(epoch)
    built.sampler.set_epoch(epoch)
    order = list(built.sampler)
    images = torch.cat([batch["inputs"] for batch in built])
    return images[torch.tensor(order).argsort()]


def test_a_sample_is_a_function_of_seed_epoch_and_index(root: Path, protocol: Protocol) -> None:
    alone, together = loader(root, protocol, 0), loader(root, protocol, 2, shuffle=True)
    first, second = pixels(alone, 3), pixels(alone, 4)
    assert torch.equal(first, pixels(together, 3))
    # The workers live on: they have to hear of the next epoch.
    assert torch.equal(second, pixels(together, 4))
    assert torch.equal(first, pixels(alone, 3))
    assert not any(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    other_seed = pixels(loader(root, protocol, 0, seed=1), 3)
    assert not any(torch.equal(one, other) for one, other in zip(first, other_seed, strict=True))


def test_all_generators_are_seeded_by_all_four_numbers() -> None:
    def draws(seed: int, epoch: int, index: int, view: int) -> tuple[float, float, float]:
        transform = SeedSample(seed, view)
        transform.set_epoch(epoch)
        transform({"sample_idx": index})
        return random.random(), float(np.random.rand()), torch.rand(1).item()

    base = draws(1, 2, 3, 0)
    assert draws(1, 2, 3, 0) == base
    for other in (draws(2, 2, 3, 0), draws(1, 3, 3, 0), draws(1, 2, 4, 0), draws(1, 2, 3, 1)):
        assert not set(other) & set(base)


def test_training_pipeline_against_torchvision(root: Path, protocol: Protocol) -> None:
    dataset = loader(root, protocol, 0).dataset
    sample = dataset[5]["inputs"]

    SeedSample(0)({"sample_idx": 5})
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
    dataset = loader(root, protocol, 0).dataset
    batch = collate_readable([dataset[0], dataset[1]])
    assert batch["inputs"].shape == (2, 3, 24, 24)
