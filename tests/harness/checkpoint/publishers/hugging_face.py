"""Files of Hugging Face's transformers, each with its `config.json`."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.harness.checkpoint.conftest import prefixed
from tests.harness.checkpoint.publishers.beside import classifier
from tests.harness.checkpoint.publishers.names import hugging_face_name
from tests.harness.checkpoint.publishers.pickling import torch_file
from tests.harness.checkpoint.publishers.publisher import Publisher, RefusedPublisher, Tensors, Writer
from tests.harness.checkpoint.publishers.tensors import counted, renamed, state_dict

HUGGING_FACE = {
    "depths": [3, 4, 6, 3],
    "downsample_in_first_stage": False,
    "embedding_size": 64,
    "hidden_act": "relu",
    "hidden_sizes": [256, 512, 1024, 2048],
    "layer_type": "bottleneck",
    "model_type": "resnet",
    "num_channels": 3,
}


def hugging_face(prefix: str, **config: object) -> Writer:
    """huggingface/transformers modeling_resnet.py; config.json lies beside the file."""

    def write(path: Path, backbone: Tensors, other: Tensors) -> None:
        weights = prefixed(prefix, renamed(hugging_face_name, backbone))
        named: dict[str, torch.Tensor] = {**counted(weights), **(classifier("classifier.1") if prefix else {})}
        architecture = "ResNetForImageClassification" if prefix else "ResNetModel"
        content = {"architectures": [architecture], **HUGGING_FACE, **config, "torch_dtype": "float32"}
        path.with_name("config.json").write_text(json.dumps(content, indent=2))
        if path.suffix == ".safetensors":
            save_file(named, path, metadata={"format": "pt"})
        else:
            torch_file(lambda *_: state_dict(named))(path, backbone, other)

    return write


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher("hugging-face", "model.safetensors", "hugging-face", "backbone", hugging_face("resnet.")),
    Publisher(
        "hugging-face-model",
        "model.safetensors",
        "hugging-face",
        "backbone",
        hugging_face("", downsample_in_bottleneck=False),
    ),
    Publisher("hugging-face-bin", "pytorch_model.bin", "hugging-face", "backbone", hugging_face("resnet.")),
)

REFUSED: tuple[RefusedPublisher, ...] = (
    RefusedPublisher(
        "hugging-face-stride-1x1",
        "model.safetensors",
        hugging_face("resnet.", downsample_in_bottleneck=True),
        ("1x1",),
    ),
)
