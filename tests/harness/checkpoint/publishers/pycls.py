"""Files of PyCls, whose configuration says where the network strides."""

from __future__ import annotations

import typing

from tests.harness.checkpoint.publishers.beside import classifier, optimizer
from tests.harness.checkpoint.publishers.names import pycls_name
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Build, Publisher, RefusedPublisher, Tensors
from tests.harness.checkpoint.publishers.tensors import bgr, counted, renamed, state_dict


def pycls(model: str, loader: str | None = "pytorch") -> Build:
    """facebookresearch/pycls pycls/core/checkpoint.py; `cfg` is the text of the whole configuration.

    pycls/datasets/imagenet.py normalises in RGB and then feeds the network BGR, so a network that computes what the
    given one computes has conv1's input channels reversed. With DATA_LOADER.MODE ffcv it feeds RGB.
    """

    def build(backbone: Tensors, other: Tensors) -> object:
        ordered = bgr if loader != "ffcv" else dict
        head = classifier("head.fc")
        config = [model, *([f"DATA_LOADER:\n  MODE: {loader}\n"] if loader else []), "OUT_DIR: /tmp\n"]
        return {
            "epoch": 99,
            "test_err": 22.9,
            "ema_err": 22.7,
            "model_state": state_dict({**counted(renamed(pycls_name, ordered(backbone))), **head}),
            "ema_state": state_dict({**counted(renamed(pycls_name, ordered(other))), **head}),
            "optimizer_state": optimizer(nesterov=True),
            "cfg": "".join(config),
        }

    return build


PYCLS_RESNET = """\
MODEL:
  DEPTH: 50
  NUM_CLASSES: 1000
  TYPE: resnet
RESNET:
  NUM_GROUPS: 1
  STRIDE_1X1: {stride}
  TRANS_FUN: bottleneck_transform
  WIDTH_PER_GROUP: 64
"""

# The model zoo's ResNet-50 is an AnyNet (configs/dds_baselines/resnet/R-50-1x64d_dds_8gpu.yaml). AnyNet strides in the
# 3x3 convolution (pycls/models/anynet.py) and never looks at RESNET, whose default is dumped nevertheless.
PYCLS_ANYNET = """\
ANYNET:
  BLOCK_TYPE: res_bottleneck_block
  BOT_MULS: [0.25, 0.25, 0.25, 0.25]
  DEPTHS: [3, 4, 6, 3]
  GROUP_WS: [64, 128, 256, 512]
  STEM_TYPE: res_stem_in
  STEM_W: 64
  STRIDES: [1, 2, 2, 2]
  WIDTHS: [256, 512, 1024, 2048]
MODEL:
  DEPTH: 0
  NUM_CLASSES: 1000
  TYPE: anynet
RESNET:
  NUM_GROUPS: 1
  STRIDE_1X1: true
  TRANS_FUN: basic_transform
  WIDTH_PER_GROUP: 64
"""


def pycls_old(backbone: Tensors, other: Tensors) -> object:
    # Before the averaged model there was no ema_state; pycls/core/checkpoint.py still reads such files.
    content = typing.cast("dict[str, object]", pycls(PYCLS_RESNET.format(stride="false"), None)(backbone, other))
    return {name: value for name, value in content.items() if "ema" not in name}


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher(
        "pycls",
        "model_epoch_0100.pyth",
        "pycls",
        "model",
        torch_file(pycls(PYCLS_RESNET.format(stride="false")), cuda=True),
        ("ema",),
    ),
    Publisher("pycls-old", "R-50-1x64d_dds_8gpu.pyth", "pycls", "model", torch_file(pycls_old, legacy=True)),
    Publisher("pycls-anynet", "model.pyth", "pycls", "model", torch_file(pycls(PYCLS_ANYNET)), ("ema",)),
    Publisher("pycls-ffcv", "model.pyth", "pycls", "model", torch_file(pycls(PYCLS_ANYNET, "ffcv")), ("ema",)),
)

REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher("pycls-stride-1x1", "model.pyth", torch_file(pycls(PYCLS_RESNET.format(stride="true"))), ("1x1",)),
)
