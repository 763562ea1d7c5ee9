"""MoCo's Faster R-CNN on VOC as it is built, against section 7.1 and the files of moco and detectron2 that it names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.catalogue import find_benchmark
from tests.benchmarks.fidelity import detectors
from tests.benchmarks.fidelity.built import Built, train_through
from tests.benchmarks.fidelity.checks import check_rates, check_settings, network_input, normalised, read_rgb
from tests.benchmarks.fidelity.test_voc0712_faster_rcnn import check_backbone, check_extra_norm

NAME, CLASSES = "voc0712_faster_rcnn@moco", 20


def check_schedule(built: Built) -> None:
    """24,000 iterations with steps at 18,000 and 22,000, warm-up of 100; tested once, at the end."""
    trace = train_through(built)
    rates = {0: 2e-5, 50: 0.02 * 0.5005, 100: 0.02, 17_999: 0.02, 18_000: 2e-3, 22_000: 2e-4, 23_999: 2e-4}
    check_rates(trace, 24_000, rates)
    assert trace.evaluated == [24_000]


def check_optimizer(built: Built) -> None:
    """SGD 0.02, momentum 0.9, weight decay 1e-4 and none on norms (SOLVER.WEIGHT_DECAY_NORM)."""
    norms = {
        id(value)
        for part in built.model.modules()
        if isinstance(part, _BatchNorm)
        for value in part.parameters(recurse=False)
    }
    seen = set()
    for group in built.optimizer.param_groups:
        assert (group["initial_lr"], group["momentum"], group["nesterov"]) == (0.02, 0.9, False)
        for value in group["params"]:
            assert group["weight_decay"] == (0.0 if id(value) in norms else 1e-4)
            seen.add(id(value))
    assert seen == {id(value) for value in built.model.parameters()}
    assert len(norms) == 2 * (43 + 11)


def check_precise_bn(built: Built) -> None:
    """TEST.PRECISE_BN over 200 batches of 16, of training images."""
    (hook,) = [each for each in built.runner.hooks if type(each).__name__ == "PreciseBatchNorm"]
    check_settings(hook, iterations=200, seed=0)
    loader, training = hook._loader(built.runner), built.train_loader
    assert loader.batch_sampler.batch_size == 16
    assert loader.batch_sampler.by_aspect
    assert loader.batch_sampler.endless
    assert loader.num_workers == 0
    images = [info["img_path"] for info in map(loader.dataset.get_data_info, range(len(loader.dataset)))]
    assert images == [training.dataset.get_data_info(index)["img_path"] for index in range(len(training.dataset))]
    assert loader.batch_sampler.sampler.draws(0) != training.batch_sampler.sampler.draws(0)


def check_objects(built: Built) -> None:
    """Difficult objects are positives; 1 is taken from xmin and ymin only (data/datasets/pascal_voc.py)."""
    dataset, difficult = built.train_loader.dataset, 0
    for index in range(len(dataset)):
        info, sample = dataset.get_data_info(index), dataset[index]["data_samples"]
        objects = ET.parse(info["xml_path"]).getroot().findall("object")
        truth = []
        for one in objects:
            box = one.find("bndbox")
            assert box is not None
            xmin, ymin, xmax, ymax = (float(box.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))
            truth.append([xmin - 1, ymin - 1, xmax, ymax])
            difficult += int(one.findtext("difficult", ""))
        assert len(sample.ignored_instances) == 0
        width, factor = sample.img_shape[1], np.array([*sample.scale_factor, *sample.scale_factor])
        expected = np.array(truth) * factor
        if sample.flip:
            expected[:, [0, 2]] = width - expected[:, [2, 0]]
        found = sample.gt_instances.bboxes.tensor.numpy()
        # float32 of some hundred pixels.
        np.testing.assert_allclose(found, expected, atol=1e-3)
    assert difficult > 0
    tested = built.val_loader.dataset
    flags = [len(tested[index]["data_samples"].ignored_instances) for index in range(len(tested))]
    assert sum(flags) > 0, "in the test difficult objects count neither way"


def check_pixels(built: Built) -> None:
    """PIL's bilinear resize in training and test; a batch is padded to its largest image and no further."""
    from mmdet.structures import DetDataSample

    for loader, training, edges in ((built.val_loader, False, (800,)), (built.train_loader, True, range(480, 801, 32))):
        path, found = network_input(built, loader, 0, training)
        image, sample = read_rgb(path), found["data_samples"][0]
        height, width = sample.img_shape
        assert (height, width) in {detectors.fitted(image, 1333, edge) for edge in edges}
        expected = normalised(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        if getattr(sample, "flip", False):
            expected = expected.flip(2)
        assert found["inputs"][0].shape == expected.shape
        torch.testing.assert_close(found["inputs"][0], expected, atol=1e-4, rtol=0)
    images = [torch.zeros(3, 30, 50, dtype=torch.uint8), torch.zeros(3, 41, 20, dtype=torch.uint8)]
    batch = {"inputs": images, "data_samples": [DetDataSample(), DetDataSample()]}
    assert built.model.data_preprocessor(batch, False)["inputs"].shape == (2, 3, 41, 50)


def check_average_precisions(built: Built) -> None:
    """AP, AP50 and AP75 by hand, of one object a box finds at IoU 0.8, and one at just 0.5, which is not more."""
    metric = built.evaluator.metrics[0]
    truth = torch.tensor([[0.0, 0.0, 9.0, 9.0], [40.0, 40.0, 49.0, 49.0]])
    # As the network says it: VOC's 1..10 is 0..10 there. Of 10 x 10 pixels 8 x 10 are found, and 5 x 10.
    found = torch.tensor([[0.0, 0.0, 8.0, 10.0], [40.0, 40.0, 45.0, 50.0]])
    sample = {
        "gt_instances": {"bboxes": truth, "labels": torch.tensor([11, 11])},
        "ignored_instances": {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
        "pred_instances": {"bboxes": found, "scores": torch.tensor([0.9, 0.8]), "labels": torch.tensor([11, 11])},
    }
    metric.process(None, [sample])
    result: dict[str, Any] = metric.evaluate(1)
    # One of two found, at the best score: precision 1 up to recall 0.5, of 11 thresholds 6; at 0.5 to 0.75.
    assert abs(result["pascal_voc/AP50"] - 6 / 11) < 1e-6
    assert abs(result["pascal_voc/AP75"] - 6 / 11) < 1e-6
    # 0.8 is not more than 0.8: six of the ten thresholds.
    assert abs(result["pascal_voc/AP"] - 0.6 * 6 / 11) < 1e-6


def test_optimiser(job: Built) -> None:
    check_optimizer(job)


def test_backbone_and_its_head_are_those_of_the_published_protocol(job: Built) -> None:
    check_backbone(job)
    check_extra_norm(job)


def test_proposals(job: Built) -> None:
    """MODEL.RPN.BOUNDARY_THRESH -1: anchors over the border are kept."""
    detectors.check_anchors(job, (2, 4, 8, 16, 32), (16,), 1024)
    detectors.check_proposals(job, border=-1, train=(12_000, 2000), test=(6000, 1000))


def test_regions(job: Built) -> None:
    detectors.check_regions(job, low_quality=False)
    detectors.check_boxes(job, 20, 14)


def test_precise_bn(job: Built) -> None:
    check_precise_bn(job)


def test_objects(job: Built) -> None:
    check_objects(job)


def test_only_images_without_objects_are_left_out(job: Built) -> None:
    for dataset in job.train_loader.dataset.dataset.datasets:
        assert dataset.filter_cfg == {"filter_empty_gt": True, "min_size": 0}


def test_pixels(job: Built) -> None:
    check_pixels(job)


def test_average_precisions(job: Built) -> None:
    check_average_precisions(job)


def test_detections_are_compared_as_they_are_written(job: Built) -> None:
    """One decimal of a pixel, three of the score."""
    metric = job.evaluator.metrics[0]
    sample = {
        "gt_instances": {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
        "ignored_instances": {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
        "pred_instances": {
            "bboxes": torch.tensor([[1.26, 2.0, 11.04, 12.0]]),
            "scores": torch.tensor([0.12345]),
            "labels": torch.tensor([3]),
        },
    }
    metric.process(None, [sample])
    _, found = metric.results.pop()
    np.testing.assert_allclose(found[3], [[1.3, 2.0, 10.0, 11.0, 0.123]], rtol=1e-6)
    assert sample["pred_instances"]["bboxes"][0, 2] == torch.tensor(11.04), "other metrics see the detections as found"


def test_columns() -> None:
    """MoCo's table."""
    benchmark = find_benchmark("voc0712_faster_rcnn")
    columns = benchmark.columns(benchmark.protocol("moco"))
    assert [(column.title, column.decimals) for column in columns] == [("AP50", 1), ("AP", 1), ("AP75", 1)]


def test_learning_rates(job: Built) -> None:
    check_schedule(job)
