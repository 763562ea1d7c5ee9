"""Names the architecture of weights that are not a ResNet-50's, so that a refusal can say what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping

BLOCKS: Mapping[tuple[int, ...], tuple[str, str]] = {
    (2, 2, 2, 2): ("ResNet-18", "a ResNet of 26 layers"),
    (3, 4, 6, 3): ("ResNet-34", "ResNet-50"),
    (3, 4, 23, 3): ("a basic-block ResNet", "ResNet-101"),
    (3, 8, 36, 3): ("a basic-block ResNet", "ResNet-152"),
}
"""Blocks of layer1 to layer4: what they are with two convolutions a block, and with three (He et al. 2015)."""

_SIGNS = {
    r"(^|\.)(attn_?pool\.|head\.pos_embed$)": "CLIP's ResNet (a stem of three convolutions, attention pooling)",
    r"(^|\.)(cls_token|class_token|patch_embed|pos_embed)(\.|$)": "a Vision Transformer",
    r"(^|\.)(main_conv|mixing_conv)\.": "a ResNet with selective kernels (SimCLR v2, sk1)",
    r"standardized_conv2d|(^|\.)stages\.0\.blocks\.0\.norm1\.|^final_batchnorm\.": "a ResNetV2",
    r"\.(zero_point|_packed_params)(\.|$)": "a quantised network",
}
"""Parts of names by which an architecture is known."""

_BLOCK = re.compile(r"layer([1-9])\.(\d+)\.")


def architecture(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Recognises some architectures that are often mistaken for a plain ResNet-50.

    Args:
        shapes: Shape by tensor name, in torchvision's or mmpretrain's naming, without a prefix.

    Returns:
        Its name; None where it is a plain ResNet-50 or is not recognised.
    """
    for sign, what in _SIGNS.items():
        if any(re.search(sign, name) for name in shapes):
            return what
    deep = any(name.startswith(("stem.", "conv1.0.")) for name in shapes)
    if deep and any(name.startswith("layer1.") for name in shapes):
        return "a ResNet with a deep stem of three convolutions (ResNetV1c, ResNetV1d)"
    blocks = _blocks(shapes)
    if not any(blocks):
        return None
    counts = "-".join(map(str, blocks))
    basic, bottleneck = BLOCKS.get(
        blocks, (f"a basic-block ResNet with {counts} blocks", f"a ResNet with {counts} blocks instead of 3-4-6-3")
    )
    if "layer1.0.conv1.weight" in shapes and "layer1.0.conv3.weight" not in shapes:
        return basic
    if blocks != (3, 4, 6, 3) and all(blocks):
        return bottleneck
    return _stem_and_width(shapes)


def tells_of_another(name: str) -> bool:
    """Whether a tensor's name alone says that its network is no plain ResNet."""
    return any(re.search(sign, name) for sign in _SIGNS)


def _blocks(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    found: dict[int, set[int]] = {}
    for name in shapes:
        match = _BLOCK.match(name)
        if match:
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    return tuple(len(found.get(stage, ())) for stage in range(1, max([4, *found]) + 1))


def _stem_and_width(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    stem = shapes.get("conv1.weight", ())
    first = shapes.get("layer1.0.conv1.weight", ())
    second = shapes.get("layer1.0.conv2.weight", ())
    if len(stem) == 4:
        if stem[2:] == (3, 3):
            return "a ResNet with a 3x3 stem, as trained on CIFAR"
        if stem[1] != 3:
            return f"a ResNet for images of {stem[1]} channels"
        if stem[0] != 64:
            return f"a ResNet-50 of {stem[0] / 64:g} times the width"
    if len(second) == 4 and second[1] != second[0]:
        return "a ResNeXt (grouped convolutions)"
    if first and first[0] != 64:
        return f"a wide ResNet-50 (its 3x3 convolutions have {first[0] / 64:g} times the channels)"
    return None
