"""Refused: ResNetV2, which normalises before it convolves: Big Transfer's, and BYOL's of DeepMind."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.harness.checkpoint.publishers.byol_deepmind import byol_deepmind, frozendict
from tests.harness.checkpoint.publishers.pickling import pickle_file
from tests.harness.checkpoint.publishers.publisher import Array, RefusedPublisher, Tensors


def big_transfer(path: Path, backbone: Tensors, other: Tensors) -> None:
    # google-research/big_transfer bit_pytorch/models.py, load_from
    found: dict[str, Array] = {
        "resnet/root_block/standardized_conv2d/kernel": np.zeros((7, 7, 3, 64), np.float32),
        "resnet/group_norm/gamma": np.ones(2048, np.float32),
        "resnet/group_norm/beta": np.ones(2048, np.float32),
        "resnet/head/conv2d/kernel": np.zeros((1, 1, 2048, 10), np.float32),
        "resnet/head/conv2d/bias": np.zeros(10, np.float32),
    }
    before = 64
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        width = 32 * 2**stage
        for unit in range(1, count + 1):
            prefix = f"resnet/block{stage}/unit{unit:02d}"
            shapes = {"a": (1, 1, before, width), "b": (3, 3, width, width), "c": (1, 1, width, 4 * width)}
            for letter, shape in shapes.items():
                found[f"{prefix}/{letter}/standardized_conv2d/kernel"] = np.zeros(shape, np.float32)
                for part in ("gamma", "beta"):
                    found[f"{prefix}/{letter}/group_norm/{part}"] = np.ones(shape[2], np.float32)
            if unit == 1:
                found[f"{prefix}/a/proj/standardized_conv2d/kernel"] = np.zeros((1, 1, before, 4 * width), np.float32)
            before = 4 * width
    np.savez_compressed(path, **found)  # type: ignore[arg-type,unused-ignore]


def byol_deepmind_v2(backbone: Tensors, other: Tensors) -> object:
    # byol/utils/networks.py with resnet_v2: no batch norm after the stem, one after the last block instead.
    content = typing.cast("dict[str, typing.Any]", byol_deepmind(frozendict, False)(backbone, other))

    def second_version(tree: Mapping[str, object]) -> frozendict:
        return frozendict({n.replace("initial_batchnorm", "final_batchnorm"): v for n, v in tree.items()})

    state = content["experiment_state"]
    return {
        **content,
        "experiment_state": state._replace(**{n: second_version(state._asdict()[n]) for n in state._fields[:4]}),
    }


REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("big-transfer", "BiT-M-R50x1.npz", big_transfer, ("ResNetV2",)),
    RefusedPublisher(
        "byol-deepmind-v2", "pretrain.pkl", pickle_file(byol_deepmind_v2, protocol=2, numpy1=True), ("ResNetV2",)
    ),
)
