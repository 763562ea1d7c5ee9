"""Places205 multi-head as it is built, against section 4.1 (P0)."""

from __future__ import annotations

from torchvision import transforms
from torchvision.transforms import InterpolationMode

from tests.benchmarks.fidelity import multi_head
from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import check_frozen, check_loaders, check_optimizer, check_rates

NAME, CLASSES = "places205_mhead", 205


def check_schedule(built: Built) -> None:
    """4.1: 28 epochs, a tenth at 7, 14 and 21, by epoch; evaluated every 10 epochs and at the end."""
    trace = train_through(built, batches=3)
    # Three iterations an epoch.
    expected = {0: 0.01, 20: 0.01, 21: 1e-3, 41: 1e-3, 42: 1e-4, 62: 1e-4, 63: 1e-5, 83: 1e-5}
    check_rates(trace, 84, expected)
    assert trace.evaluated == [30, 60, 84]


def check_training_pixels(built: Built) -> None:
    """4.1: short edge 256, the central 256, a random 224 of it, flip; no jitter, no lighting."""
    crops = [
        transforms.Resize(256, InterpolationMode.BILINEAR),
        transforms.CenterCrop(256),
        transforms.RandomCrop(224),
    ]
    multi_head.check_linear_training_pixels(built, crops, jitter=False)


def test_optimiser(job: Built) -> None:
    check_optimizer(job, "SGD", lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True, dampening=0)


def test_what_is_trained(job: Built) -> None:
    check_frozen(job)


def test_heads(job: Built) -> None:
    multi_head.check_heads(job, 205)


def test_training_pixels(job: Built) -> None:
    check_training_pixels(job)


def test_test_pixels(job: Built) -> None:
    multi_head.check_linear_test_pixels(job)


def test_images_are_those_of_the_256_pixel_release(job: Built) -> None:
    path = job.train_loader.dataset.get_data_info(0)["img_path"]
    home = job.root / "Places205"
    assert path.startswith(f"{home}/data/vision/torralba/deeplearning/images256/")
    line = (home / "trainvalsplit_places205" / "train_places205.csv").read_text().splitlines()[0]
    assert path.endswith(line.split(" ")[0])
    assert job.train_loader.dataset.get_data_info(0)["gt_label"] == int(line.split(" ")[1])


def test_loaders(job: Built) -> None:
    check_loaders(job, 8 * 32, 256)


def test_evaluator(job: Built) -> None:
    multi_head.check_top1_from_raw_scores(job)


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
