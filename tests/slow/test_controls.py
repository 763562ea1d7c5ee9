"""Controls: do the numbers say anything? Minutes on two cores, so outside CI; figures are printed (pytest -s).

Random features must be worth something, shuffled labels nothing, and training with labels a lot: but only where its
weights really are in.
"""

from __future__ import annotations

import csv
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CHANCE = 10.0
"""Percent; ten classes, equally often."""
STEPS = 200
BATCH = 32
SIDE = 64
CROP = 56


def harness(*words: str) -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "harness", *words], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("controls") / "sample"
    harness("data", "sample", "--data", str(root))
    return root


def shuffle_lines(path: Path) -> None:
    """Keeps the images of a list and deals its labels out anew."""
    images, labels = zip(*(line.rsplit(maxsplit=1) for line in path.read_text().splitlines()), strict=True)
    dealt = list(labels)
    random.Random(0).shuffle(dealt)
    path.write_text("".join(f"{image} {label:>2}\n" for image, label in zip(images, dealt, strict=True)))


@pytest.fixture(scope="module")
def shuffled(sample: Path) -> Path:
    """The sample with the labels of all training images dealt out anew; test labels stay."""
    root = sample.with_name("shuffled")
    shutil.copytree(sample, root, copy_function=os.link)
    lists = [root / "imagenet/meta/train.txt", *root.glob("VOCdevkit/VOC2007/ImageSets/Main/*_trainval.txt")]
    assert len(lists) == 11
    for path in lists:
        content = path.read_text()
        path.unlink()
        path.write_text(content)
        shuffle_lines(path)
    return root


def train_supervised(root: Path) -> dict[str, object]:
    """A ResNet-50 trained with labels on the sample's ImageNet training images; plain torch, no code of the harness."""
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.models import resnet50

    lines = [line.split() for line in (root / "imagenet/meta/train.txt").read_text().splitlines()]
    pixels = np.stack(
        [
            np.asarray(Image.open(root / "imagenet/train" / name).convert("RGB").resize((SIDE, SIDE)))
            for name, _ in lines
        ]
    )
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    images = (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    labels = torch.tensor([int(label) for _, label in lines])
    torch.manual_seed(0)
    model = resnet50(num_classes=10, zero_init_residual=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=STEPS)
    model.train()
    for _ in range(STEPS):
        chosen = torch.randint(len(labels), (BATCH,))
        top, left = torch.randint(0, SIDE - CROP + 1, (2,)).tolist()
        batch = images[chosen][:, :, top : top + CROP, left : left + CROP]
        loss = torch.nn.functional.cross_entropy(model(batch), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    print(f"supervised: loss {loss.item():.3f} after {STEPS} steps")
    return dict(model.state_dict())


Evaluate = Callable[[str, Path], dict[str, float]]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Runs the whole suite at smoke size; metrics by ``benchmark.metric``."""
    workspace = tmp_path_factory.mktemp("work")

    def run(checkpoint: str, data: Path) -> dict[str, float]:
        label = re.sub(r"\W", "-", f"{Path(checkpoint).stem}-{data.name}")
        harness(
            *("run", "--ckpt", checkpoint, "--label", label, "--suite", "all", "--profile", "smoke"),
            *("--data", str(data), "--workspace", str(workspace / data.name)),
        )
        with (workspace / data.name / "pages" / "results.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["label"] == label]
        metrics = {f"{row['benchmark']}.{row['metric']}": float(row["value"]) for row in rows if row["value"]}
        shown = {name: round(value, 1) for name, value in sorted(metrics.items()) if "top5" not in name}
        print(f"{label}: {shown}")
        return metrics

    return run


@pytest.fixture(scope="module")
def untrained(evaluate: Evaluate, sample: Path) -> dict[str, float]:
    return evaluate("random:0", sample)


def best_linear(metrics: dict[str, float]) -> float:
    return max(metrics[f"imagenet_mhead.feature{number}"] for number in range(1, 6))


def test_random_features_reach_three_times_chance(untrained: dict[str, float]) -> None:
    assert untrained["imagenet_knn.knn_k20"] >= 3 * CHANCE


def test_with_shuffled_labels_everything_falls_to_chance(
    evaluate: Evaluate, shuffled: Path, untrained: dict[str, float]
) -> None:
    """250 test images: chance is 10 %, one standard deviation 1.9 %; four of them are allowed."""
    metrics = evaluate("random:0", shuffled)
    assert abs(metrics["imagenet_knn.knn_k20"] - CHANCE) < 8
    assert abs(best_linear(metrics) - CHANCE) < 8
    # A ranking without information has the class's share of positives as its expected AP (about 15 % here, and more in
    # small samples); half of what random features gain with true labels must be lost at the least.
    prevalence = 15.0
    assert metrics["voc07_svm.svm"] < prevalence + 0.5 * (untrained["voc07_svm.svm"] - prevalence)


def test_training_with_labels_helps_only_where_its_weights_are_in(
    evaluate: Evaluate, sample: Path, untrained: dict[str, float], tmp_path: Path
) -> None:
    import torch
    from torchvision.models import resnet50

    state = train_supervised(sample)
    whole = tmp_path / "supervised.pth"
    torch.save(state, whole)
    trained = evaluate(str(whole), sample)
    torch.manual_seed(1)
    fresh = resnet50(num_classes=10).state_dict()
    for name in state:
        if name.startswith("layer3."):
            state[name] = fresh[name]
    broken_file = tmp_path / "layer3-anew.pth"
    torch.save(state, broken_file)
    broken = evaluate(str(broken_file), sample)
    for metric in ("imagenet_knn.knn_k20", "voc07_svm.svm", "imagenet_mhead.feature5"):
        assert trained[metric] > untrained[metric] + 5, metric
        assert broken[metric] < trained[metric] - 5, metric
    digests = [
        subprocess.run(
            [sys.executable, "-P", "-m", "harness", "inspect", "--ckpt", str(path), "--json"],
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        for path in (whole, broken_file)
    ]
    assert len({re.findall(r'"digest": "(\w+)"', text)[0] for text in digests}) == 2
