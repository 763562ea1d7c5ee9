"""Checks of the three multi-head linear evaluations, section 2.1 and 2.2, and of the pixels of all linear ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmpretrain.structures import DataSample
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet50
from torchvision.transforms import InterpolationMode

from benchmarks.toolbox.modules.heads import SCORES
from benchmarks.toolbox.modules.samples import seed_generators
from tests.benchmarks.conftest import untrained
from tests.benchmarks.fidelity.built import Built
from tests.benchmarks.fidelity.checks import MEAN, STD, SYNCED, network_input, read_rgb

# Section 2.1: channels, kernel, stride, padding, side of the grid, flat dimension.
POOLS = {
    "feature1": (64, 10, 10, 4, 12, 9216),
    "feature2": (256, 16, 8, 0, 6, 9216),
    "feature3": (512, 13, 5, 0, 4, 8192),
    "feature4": (1024, 8, 3, 0, 3, 9216),
    "feature5": (2048, 6, 1, 0, 2, 8192),
}

# Section 2.2: rows are R, G, B.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def check_heads(built: Built, classes: int) -> None:
    """Five independent classifiers behind SyncBN without affine parameters; weights N(0, 0.01), biases 0."""
    built.runner.model.init_weights()
    heads = built.model.head.heads
    assert list(heads) == list(POOLS)
    for name, (channels, _, _, _, _, dimension) in POOLS.items():
        norm, linear = heads[name].norm, heads[name].linear
        assert type(norm).__name__ in SYNCED
        assert (norm.num_features, norm.affine, norm.momentum, norm.eps) == (channels, False, 0.1, 1e-5)
        assert (linear.in_features, linear.out_features) == (dimension, classes)
        assert not linear.bias.any()
        # Over a million draws: the standard error of the deviation is below 1e-5.
        assert abs(linear.weight[:100].std().item() - 0.01) < 1e-4
        assert abs(linear.weight[:100].mean().item()) < 1e-4


def check_vissl_heads(built: Built, classes: int, average: tuple[str, ...] = ()) -> None:
    """Section 2.3: five classifiers behind SyncBN with affine parameters, and on res5avg (2048) one with and one
    without a norm; first weights as torch draws them, uniform in +-1/sqrt(dimension) (vissl/models/heads/mlp.py).
    """
    torch.manual_seed(0)
    built.runner.model.init_weights()
    heads = built.model.head.heads
    assert tuple(heads) == (*POOLS, *average)
    shapes = {name: (channels, dimension) for name, (channels, _, _, _, _, dimension) in POOLS.items()}
    for name, head in heads.items():
        channels, dimension = shapes.get(name, (2048, 2048))
        assert (head.linear.in_features, head.linear.out_features) == (dimension, classes)
        for value in (head.linear.weight, head.linear.bias):
            assert value.abs().max() <= dimension**-0.5
        # The deviation of a uniform distribution; over 400,000 draws and more.
        assert abs(head.linear.weight.std().item() * (3 * dimension) ** 0.5 - 1) < 0.01
        if name == "res5avg":
            assert not list(head.norm.parameters())
            continue
        assert type(head.norm).__name__ in SYNCED
        assert (head.norm.num_features, head.norm.affine) == (channels, True)
        assert (head.norm.momentum, head.norm.eps) == (0.1, 1e-5)


def check_vissl_decay(built: Built) -> None:
    """SGD 0.01, momentum 0.9 with Nesterov, weight decay 5e-4, on biases too (regularize_bias) and not on norms."""
    norms = {id(value) for head in built.model.head.heads.values() for value in head.norm.parameters()}
    seen = set()
    for group in built.optimizer.param_groups:
        assert (group["initial_lr"], group["momentum"], group["nesterov"]) == (0.01, 0.9, True)
        for value in group["params"]:
            if value.requires_grad:
                assert group["weight_decay"] == (0.0 if id(value) in norms else 5e-4)
                seen.add(id(value))
    assert seen == {id(value) for value in built.model.head.parameters()}
    assert norms


def check_pooled(built: Built) -> None:
    """The five pooled maps against plain torch on torchvision's network, at 224 pixels."""
    tensors, _ = untrained()
    reference = resnet50(weights=None)
    missing = reference.load_state_dict(tensors, strict=False).missing_keys
    assert all(name.startswith("fc.") or name.endswith("num_batches_tracked") for name in missing)
    reference.eval()
    model = built.model
    model.backbone.load_state_dict(tensors, strict=False)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model.pooled(images)
        # Before the max-pool.
        maps = [torch.relu(reference.bn1(reference.conv1(images)))]
        inner = reference.maxpool(maps[0])
        for stage in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            inner = stage(inner)
            maps.append(inner)
    for (name, (channels, kernel, stride, padding, side, dimension)), source in zip(POOLS.items(), maps, strict=True):
        expected = torch.nn.AvgPool2d(kernel, stride, padding, count_include_pad=True)(source)
        assert found[name].shape == (2, channels, side, side)
        assert found[name].flatten(1).shape == (2, dimension)
        # Untrained features grow with depth; 1e-5 of the largest one, in float32.
        torch.testing.assert_close(found[name], expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def check_independent_losses(built: Built) -> None:
    """The loss is the sum of five cross-entropies."""
    model, generator = built.model, torch.Generator().manual_seed(0)
    pooled = {
        name: torch.randn(3, channels, side, side, generator=generator)
        for name, (channels, _, _, _, side, _) in POOLS.items()
    }
    labels = torch.tensor([3, 0, 7])
    with torch.no_grad():
        losses = model.head.loss(pooled, [DataSample().set_gt_label(int(label)) for label in labels])
        total, _ = model.parse_losses(losses)
        expected = 0.0
        for name, values in pooled.items():
            flat = torch.nn.functional.batch_norm(values, None, None, training=True, eps=1e-5).flatten(1)
            linear = model.head.heads[name].linear
            scores = flat.double() @ linear.weight.double().T + linear.bias.double()
            expected += float((torch.logsumexp(scores, 1) - scores[torch.arange(3), labels]).mean())
    assert abs(float(total) - expected) < 1e-4


def check_top1_from_raw_scores(built: Built) -> None:
    """A hit counts whatever the sign of its score (section 12, 2)."""
    (metric,) = built.evaluator.metrics
    # Six images, one hit each in heads 1 to 3; two in head 4; all in head 5. All scores are below 0.
    hits = np.array(
        [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0] * 4 + [1]]
    )
    samples = []
    for row in hits:
        scores = torch.full((5, 20), -5.0)
        scores[:, 7] = -3.0
        scores[:, 4] = torch.where(torch.tensor(row, dtype=torch.bool), -1.0, -9.0)
        samples.append({SCORES: scores, "gt_label": torch.tensor([4])})
    metric.process(None, samples)
    found = metric.evaluate(len(samples))
    one, two = 100 / 6, 200 / 6
    expected = {"feature1": one, "feature2": one, "feature3": one, "feature4": two, "feature5": 100.0}
    for name, value in expected.items():
        assert abs(found[name] - value) < 1e-9
        # A lowest score is not among the first five of 20.
        assert abs(found[f"{name}_top5"] - value) < 1e-9


