from __future__ import annotations

import dataclasses
import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.protocol import Protocol
from benchmarks.toolbox.config import training_loader
from benchmarks.toolbox.frozen import training_pipeline
from benchmarks.toolbox.modules import DrawnSamples, SeededBatches, SeededOrder, UnreadableImage, collate_readable
from benchmarks.toolbox.modules.images import Unreadable

IMAGES = 12
"""Images of the tiny data set: four of each of three classes."""


class Drawing:
    """A data set whose samples are what the three generators say."""

    metainfo: Any = None
    pipeline: Any = None

    def __init__(self, sizes: list[tuple[int, int]], unreadable: int | None = None) -> None:
        self.sizes = sizes
        self.unreadable = unreadable
        self.read: list[int] = []

    def get_data_info(self, index: int) -> dict[str, int]:
        width, height = self.sizes[index]
        return {"width": width, "height": height}

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[float, float, float]:
        self.read.append(index)
        if index == self.unreadable:
            raise Unreadable(UnreadableImage(f"{index}.jpg", "broken"))
        return random.random(), float(np.random.rand()), torch.rand(1).item()


class Refusing(list[int]):
    """Fails as a transform with a mistake would."""

    def append(self, index: int) -> None:
        raise ZeroDivisionError


def drawing(count: int, seed: int | None = 0, **options: Any) -> DrawnSamples:
    """Images of which the first two in three are wide, high or square in turn, the third high."""
    shapes = [(4, 3), (3, 3), (3, 4)]
    return DrawnSamples({"type": Drawing, "sizes": [shapes[index % 3] for index in range(count)], **options}, seed)


def batches(count: int, size: int, seed: int = 0, **options: Any) -> SeededBatches:
    return SeededBatches(SeededOrder(drawing(count, seed), seed), size, **options)


