"""Refused: files of Caffe2, whose batch norms have no running statistics."""

from __future__ import annotations

import numpy as np

from tests.harness.checkpoint.publishers.names import msra_name
from tests.harness.checkpoint.publishers.pickling import pickle_file
from tests.harness.checkpoint.publishers.publisher import Array, RefusedPublisher, Tensors
from tests.harness.checkpoint.publishers.tensors import bgr


def msra(backbone: Tensors, other: Tensors) -> dict[str, Array]:
    # detectron2/checkpoint/detection_checkpoint.py: ImageNet models are flat, detection models have `blobs`.
    named = {msra_name(name): value.numpy() for name, value in bgr(backbone).items()}
    head = {"fc1000_w": np.zeros((10, 2048), np.float32), "fc1000_b": np.zeros(10, np.float32)}
    return {name: value for name, value in named.items() if name} | head


def msra_detector(backbone: Tensors, other: Tensors) -> object:
    blobs = msra(backbone, other)
    momentum = {f"{name}_momentum": np.zeros(1, np.float32) for name in ("conv1_w", "fpn_res2_2_sum_w")}
    return {
        "blobs": {**blobs, **momentum, "fpn_res2_2_sum_w": np.zeros((4, 4, 3, 3), np.float32)},
        "cfg": "MODEL: {}\n",
    }


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("msra", "R-50.pkl", pickle_file(msra, protocol=2, numpy1=True), ("MSRA",)),
    RefusedPublisher("msra-blobs", "model_final.pkl", pickle_file(msra_detector, protocol=2, numpy1=True), ("MSRA",)),
)