def check_linear_test_pixels(built: Built) -> None:
    """Short edge 256 by PIL's bilinear, the central 224, normalised RGB: from the file to the network's input."""
    path, found = network_input(built, built.val_loader, 0, training=False)
    prepare = transforms.Compose(
        [
            transforms.Resize(256, InterpolationMode.BILINEAR),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([value / 255 for value in MEAN], [value / 255 for value in STD]),
        ]
    )
    torch.testing.assert_close(found["inputs"][0], prepare(Image.fromarray(read_rgb(path))), atol=1e-4, rtol=0)


def check_linear_training_pixels(built: Built, crops: list[Any], jitter: bool) -> None:
    """Training images against torchvision on PIL images with the same draws, from the file to the network's input.

    Args:
        built: What was built.
        crops: torchvision's transforms before the flip.
        jitter: Whether colour jitter and then PCA lighting follow the flip.
    """
    dataset = built.train_loader.dataset
    steps = [*crops, transforms.RandomHorizontalFlip(0.5)]
    if jitter:
        steps.append(transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.0))
    prepare = transforms.Compose([*steps, transforms.ToTensor()])
    inputs = []
    for index in range(8):
        draw = 3 * len(dataset) + index
        path, found = network_input(built, built.train_loader, draw, training=True)
        seed_generators(0, 3, index)
        image = prepare(Image.fromarray(read_rgb(path)))
        if jitter:
            alpha = np.random.normal(0.0, 0.1, 3)
            for channel in range(3):
                # With pixels in [0, 1], added after the jitter and before the mean is taken off; not clipped.
                image[channel] += sum(EIGENVECTORS[channel][i] * alpha[i] * EIGENVALUES[i] for i in range(3))
        expected = transforms.functional.normalize(image, [m / 255 for m in MEAN], [s / 255 for s in STD])
        torch.testing.assert_close(found["inputs"][0], expected, atol=1e-4, rtol=0)
        inputs.append(found["inputs"][0])
    assert all(image.shape == (3, 224, 224) for image in inputs)


def random_resized_crop() -> list[Any]:
    """Area 0.08 to 1, aspect 3/4 to 4/3, bilinear."""
    return [transforms.RandomResizedCrop(224, (0.08, 1.0), (3 / 4, 4 / 3), InterpolationMode.BILINEAR)]
