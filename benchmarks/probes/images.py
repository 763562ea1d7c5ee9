"""From image files to batches of 8-bit pixels, as a pixel pipeline says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.base import PixelPipeline
from results.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

INTERPOLATIONS = ("bilinear", "opencv-bilinear")
MEND = "take the image anew from the data set's archive, then run `python -m harness data check`"


def decode(path: Path) -> Image:
    """Decodes an image by OpenCV: EXIF orientation applied, 8 bits, three channels.

    Raises:
        HarnessError: Missing, unreadable, empty, truncated or no image.
    """
    import cv2
    from PIL import Image

    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read an image: {error}", str(path), MEND) from error
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise HarnessError(f"cannot decode an image: {error.err}", str(path), MEND) from error
    if pixels is None:
        problem = "is truncated or no image that OpenCV knows" if data else "is empty"
        raise HarnessError(f"{path.name} {problem}", str(path), MEND)
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def transform(picture: Image, pixels: PixelPipeline) -> npt.NDArray[np.uint8]:
    """Resizes and cuts an image.

    The long edge is rounded down, as torchvision's ``Resize`` does, which mmselfsup 0.x used
    (``mmselfsup/datasets/pipelines/transforms.py``); the crop's corner is rounded to the nearest pixel, as in
    ``CenterCrop``.

    Args:
        picture: RGB image.
        pixels: What to do.

    Returns:
        uint8 RGB [height, width, 3].
    """
    width, height = picture.size
    short = min(width, height)
    size = (int(pixels.short_edge * width / short), int(pixels.short_edge * height / short))
    picture = _resized(picture, size, pixels.interpolation)
    if pixels.squash is not None:
        picture = _resized(picture, (pixels.squash, pixels.squash), pixels.interpolation)
    if pixels.crop is not None:
        left = round((picture.width - pixels.crop) / 2)
        top = round((picture.height - pixels.crop) / 2)
        picture = picture.crop((left, top, left + pixels.crop, top + pixels.crop))
    return np.array(picture)


def _resized(picture: Image, size: tuple[int, int], interpolation: str) -> Image:
    """An image of another width and height."""
    from PIL import Image
    from PIL.Image import Resampling

    if interpolation == "bilinear":
        return picture.resize(size, Resampling.BILINEAR)
    import cv2

    return Image.fromarray(cv2.resize(np.asarray(picture), size, interpolation=cv2.INTER_LINEAR))


class ImageFiles:
    """A torch data set (by protocol) over image files.

    Args:
        paths: The files.
        pixels: Pixel pipeline.
    """

    def __init__(self, paths: Sequence[Path], pixels: PixelPipeline) -> None:
        self.paths = paths
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8] | HarnessError:
        """Pixels uint8 [height, width, 3], or what is wrong: an exception would lose its form in a worker."""
        try:
            return transform(decode(self.paths[index]), self.pixels)
        except HarnessError as error:
            return error


def _stack(items: list[npt.NDArray[np.uint8] | HarnessError]) -> torch.Tensor | HarnessError:
    import torch

    for item in items:
        if isinstance(item, HarnessError):
            return item
    return torch.from_numpy(np.stack([item for item in items if not isinstance(item, HarnessError)]))


def image_batches(
    paths: Sequence[Path], pixels: PixelPipeline, batch: int, workers: int, pin_memory: bool
) -> Iterator[torch.Tensor]:
    """Reads images in order.

    Args:
        paths: The files.
        pixels: Pixel pipeline; it must give all images one size.
        batch: Images in a batch; the last one may be smaller.
        workers: Processes that decode; 0 decodes here.
        pin_memory: Whether the batches lie in page-locked memory, for copies to a GPU.

    Yields:
        uint8 RGB [n, height, width, 3].

    Raises:
        HarnessError: An image cannot be read.
    """
    from torch.utils.data import DataLoader

    loader: DataLoader[torch.Tensor | HarnessError] = DataLoader(
        ImageFiles(paths, pixels),  # type: ignore[arg-type]
        batch_size=batch,
        shuffle=False,
        num_workers=workers,
        collate_fn=_stack,
        pin_memory=pin_memory,
        worker_init_fn=_one_thread,
    )
    for item in loader:
        if isinstance(item, HarnessError):
            raise item
        yield item


def _one_thread(_: int) -> None:
    """The worker processes are the parallelism; OpenCV's own threads would only get in their way."""
    import cv2

    cv2.setNumThreads(0)