def first(made: SeededBatches, count: int) -> list[list[int]]:
    return list(itertools.islice(iter(made), count))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_at: Any) -> Any:
    tiny = tiny_at(tmp_path_factory.mktemp("images"))
    tiny.write_images(train=IMAGES // 3, val=1)
    return tiny.root


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    small = {"crop": 24, "batch_size": 5, "batch_size_per_rank": 5}
    return ImagenetMhead().protocol(profile="smoke", overrides=small)


def listed(root: Path, protocol: Protocol) -> dict[str, Any]:
    data = {"type": "ListedImages", "data": "imagenet", "root": str(root), "split": "train", "classes": 3}
    return {**data, "pipeline": training_pipeline(protocol)}


def loader(root: Path, protocol: Protocol, workers: int, seed: int = 0, **options: Any) -> Any:
    changed = dataclasses.replace(protocol.replace({"workers": workers}, "a test"))
    return Runner.build_dataloader(
        training_loader(listed(root, changed), changed, seed, stack=True, **options), seed=seed
    )


def pixels(built: Any, epoch: int) -> torch.Tensor:
    """Images of an epoch in the order of the list."""
    built.batch_sampler.sampler.set_epoch(epoch)
    order = [draw - epoch * IMAGES for batch in built.batch_sampler for draw in batch]
    images = torch.cat([batch["inputs"] for batch in built])
    return images[torch.tensor(order).argsort()]


def test_a_sample_is_a_function_of_seed_epoch_and_index(root: Path, protocol: Protocol) -> None:
    alone, together = loader(root, protocol, 0), loader(root, protocol, 2)
    first, second = pixels(alone, 3), pixels(alone, 4)
    # In the order of the list and backwards, in this process, whatever was drawn before.
    for order in (range(IMAGES), reversed(range(IMAGES))):
        for index in order:
            assert torch.equal(alone.dataset[3 * IMAGES + index]["inputs"], first[index])
    assert torch.equal(first, pixels(together, 3))
    # The workers live on: they have to hear of the next epoch.
    assert torch.equal(second, pixels(together, 4))
    assert torch.equal(first, pixels(alone, 3))
    assert not any(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    other_seed = pixels(loader(root, protocol, 0, seed=1), 3)
    assert not any(torch.equal(one, other) for one, other in zip(first, other_seed, strict=True))


def test_batches_of_workers_are_those_without(root: Path, protocol: Protocol) -> None:
    alone, together = (loader(root, protocol, workers, endless=True) for workers in (0, 2))
    for one, other in itertools.islice(zip(alone, together, strict=True), 6):
        assert torch.equal(one["inputs"], other["inputs"])


def test_all_generators_are_seeded_by_all_three_numbers() -> None:
    def draws(seed: int, epoch: int, index: int) -> tuple[float, float, float]:
        found: tuple[float, float, float] = drawing(5, seed)[5 * epoch + index]
        return found

    base = draws(1, 2, 3)
    assert draws(1, 2, 3) == base
    for other in (draws(2, 2, 3), draws(1, 3, 3), draws(1, 2, 4), draws(2, 1, 3), draws(1, 3, 2)):
        assert not set(other) & set(base)


def test_without_a_seed_the_generators_are_left_alone() -> None:
    samples = drawing(5, seed=None)
    assert not set(samples[0]) & set(samples[0])


def test_equal_images_of_joined_data_sets_are_drawn_differently(root: Path, protocol: Protocol) -> None:
    joined = DrawnSamples({"type": "ConcatDataset", "datasets": [listed(root, protocol)] * 2}, 0)
    joined.full_init()
    assert len(joined) == 2 * IMAGES
    assert joined.get_data_info(0)["img_path"] == joined.get_data_info(IMAGES)["img_path"]
    assert not torch.equal(joined[0]["inputs"], joined[IMAGES]["inputs"])
    # Epoch 1 begins behind all of them, not behind the first data set.
    assert not torch.equal(joined[IMAGES]["inputs"], DrawnSamples(listed(root, protocol), 0)[IMAGES]["inputs"])
    assert len(joined.pipeline.transforms) == len(training_pipeline(protocol))


def test_an_unreadable_image_comes_out_as_such(root: Path, protocol: Protocol, tmp_path: Path) -> None:
    samples = DrawnSamples(listed(root, protocol), 0)
    samples.full_init()
    path = Path(samples.get_data_info(7)["img_path"])
    whole = path.read_bytes()
    try:
        path.write_bytes(b"\xff\xd8\xff")
        found = samples[IMAGES + 7]
    finally:
        path.write_bytes(whole)
    assert isinstance(found, UnreadableImage)
    assert found.path == str(path)
    assert collate_readable([samples[6], found, samples[8]]) is found


def test_other_errors_are_not_taken_for_unreadable_images() -> None:
    samples = drawing(3, unreadable=1)
    assert samples[1] == UnreadableImage("1.jpg", "broken")
    samples.dataset.read = Refusing()
    with pytest.raises(ZeroDivisionError):
        samples[0]


@pytest.mark.parametrize(("size", "lengths"), [(4, [4, 4, 3]), (11, [11]), (20, [11]), (1, [1] * 11)])
@pytest.mark.parametrize("by_aspect", [False, True])
def test_every_image_comes_once_an_epoch(size: int, lengths: list[int], by_aspect: bool) -> None:
    made = batches(11, size, by_aspect=by_aspect)
    orders = []
    for epoch in (0, 1, 5):
        made.sampler.set_epoch(epoch)
        drawn = list(made)
        assert [len(batch) for batch in drawn] == lengths
        assert len(made) == len(lengths)
        draws = list(itertools.chain(*drawn))
        assert {draw // 11 for draw in draws} == {epoch}
        assert sorted(draw % 11 for draw in draws) == list(range(11))
        orders.append([draw % 11 for draw in draws])
    assert orders[0] != orders[1] != orders[2]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    order = SeededOrder(drawing(50), 3)
    assert order.draws(2) == SeededOrder(drawing(50), 3).draws(2)
    assert order.draws(2) != SeededOrder(drawing(50), 4).draws(2)
    assert [draw - 50 for draw in order.draws(1)] != order.draws(0)
    order.set_epoch(2)
    assert list(order) == order.draws(2)
    assert len(order) == 50


def test_endless_batches_reach_over_the_border() -> None:
    made = batches(7, 3, endless=True)
    drawn = first(made, 7)
    order = made.sampler
    assert list(itertools.chain(*drawn)) == order.draws(0) + order.draws(1) + order.draws(2)
    assert {draw // 7 for draw in drawn[2]} == {0, 1}


@pytest.mark.parametrize("size", [1, 2, 4])
def test_by_aspect_high_and_wide_never_mix(size: int) -> None:
    made = batches(13, size, endless=True, by_aspect=True)
    drawn = first(made, 60)
    shapes = [{width >= height for width, height in (made.sampler.dataset.dataset.sizes[d % 13] for d in batch)}
              for batch in drawn]  # fmt: skip
    assert {len(kinds) for kinds in shapes} == {1}
    assert {len(batch) for batch in drawn} == {size}
    assert set().union(*shapes) == {True, False}
    # Nothing is lost: only what waits for a batch to fill has not come yet.
    draws = list(itertools.chain(*drawn))
    assert len(set(draws)) == len(draws)
    missing = set(range(max(draws) // 13 * 13)) - set(draws)
    assert len(missing) <= 2 * (size - 1)


@pytest.mark.parametrize("size", [2, 4, 30])
def test_by_aspect_an_epoch_is_batched_as_mmdet_does(size: int) -> None:
    from mmdet.datasets.samplers import AspectRatioBatchSampler

    made = batches(23, size, by_aspect=True)
    assert list(made) == list(AspectRatioBatchSampler(SeededOrder(drawing(23), 0), size))


@pytest.mark.parametrize("by_aspect", [False, True])
@pytest.mark.parametrize("skip", [0, 1, 2, 3, 10, 17])
def test_what_is_passed_over_is_what_came_before(skip: int, by_aspect: bool) -> None:
    whole = first(batches(7, 3, endless=True, by_aspect=by_aspect), 30)
    resumed = batches(7, 3, endless=True, by_aspect=by_aspect)
    resumed.skip = skip
    assert first(resumed, 30 - skip) == whole[skip:]
    # The next beginning is one from the front.
    assert first(resumed, 2) == whole[:2]


def test_images_that_are_passed_over_are_not_read() -> None:
    made = batches(7, 3, endless=True)
    expected = first(batches(7, 3, endless=True), 6)[4:]
    made.skip = 4
    samples = made.sampler.dataset
    loading = torch.utils.data.DataLoader(samples, batch_sampler=made)
    assert len(list(itertools.islice(loading, 2))) == 2
    assert samples.dataset.read == [draw % 7 for draw in itertools.chain(*expected)]
