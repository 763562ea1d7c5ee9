"""Checks that several benchmarks share. What is expected is given by the tests, written by hand from the protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tests.benchmarks.fidelity.built import STEPPED, Built, Trace

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""RGB, section 1.1 and everywhere else."""

SYNCED = ("SyncBatchNorm", "_BatchNormXd")
"""What SyncBN is built as: mmengine makes the second of the first where there is one process, and of no other norm."""

BACKBONE_NORMS = 53
"""BatchNorms of a ResNet-50: one in the stem, three in each of 16 blocks, four shortcuts."""


def check_optimizer(built: Built, kind: str, lr: float, **settings: Any) -> None:
    """Every parameter that is trained stands in one group, with these settings and no other treatment.

    Args:
        built: What was built.
        kind: Name of the optimiser's class.
        lr: Learning rate before any schedule.
        **settings: Other entries of every group.
    """
    optimizer = built.optimizer
    assert type(optimizer).__name__ == kind
    grouped = [id(value) for group in optimizer.param_groups for value in group["params"] if value.requires_grad]
    trained = [id(value) for value in built.model.parameters() if value.requires_grad]
    assert sorted(grouped) == sorted(trained)
    for group in optimizer.param_groups:
        found = {name: group.get(name) for name in settings}
        assert found == settings, found
        assert group["initial_lr"] == lr, group["initial_lr"]
        assert not group.get("lars_exclude")
    assert built.runner.optim_wrapper.clip_grad_kwargs is None
    assert built.runner.optim_wrapper._accumulative_counts == 1


def check_rates(trace: Trace, iterations: int, expected: Mapping[int, float]) -> None:
    """Length of training, and the learning rate of some iterations, the first one being 0; one step in each."""
    assert len(trace.rates) == iterations
    # Chained products of float64 over 40,000 iterations.
    found = {iteration: trace.rates[iteration] for iteration in expected}
    for iteration, rate in expected.items():
        assert abs(found[iteration] - rate) <= 1e-7 * rate + 1e-12, (iteration, found[iteration], rate)
    assert trace.steps == [1] * STEPPED


def check_frozen(built: Built) -> None:
    """Backbone without gradients and with its norms in evaluation, all else trained, also after ``train()``."""
    model = built.model
    assert not any(value.requires_grad for value in model.backbone.parameters())
    norms = [part for part in model.backbone.modules() if isinstance(part, _BatchNorm)]
    assert len(norms) == BACKBONE_NORMS
    assert not any(norm.training for norm in norms)
    assert all(norm.track_running_stats for norm in norms)
    assert all(value.requires_grad for value in model.head.parameters())
    assert all(part.training for part in model.head.modules())


def check_trained(built: Built, norms: int) -> None:
    """Nothing frozen: gradients everywhere, all modules training, all norms SyncBN with affine parameters."""
    model = built.model
    assert all(value.requires_grad for value in model.parameters())
    assert all(part.training for part in model.modules())
    found = [part for part in model.modules() if isinstance(part, _BatchNorm)]
    assert len(found) == norms
    for norm in found:
        assert type(norm).__name__ in SYNCED
        assert norm.affine
        assert norm.track_running_stats
        assert (norm.eps, norm.momentum) == (1e-5, 0.1)


def check_plain_resnet(backbone: Any, stages: int) -> None:
    """The 7x7 stem, and strides on the 3x3 convolutions."""
    assert backbone.conv1.weight.shape == (64, 3, 7, 7)
    assert (backbone.conv1.stride, backbone.conv1.padding) == ((2, 2), (3, 3))
    assert not hasattr(backbone, "stem")
    assert not backbone.deep_stem
    assert not backbone.avg_down
    names = [f"layer{number}" for number in range(1, stages + 1)]
    assert backbone.res_layers == names
    for name, blocks in zip(names, (3, 4, 6, 3), strict=False):
        stage = getattr(backbone, name)
        assert len(stage) == blocks
        assert all(block.conv1.stride == (1, 1) and block.conv3.stride == (1, 1) for block in stage)


def read_rgb(path: str) -> npt.NDArray[np.uint8]:
    """An image as OpenCV decodes it, in RGB."""
    return np.ascontiguousarray(cv2.imread(path, cv2.IMREAD_COLOR)[:, :, ::-1])


def normalised(pixels: Any) -> torch.Tensor:
    """RGB [h, w, 3] of 0 to 255 as the network's input [3, h, w], by the formula."""
    values = (np.asarray(pixels, dtype=np.float64) - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(values).permute(2, 0, 1).float()


def network_input(built: Built, loader: Any, draw: int, training: bool) -> tuple[str, Any]:
    """What the network gets of one draw of a loader: the image's path, and the preprocessor's output."""
    dataset = loader.dataset
    batch = loader.collate_fn([dataset[draw]])
    path = dataset.get_data_info(draw % len(dataset))["img_path"]
    return path, built.model.data_preprocessor(batch, training)


def check_fitted_pixels(built: Built, long_edge: int, short_edge: int, divisor: int) -> None:
    """Test images end to end: OpenCV's bilinear resize into the given edges, normalised RGB, padded with zeros."""
    path, found = network_input(built, built.val_loader, 0, training=False)
    image = read_rgb(path)
    height, width = image.shape[:2]
    factor = min(long_edge / max(height, width), short_edge / min(height, width))
    size = (int(width * factor + 0.5), int(height * factor + 0.5))
    expected = normalised(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
    inputs = found["inputs"][0]
    padded = tuple(-(-side // divisor) * divisor for side in (size[1], size[0]))
    assert inputs.shape == (3, *padded)
    torch.testing.assert_close(inputs[:, : size[1], : size[0]], expected, atol=1e-4, rtol=0)
    assert not inputs[:, size[1] :].any()
    assert not inputs[:, :, size[0] :].any()


def check_loaders(built: Built, batch_size: int, val_batch_size: int) -> None:
    """Training images once an epoch in an order that changes, test images in the order of their list."""
    train, val = built.train_loader, built.val_loader
    assert train.batch_sampler.batch_size == batch_size
    assert not getattr(train, "drop_last", False)
    sampler = train.batch_sampler.sampler
    count = len(train.dataset)
    epochs = [[draw - epoch * count for draw in sampler.draws(epoch)] for epoch in range(6)]
    assert all(sorted(order) == list(range(count)) for order in epochs)
    assert len({tuple(order) for order in epochs}) > 1
    assert val.batch_size == val_batch_size
    assert list(val.sampler) == list(range(len(val.dataset)))


def steps_of(loader: Any) -> list[Any]:
    """Transforms of a loader's images."""
    return list(loader.dataset.pipeline.transforms)


def check_kinds(steps: Sequence[Any], kinds: Sequence[str]) -> None:
    """Transforms by the names of their classes, in order."""
    assert [type(step).__name__ for step in steps] == list(kinds)


def check_settings(part: Any, **expected: Any) -> None:
    """Attributes of a built object."""
    found = {name: getattr(part, name) for name in expected}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    assert plain == expected, plain
