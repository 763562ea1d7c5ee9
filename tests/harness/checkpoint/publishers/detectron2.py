"""Files of Detectron2: a converted backbone, and a trained detector."""

from __future__ import annotations

import torch

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import classifier, linear, optimizer
from tests.harness.checkpoint.publishers.names import detectron2_name
from tests.harness.checkpoint.publishers.pickling import pickle_file, torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, Tensors
from tests.harness.checkpoint.publishers.tensors import arrays, counted, renamed, state_dict


def detectron2_converted(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/detectron2 tools/convert-torchvision-to-d2.py turns the counters into arrays, too.
    named = renamed(detectron2_name, counted(backbone)) | prefixed("stem.", classifier())
    return {"model": arrays(named), "__author__": "torchvision", "matching_heuristics": True}


def detectron2_trained(backbone: Tensors, other: Tensors) -> object:
    # facebookresearch/fvcore fvcore/common/checkpoint.py, Checkpointer.save; Detectron2 GeneralizedRCNN with FPN. The
    # means of older versions lie in the file and say RGB here.
    return {
        "model": state_dict(
            {
                "pixel_mean": torch.tensor([123.675, 116.28, 103.53]).reshape(3, 1, 1),
                "pixel_std": torch.tensor([58.395, 57.12, 57.375]).reshape(3, 1, 1),
                "backbone.fpn_lateral2.weight": torch.ones(4, 8, 1, 1),
                "backbone.fpn_output2.weight": torch.ones(4, 4, 3, 3),
                **prefixed("backbone.bottom_up.", renamed(detectron2_name, counted(backbone))),
                "proposal_generator.rpn_head.conv.weight": torch.ones(4, 4, 3, 3),
                **linear("roi_heads.box_head.fc1"),
                **linear("roi_heads.box_predictor.cls_score"),
            }
        ),
        "optimizer": optimizer(),
        "scheduler": {"max_iter": 90_000, "last_epoch": 90_000, "base_lrs": [0.02]},
        "iteration": 89_999,
    }


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("detectron2", "r50.pkl", "detectron2", "backbone", pickle_file(detectron2_converted, protocol=4)),
    Publisher(
        "detectron2-protocol-2",
        "r50.pkl",
        "detectron2",
        "backbone",
        pickle_file(detectron2_converted, protocol=2, numpy1=True),
    ),
    Publisher("detectron2-trained", "model_final.pth", "detectron2", "backbone", torch_file(detectron2_trained)),
)
