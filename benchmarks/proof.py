"""The proof that a job measures the backbone it says it measures.

At the first start of every job: each backbone tensor of the built model equals the canonical one, and a fixed image,
sent through the job's real test pipeline and backbone, gives the features of a plain torchvision forward under the
declared input convention. After training on a frozen backbone: still equal, running statistics included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.backbone import build_backbone, feature_maps
from benchmarks.base import PixelPipeline
from benchmarks.input_convention import InputConvention
from results.errors import HarnessError
from results.files import write_whole

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class FittedPixels:
    """From an image file to the pixels of a detector or segmentor: fitted into a rectangle, aspect ratio kept.

    Decoding is OpenCV's; so is resizing (bilinear, no antialiasing) in mmdetection and mmsegmentation, while detectron2
    resizes with PIL.

    Args:
        long_edge: The long edge is at most so long, in pixels.
        short_edge: And the short edge so long.
        multiple: Height and width are padded with zeros, after normalisation, to a multiple of it.
        resize: ``cv2`` or ``pillow``.
    """

    long_edge: int
    short_edge: int
    multiple: int = 1
    resize: str = "cv2"


Pixels = PixelPipeline | FittedPixels

TOLERANCES = {"fp32": 1e-3, "bf16": 0.05, "amp": 0.05}
"""Largest error of a feature map, relative to its largest entry, by precision. Float32 kernels of another batch size,
memory format or library differ by about 1e-6 on an untrained network, bfloat16 by 1e-2; swapped channels by 0.14 to
0.86, a mean or standard deviation left out by 0.66 and more, a resize to 66 instead of 64 pixels by 0.05 to 0.34."""


def fixed_image() -> npt.NDArray[np.uint8]:
    """The image of the proof: uint8 RGB [200, 300, 3], not square, every channel different, edges and fine texture."""
    rows, columns = np.mgrid[0:200, 0:300].astype(np.float64)
    red = 128 + 100 * np.sin(columns / 9) * np.cos(rows / 23)
    green = 255 * columns / 299
    blue = np.where((rows // 16 + columns // 24) % 2 == 0, 40, 200) * (0.5 + rows / 400)
    picture: npt.NDArray[np.uint8] = np.stack([red, green, blue], axis=-1).clip(0, 255).round().astype(np.uint8)
    return picture


def write_fixed_image(folder: Path) -> Path:
    """Writes the fixed image as PNG (lossless, so that every decoder agrees) and returns its path."""
    from PIL import Image

    path = folder / "proof.png"
    write_whole(path, lambda stream: Image.fromarray(fixed_image()).save(stream, format="PNG"))
    return path


def write_fixed_mask(folder: Path) -> Path:
    """Writes a mask of zeros that goes with the fixed image, for pipelines that read one, and returns its path."""
    from PIL import Image

    path = folder / "proof-mask.png"
    height, width = fixed_image().shape[:2]
    write_whole(path, lambda stream: Image.new("L", (width, height)).save(stream, format="PNG"))
    return path


def reference_input(image: npt.NDArray[np.uint8], pixels: Pixels, convention: InputConvention) -> torch.Tensor:
    """The network's input by the shortest independent way: PIL or OpenCV, then arithmetic in numpy.

    Args:
        image: uint8 RGB [height, width, 3].
        pixels: Pixel pipeline.
        convention: Input convention.

    Returns:
        Float32 [1, 3, h, w].
    """
    import torch

    resized = _fitted(image, pixels) if isinstance(pixels, FittedPixels) else _cropped(image, pixels)
    array = resized.astype(np.float64)
    if convention.channels == "BGR":
        array = array[..., ::-1]
    array = (array - np.array(convention.mean)) / np.array(convention.std)
    if isinstance(pixels, FittedPixels):
        height, width = (-edge % pixels.multiple for edge in array.shape[:2])
        array = np.pad(array, ((0, height), (0, width), (0, 0)))
    return torch.from_numpy(array.transpose(2, 0, 1)[None].astype(np.float32))


def _cropped(image: npt.NDArray[np.uint8], pixels: PixelPipeline) -> npt.NDArray[np.uint8]:
    from PIL import Image

    picture = Image.fromarray(image)
    width, height = picture.size
    short = min(width, height)
    # torchvision's Resize, which mmselfsup 0.x uses, cuts the long edge's fraction off.
    resized = (pixels.short_edge * width // short, pixels.short_edge * height // short)
    if pixels.interpolation == "opencv-bilinear":
        import cv2

        picture = Image.fromarray(cv2.resize(image, resized, interpolation=cv2.INTER_LINEAR))
    else:
        picture = picture.resize(resized, Image.Resampling.BILINEAR)
    if pixels.squash is not None:
        picture = picture.resize((pixels.squash, pixels.squash), Image.Resampling.BILINEAR)
    if pixels.crop is not None:
        left = round((picture.width - pixels.crop) / 2)
        top = round((picture.height - pixels.crop) / 2)
        picture = picture.crop((left, top, left + pixels.crop, top + pixels.crop))
    return np.asarray(picture, dtype=np.uint8)


def _fitted(image: npt.NDArray[np.uint8], pixels: FittedPixels) -> npt.NDArray[np.uint8]:
    import cv2
    from PIL import Image

    height, width = image.shape[:2]
    factor = min(pixels.long_edge / max(height, width), pixels.short_edge / min(height, width))
    size = (int(width * factor + 0.5), int(height * factor + 0.5))
    if pixels.resize == "pillow":
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), dtype=np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def reference_feature_maps(
    tensors: Mapping[str, torch.Tensor], pixels: Pixels, convention: InputConvention, dilated: bool = False
) -> dict[str, torch.Tensor]:
    """Feature maps of the fixed image by a plain torchvision forward in float32 on the CPU.

    Args:
        tensors: Canonical backbone.
        pixels: Pixel pipeline.
        convention: Input convention.
        dilated: Whether layer3 and layer4 keep layer2's size, with dilated convolutions.

    Returns:
        ``feature1``..``feature5``, float32 [1, channels, h, w].
    """
    import torch

    with torch.inference_mode():
        return feature_maps(build_backbone(tensors, dilated), reference_input(fixed_image(), pixels, convention))


def prove_tensors(built: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], when: str) -> None:
    """Checks that every backbone tensor of a built model equals the canonical one, bit for bit.

    Args:
        built: Tensors of the built model under canonical names; others are ignored.
        tensors: Canonical backbone.
        when: ``before training`` or the like, for the message.

    Raises:
        HarnessError: A tensor is missing or differs.
    """
    import torch

    wrong = [
        name
        for name, expected in tensors.items()
        if name not in built or not torch.equal(built[name].detach().to("cpu", torch.float32), expected)
    ]
    if wrong:
        raise HarnessError(
            f"{len(wrong)} of {len(tensors)} backbone tensors are not the checkpoint's {when}: {', '.join(wrong[:5])}",
            "built model",
            "no number is published; report this with the job's log",
        )


def prove_features(
    got: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], precision: str, what: str
) -> None:
    """Checks that the job's test pipeline and backbone give the reference features of the fixed image.

    Args:
        got: Features of the job by layer.
        expected: Reference features, of the same layers and shapes.
        precision: Precision of the job's numerics.
        what: Which pipeline, for the message.

    Raises:
        HarnessError: A layer is missing, has another shape or other values.
    """
    import torch

    tolerance = TOLERANCES[precision]
    for layer, reference in expected.items():
        value = got.get(layer)
        if value is None or value.shape != reference.shape:
            shape = None if value is None else tuple(value.shape)
            problem = f"{layer} has shape {shape}, not {tuple(reference.shape)}"
        else:
            difference = (value.detach().to("cpu", torch.float32) - reference).abs().max().item()
            scale = reference.abs().max().item()
            if difference <= tolerance * scale:
                continue
            problem = f"{layer} differs by {difference / scale:.2g} of its largest entry (tolerance {tolerance:g})"
        raise HarnessError(
            f"{what} does not reproduce a plain forward of the checkpoint: {problem}",
            "fixed image of the proof",
            "no number is published; check --input and --numerics, or report this with the job's log",
        )
