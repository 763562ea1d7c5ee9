"""Checkpoints of the libraries that publish supervised networks."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from harness.checkpoint.formats.base import STATE, Format, Place, has, renamed, state
from harness.checkpoint.formats.lightning import is_lightning
from harness.checkpoint.formats.openmmlab import is_resnet
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.signature import printable
from harness.checkpoint.stored import Reversed, Weight

STRIDE_IN_1X1 = "the stride is in the 1x1 convolution of a block, which is not torchvision's ResNet-50"
UNKNOWN_PIXELS = (
    "nothing in the file says which pixels its network takes: RGB with mean and standard deviation is assumed, but "
    "detectron2's default is BGR with the mean only (--input bgr-mean)"
)
IMAGENET_PIXELS = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
LONGEST_CONFIG = 2**20
"""Characters of a configuration that is read."""
PLAIN_STRIDE = "give a plain ResNet-50, with the stride in the 3x3 convolution, as torchvision's"
UNKNOWN_STRIDE = (
    "nothing in the file says whether the stride of a block is in its 3x3 convolution or in its 1x1: the 3x3 is taken"
)


class Torchvision(Format):
    """A flat state dict with torchvision's names, of a torch file, of safetensors or of npz.

    The backbones that DINO, Barlow Twins and VICReg publish look the same.
    """

    name = "torchvision"
    summary = "torchvision, timm, released backbones of DINO, Barlow Twins, VICReg: flat, conv1.weight, layer1.*"
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return "digest" not in file.metadata and is_resnet(state(file, ()), *self.dropped)

    def refusal(self, file: CheckpointFile) -> tuple[str, str] | None:
        """See :class:`Format`; timm's variants with blurred pooling have the names and shapes of a ResNet-50."""
        declared = _config_beside(file).get("architecture")
        if isinstance(declared, str) and not re.match(r"(tv_)?resnet50(\.|$)", declared):
            return f"its config.json says architecture {printable(declared[:40])}, not resnet50", PLAIN_STRIDE
        return None

    def input_of(self, file: CheckpointFile) -> str:
        """See :class:`Format`."""
        return "rgb-unit" if _timm_pixels(file) == ([0, 0, 0], [1, 1, 1]) else self.input

    def warnings(self, file: CheckpointFile) -> tuple[str, ...]:
        """See :class:`Format`."""
        mean, std = _timm_pixels(file)
        if mean is None or (mean, std) in (([0, 0, 0], [1, 1, 1]), IMAGENET_PIXELS):
            return ()
        return (
            f"its config.json says mean {printable(str(mean)[:60])} and standard deviation "
            f"{printable(str(std)[:60])}, which is no input convention here: {self.input} is taken",
        )


def _timm_pixels(file: CheckpointFile) -> tuple[Any, Any]:
    """Mean and standard deviation that timm's ``config.json`` gives, in units of 1."""
    found = _config_beside(file).get("pretrained_cfg")
    return (found.get("mean"), found.get("std")) if isinstance(found, dict) else (None, None)


class ImageNetTraining(Format):
    """What PyTorch's ImageNet example saves (``pytorch/examples/imagenet/main.py``), and projects that grew from it."""

    name = "imagenet-training"
    summary = "PyTorch's ImageNet example: state_dict with conv1.weight, layer1.*, fc.*"
    places = (Place("backbone", STATE),)
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, STATE)
        return is_resnet(names, "fc.") and has(names, "fc.") and not (is_lightning(file) or shortcut_first(file))


class SimCLRv1(ImageNetTraining):
    """tonylins/simclr-converter: Google's weights in a torchvision model whose blocks register their shortcut first.

    Its images are in [0, 1] without mean and standard deviation, as google-research/simclr ``data_util.py`` makes them.
    """

    name = "simclr-v1"
    summary = "SimCLR v1 by tonylins/simclr-converter: state_dict alone, fc.*, shortcuts registered first"
    input = "rgb-unit"

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, STATE)
        return is_resnet(names, "fc.") and has(names, "fc.") and shortcut_first(file)


def shortcut_first(file: CheckpointFile) -> bool:
    """Whether the file holds a state dict alone, in which each block's shortcut stands before its convolutions."""
    order = {name: index for index, name in enumerate(state(file, STATE))}
    shortcut, convolution = order.get("layer1.0.downsample.0.weight"), order.get("layer1.0.conv1.weight")
    return set(file.content) == set(STATE) and None not in (shortcut, convolution) and shortcut < convolution  # type: ignore[operator]


