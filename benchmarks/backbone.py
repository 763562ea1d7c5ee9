"""The canonical ResNet-50: torchvision's tensor names and shapes, its digest, its file, its feature maps.

53 convolutions and 53 batch norms with running statistics make 265 tensors (torchvision ``models/resnet.py``;
He et al. 2015, arXiv:1512.03385, with the stride on the 3x3 convolution). ``num_batches_tracked`` does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from results.errors import HarnessError
from results.files import write_whole

if TYPE_CHECKING:
    import torch

STAGE_BLOCKS = (3, 4, 6, 3)
"""Residual blocks of layer1 to layer4."""

FEATURES = ("feature1", "feature2", "feature3", "feature4", "feature5")
"""Feature maps: stem before max-pooling (64 channels), layer1 (256), layer2 (512), layer3 (1024), layer4 (2048)."""


def _batch_norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the 265 tensors of a ResNet-50 backbone."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), **_batch_norm_shapes("bn1", 64)}
    channels_in = 64
    for stage, blocks in enumerate(STAGE_BLOCKS, start=1):
        width = 64 * 2 ** (stage - 1)
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            kernels = ((width, channels_in, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for number, kernel in enumerate(kernels, start=1):
                shapes[f"{prefix}.conv{number}.weight"] = kernel
                shapes |= _batch_norm_shapes(f"{prefix}.bn{number}", kernel[0])
            if block == 0:
                shapes[f"{prefix}.downsample.0.weight"] = (4 * width, channels_in, 1, 1)
                shapes |= _batch_norm_shapes(f"{prefix}.downsample.1", 4 * width)
            channels_in = 4 * width
    return shapes


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Identity of a backbone.

    Args:
        tensors: Tensors by canonical name, of any floating dtype; taken as float32.

    Returns:
        Hexadecimal sha256 over the tensors in order of their names: name, shape (JSON) and little-endian float32
        bytes, each followed by a zero byte.
    """
    import torch

    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu", torch.float32).contiguous()
        sha.update(f"{name}\0{json.dumps(list(tensor.shape))}\0".encode())
        sha.update(tensor.numpy().astype("<f4", copy=False).data.cast("B"))
        sha.update(b"\0")
    return sha.hexdigest()


def random_backbone(seed: int) -> dict[str, torch.Tensor]:
    """An untrained backbone, torchvision's initialisation (Kaiming normal, fan out; BN 1, 0, 0, 1).

    Args:
        seed: Seed of torch's CPU generator; the caller's generator is left as it was.

    Returns:
        The 265 tensors, float32.
    """
    import torch
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = resnet50(weights=None).state_dict()
    return {name: state[name].clone() for name in tensor_shapes()}


def write_backbone(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes the canonical tensors as float32 safetensors, whole or not at all."""
    import torch
    from safetensors.torch import save

    canonical = {name: tensors[name].detach().to("cpu", torch.float32).contiguous() for name in tensor_shapes()}
    data = save(canonical, metadata={"format": "pt", "digest": digest(canonical)})

    def write(stream: IO[bytes]) -> None:
        stream.write(data)

    write_whole(path, write)


def read_backbone(path: Path, expected: str) -> dict[str, torch.Tensor]:
    """Reads a canonical backbone and checks that it is the one that is meant.

    Args:
        path: ``backbone.safetensors``.
        expected: Digest that the tensors must have.

    Returns:
        The 265 tensors, float32.

    Raises:
        HarnessError: Missing, corrupt, or another backbone.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    mend = "delete its folder and run again with the checkpoint: intake writes it anew"
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise HarnessError(f"cannot read the canonical backbone: {error}", str(path), mend) from error
    found = digest(tensors)
    if found != expected:
        raise HarnessError(f"the canonical backbone has digest {found[:12]}, not {expected[:12]}", str(path), mend)
    return tensors


def build_backbone(tensors: Mapping[str, torch.Tensor], dilated: bool = False) -> torch.nn.Module:
    """Torchvision's ResNet-50 without its classifier, in eval mode, with these tensors and no others.

    Args:
        tensors: Canonical backbone.
        dilated: Whether layer3 and layer4 have dilation 2 and 4 in place of their strides.

    Raises:
        HarnessError: A tensor is missing, unexpected or misshapen.
    """
    import torch
    from torchvision.models import resnet50

    # Weights that are overwritten below must not move the generator from which a job draws.
    with torch.random.fork_rng(devices=[]):
        model: torch.nn.Module = resnet50(weights=None, replace_stride_with_dilation=[False, dilated, dilated])
    model.fc = torch.nn.Identity()
    state = dict(tensors)
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, value)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise HarnessError(
            f"the tensors are not those of a ResNet-50 backbone: {error}",
            "canonical backbone",
            "run `python -m harness inspect --ckpt PATH` on the checkpoint",
        ) from error
    model.eval()
    return model


def feature_maps(model: torch.nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The five feature maps of a torchvision ResNet.

    Args:
        model: What :func:`build_backbone` returns.
        images: Float [n, 3, height, width], input convention applied.

    Returns:
        ``feature1`` [n, 64, h/2, w/2] (before max-pooling) to ``feature5`` [n, 2048, h/32, w/32].
    """
    parts = dict(model.named_children())
    stem = parts["relu"](parts["bn1"](parts["conv1"](images)))
    maps = {"feature1": stem}
    features = parts["maxpool"](stem)
    for number, name in enumerate(FEATURES[1:], start=1):
        features = parts[f"layer{number}"](features)
        maps[name] = features
    return maps