class HuggingFace(Format):
    """ResNet of transformers (``models/resnet/modeling_resnet.py``), with or without its classifier."""

    name = "hugging-face"
    summary = "Hugging Face ResNetModel: embedder.embedder.convolution.weight, encoder.stages.*"
    places = (Place("backbone", (), "resnet."), Place("backbone", (), ""))
    dropped = ("classifier.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return has(state(file, ()), "embedder.embedder.", "resnet.embedder.embedder.") and super().recognises(file)

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        name = name.replace("embedder.embedder.convolution.", "conv1.").replace(
            "embedder.embedder.normalization.", "bn1."
        )
        match = re.fullmatch(
            r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|(shortcut))\.(convolution|normalization)\.(\w+)",
            name,
        )
        if match is None:
            return name
        stage, block, number, shortcut, kind, part = match.groups()
        if shortcut:
            inner = f"downsample.{int(kind == 'normalization')}"
        else:
            inner = f"{'conv' if kind == 'convolution' else 'bn'}{int(number) + 1}"
        return f"layer{int(stage) + 1}.{block}.{inner}.{part}"

    def refusal(self, file: CheckpointFile) -> tuple[str, str] | None:
        """See :class:`Format`."""
        if _hugging_face_stride_in_1x1(file) is True:
            return f"its config.json says downsample_in_bottleneck: {STRIDE_IN_1X1}", PLAIN_STRIDE
        return None

    def warnings(self, file: CheckpointFile) -> tuple[str, ...]:
        """See :class:`Format`."""
        if _hugging_face_stride_in_1x1(file) is not None:
            return ()
        return (f"{UNKNOWN_STRIDE} (put the model's config.json beside the file)",)


def _hugging_face_stride_in_1x1(file: CheckpointFile) -> bool | None:
    config = _config_beside(file)
    # False is the default of ResNetConfig, which had no such entry at first.
    stride = config.get("downsample_in_bottleneck", False if config.get("model_type") == "resnet" else None)
    return stride if isinstance(stride, bool) else None


def _config_beside(file: CheckpointFile) -> dict[str, Any]:
    """The ``config.json`` beside the file; empty where there is none that can be read."""
    if file.path is None:
        return {}
    config = file.path.with_name("config.json")
    try:
        # Not what else may bear that name: a device would never end.
        if not config.is_file() or config.stat().st_size > LONGEST_CONFIG:
            return {}
        found = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class PyCls(Format):
    """facebookresearch/pycls, ``models/resnet.py``, ``models/anynet.py`` and ``core/checkpoint.py``.

    Its loader normalises in RGB and then feeds BGR (``datasets/imagenet.py``), except through ffcv. The same network
    for RGB has the input channels of its first convolution reversed, and that is what is taken.
    """

    name = "pycls"
    summary = "PyCls: model_state with stem.conv.weight, s1.b1.f.a.weight; BGR, turned into RGB"
    places = (Place("model", ("model_state",)), Place("ema", ("ema_state",)))
    dropped = ("head.",)

    def weights(self, file: CheckpointFile, place: Place) -> tuple[dict[str, Any], Counter[str]]:
        """See :class:`Format`."""
        weights, ignored = super().weights(file, place)
        stem = weights.get("conv1.weight")
        if isinstance(stem, Weight) and not _pycls_reads_rgb(file):
            weights["conv1.weight"] = Reversed(stem, 1)
        return weights, ignored

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        name = name.replace("stem.conv.", "conv1.").replace("stem.bn.", "bn1.")
        match = re.fullmatch(r"s(\d+)\.b(\d+)\.(?:f\.([abc])(_bn)?|(proj)|(bn))\.(\w+)", name)
        if match is None:
            return name
        stage, block, letter, norm, shortcut, shortcut_norm, part = match.groups()
        if shortcut or shortcut_norm:
            inner = "downsample.0" if shortcut else "downsample.1"
        else:
            inner = f"{'bn' if norm else 'conv'}{'abc'.index(letter) + 1}"
        return f"layer{stage}.{int(block) - 1}.{inner}.{part}"

    def refusal(self, file: CheckpointFile) -> tuple[str, str] | None:
        """See :class:`Format`."""
        if _pycls_stride_in_1x1(file) is True:
            return f"its cfg says STRIDE_1X1: True: {STRIDE_IN_1X1}", PLAIN_STRIDE
        return None

    def warnings(self, file: CheckpointFile) -> tuple[str, ...]:
        """See :class:`Format`."""
        return () if _pycls_stride_in_1x1(file) is False else (UNKNOWN_STRIDE,)


def _pycls_config(file: CheckpointFile, section: str) -> dict[str, Any]:
    """A section of the configuration that is in the file as YAML; empty where there is none."""
    import yaml

    text = file.content.get("cfg")
    if not isinstance(text, str) or len(text) > LONGEST_CONFIG:
        return {}
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    part = found.get(section) if isinstance(found, dict) else None
    return part if isinstance(part, dict) else {}


def _pycls_stride_in_1x1(file: CheckpointFile) -> bool | None:
    # An AnyNet, as which the model zoo's ResNet-50 is built, has its stride in the 3x3 and never looks at RESNET.
    if _pycls_config(file, "MODEL").get("TYPE") == "anynet":
        return False
    stride = _pycls_config(file, "RESNET").get("STRIDE_1X1")
    return stride if isinstance(stride, bool) else None


def _pycls_reads_rgb(file: CheckpointFile) -> bool:
    return _pycls_config(file, "DATA_LOADER").get("MODE") == "ffcv"


class Detectron2(Format):
    """facebookresearch/detectron2: ``tools/convert-torchvision-to-d2.py`` and what its trainer saves.

    The converter leaves its name in the file; a detector's configuration (``STRIDE_IN_1X1``) is not in it.
    """

    name = "detectron2"
    summary = "detectron2, torch-converted or trained: model with stem.conv1.weight, res2.0.conv1.weight"
    places = (
        Place("backbone", ("model",), "backbone.bottom_up."),
        Place("backbone", ("model",), "backbone."),
        Place("backbone", ("model",)),
    )
    dropped = ("stem.fc.", "linear.", "fpn_", "top_block.")

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        name = re.sub(r"^stem\.conv1\.norm\.", "bn1.", name)
        name = re.sub(r"^stem\.conv1\.", "conv1.", name)
        match = re.fullmatch(r"res([2-5])\.(\d+)\.(?:conv(\d)|(shortcut))(\.norm)?\.(\w+)", name)
        if match is None:
            return name
        stage, block, number, shortcut, norm, part = match.groups()
        inner = f"downsample.{int(bool(norm))}" if shortcut else f"{'bn' if norm else 'conv'}{number}"
        return f"layer{int(stage) - 1}.{block}.{inner}.{part}"

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, ("model",))
        return any(".norm." in name for name in names) and super().recognises(file)

    def weights(self, file: CheckpointFile, place: Place) -> tuple[dict[str, Any], Counter[str]]:
        """See :class:`Format`; the C4 detectors have layer4 in the head of their regions."""
        weights, ignored = super().weights(file, place)
        head = "roi_heads."
        shared, _ = renamed(file, Place("head", place.path, head), self.rename, self.dropped)
        found = {name: value for name, value in shared.items() if name.startswith("layer4.")}
        ignored[f"{head}*"] -= len(found)
        return weights | found, +ignored

    def input_of(self, file: CheckpointFile) -> str:
        """See :class:`Format`."""
        mean = state(file, ("model",)).get("pixel_mean")
        if not isinstance(mean, Weight) or mean.shape != (3, 1, 1):
            return self.input
        first, _, last = (float(value) for value in mean.read().flatten())
        return "bgr-mean" if first < last else self.input

    def warnings(self, file: CheckpointFile) -> tuple[str, ...]:
        """See :class:`Format`."""
        if file.content.get("__author__") == "torchvision":
            return ()
        if "pixel_mean" in state(file, ("model",)):
            return (UNKNOWN_STRIDE,)
        return (UNKNOWN_STRIDE, UNKNOWN_PIXELS)


class Caffe2(Format):
    """Weights of MSRA and Caffe2, which Detectron and detectron2 start from; recognised to be refused.

    ``detectron2/checkpoint/c2_model_loading.py`` has their names.
    """

    name = "caffe2"
    summary = "MSRA and Caffe2 blobs of Detectron (refused: stride in the 1x1, batch norm folded)"
    places = (Place("backbone", ("blobs",)), Place("backbone", ("model",)), Place("backbone"))

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return any(
            any(re.match(r"res2_0_branch2[abc](_w|\.weight)?", name) for name in state(file, place.path))
            for place in self.places
        )

    def refusal(self, file: CheckpointFile) -> tuple[str, str] | None:
        """See :class:`Format`."""
        return (
            "the checkpoint has MSRA's or Caffe2's blobs: their stride is in the 1x1 convolution and their batch norms "
            "have no running statistics, which is not torchvision's ResNet-50",
            "give a checkpoint that was trained with the stride in the 3x3 convolution (torchvision's R-50.pkl is one)",
        )
