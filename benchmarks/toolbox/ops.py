"""mmcv's compiled operations out of torchvision's, so that detectors run where mmcv was installed without a compiler.

mmcv's operations live in the module ``mmcv._ext``. Where none was compiled, :func:`provide_ops` puts one in its place
that has what the suite's detectors use: non-maximum suppression and RoIAlign with its gradient. Every other name is
there, as mmcv asks for it when it is imported, and refuses to be called.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor

from results.errors import HarnessError

EXTENSION = "mmcv._ext"
"""Module in which mmcv keeps what it compiled."""

AVERAGE_POOLING = 1
"""mmcv's ``pool_mode`` of RoIAlign for averages; 0 stands for maxima."""

NAIVE, LINEAR, GAUSSIAN = 0, 1, 2
"""mmcv's ``method`` of soft non-maximum suppression."""

HALF = (torch.float16, torch.bfloat16)
"""What autocast makes. torchvision has no kernels for them on the CPU; they are computed in float32."""

TOO_EARLY = ("mmcv.ops", "mmdet.models", "mmdet.structures.mask", "mmseg.models")
"""Modules that keep for ever what they find, or do not find, of mmcv's operations when they are imported."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Non-maximum suppression.

    Of equal scores the box that comes first is kept first, so that the result is a function of the input alone.
    Compiled mmcv sorts without that promise, and torchvision's documentation makes none.

    Args:
        boxes: Float [n, 4] as x1, y1, x2, y2.
        scores: Float [n].
        iou_threshold: A box goes where its overlap with one that is kept is larger.
        offset: 1 where the last pixel counts, so that a width is ``x2 - x1 + 1``; else 0.

    Returns:
        int64 [kept], indices into ``boxes`` by falling score.
    """
    if boxes.numel() == 0:
        return boxes.new_empty((0,), dtype=torch.long)
    order = torch.sort(scores, descending=True, stable=True).indices
    corners = _whole(boxes)[order]
    # Right and lower edges one further are one pixel more in every width, height and intersection.
    corners = corners + corners.new_tensor([0, 0, offset, offset])
    ranks = torch.arange(len(order), 0, -1, device=corners.device, dtype=corners.dtype)
    # torchvision compares with a double: an overlap of exactly three tenths in float32 would be larger than 0.3.
    threshold = torch.tensor(iou_threshold, dtype=corners.dtype).item()
    kept: Tensor = torch.ops.torchvision.nms(corners, ranks, threshold)
    return order[kept]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft non-maximum suppression (Bodla et al. 2017, arXiv:1704.04503): a box that overlaps loses score.

    Of equal scores the box that comes first is taken first. The best of all is kept whatever its score.

    Args:
        boxes: Float [n, 4] as x1, y1, x2, y2.
        scores: Float [n].
        dets: Float [n, 5]; the first rows are filled with x1, y1, x2, y2, remaining score of what is kept.
        iou_threshold: Overlap from which on ``NAIVE`` drops a box and ``LINEAR`` multiplies its score with 1 - overlap.
        sigma: Of ``GAUSSIAN``, which multiplies with exp(-overlap^2 / sigma).
        min_score: A box goes when its score falls below.
        method: ``NAIVE``, ``LINEAR`` or ``GAUSSIAN``.
        offset: As in :func:`nms`.

    Returns:
        int64 [kept], indices into ``boxes`` in the order of ``dets``.
    """
    corners, remaining = _whole(boxes), _whole(scores).clone()
    left = torch.arange(len(corners), device=corners.device)
    kept: list[int] = []
    while len(left):
        best = int(left[remaining[left].argmax()])
        dets[len(kept), :4], dets[len(kept), 4] = boxes[best], remaining[best]
        kept.append(best)
        left = left[left != best]
        overlap = _overlaps(corners[best], corners[left], offset)
        if method == GAUSSIAN:
            factor = torch.exp(-overlap.square() / sigma)
        else:
            factor = torch.where(overlap >= iou_threshold, 1 - overlap if method == LINEAR else 0.0, 1.0)
        remaining[left] *= factor
        left = left[remaining[left] >= min_score]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def _overlaps(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    """Intersection over union of one box, float [4], with each of float [n, 4]; 0 where the union has no area."""
    area, areas = ((each[..., 2:] - each[..., :2] + offset).prod(-1) for each in (box, boxes))
    sides = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2]) + offset
    shared = sides.clamp(min=0).prod(-1)
    union = area + areas - shared
    return torch.where(union > 0, shared / union, 0.0)


def _whole(values: Tensor) -> Tensor:
    """Halves as float32, everything else as it is."""
    return values.float() if values.dtype in HALF else values


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign (He et al. 2017, arXiv:1703.06870), averaging.

    Args:
        input: Float [n, channels, h, w]; halves are averaged in float32.
        rois: Float [boxes, 5] as image number, x1, y1, x2, y2 in pixels of the image.
        output: Float [boxes, channels, aligned_height, aligned_width]; filled here.
        argmax_y: Of pooling by maxima; left alone.
        argmax_x: Likewise.
        aligned_height: Height of the result.
        aligned_width: Width of the result.
        spatial_scale: Pixels of the map for one of the image.
        sampling_ratio: Samples along each side of a cell; 0 for as many as it covers pixels, rounded up.
        pool_mode: 1 for averages.
        aligned: Whether half a pixel of the map is taken off, so that a pixel's value stands in its middle.

    Raises:
        HarnessError: ``pool_mode`` asks for maxima.
    """
    _refuse_maxima(pool_mode)
    if rois.numel() == 0:
        return
    values = _whole(input)
    corners = rois.to(values.dtype)
    pooled = torch.ops.torchvision.roi_align(
        values, corners, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    with torch.no_grad():
        output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` with respect to its map.

    Args:
        grad_output: Float [boxes, channels, aligned_height, aligned_width].
        rois: As forward.
        argmax_y: Of pooling by maxima; left alone.
        argmax_x: Likewise.
        grad_input: Float [n, channels, h, w], zero; filled here.
        aligned_height: As forward.
        aligned_width: As forward.
        spatial_scale: As forward.
        sampling_ratio: As forward.
        pool_mode: As forward.
        aligned: As forward.

    Raises:
        HarnessError: ``pool_mode`` asks for maxima.
    """
    _refuse_maxima(pool_mode)
    if rois.numel() == 0:
        return
    values = _whole(grad_output).contiguous()
    corners = rois.to(values.dtype)
    gradient = torch.ops.torchvision._roi_align_backward(
        values, corners, spatial_scale, aligned_height, aligned_width, *grad_input.shape, sampling_ratio, aligned
    )
    grad_input.copy_(gradient)


def get_compiler_version() -> str:
    """What mmcv's report of the environment prints."""
    return f"none (operations of torchvision {torchvision.__version__})"


def get_compiling_cuda_version() -> str:
    """What mmcv's report of the environment prints."""
    return "not available"


OPERATIONS: dict[str, Callable[..., Any]] = {
    operation.__name__: operation for operation in (nms, softnms, roi_align_forward, roi_align_backward)
}
"""What is supplied, by mmcv's names."""


def operations() -> tuple[str, ...]:
    """Names the operations that are supplied, as mmcv does."""
    return tuple(OPERATIONS)


def _refuse_maxima(pool_mode: int) -> None:
    if pool_mode != AVERAGE_POOLING:
        raise _missing("roi_align with pool_mode 'max'")


def _missing(name: str) -> HarnessError:
    # pip keeps the wheel that it built without operations and would install it again: hence no cache.
    return HarnessError(
        f"mmcv's operation {name} is not among those that are supplied without a compiler: {', '.join(OPERATIONS)}",
        EXTENSION,
        f"build mmcv with its operations (a C++ compiler; for CUDA nvcc): MMCV_WITH_OPS=1 python3 -m pip --python "
        f"{sys.executable} install --no-deps --no-build-isolation --no-cache-dir --force-reinstall "
        f"--no-binary onedl-mmcv onedl-mmcv=={importlib.import_module('mmcv').__version__}",
    )


class SuppliedOperations(types.ModuleType):
    """Stands in for ``mmcv._ext``."""

    def __init__(self) -> None:
        super().__init__(EXTENSION, __doc__)
        self.__spec__ = importlib.machinery.ModuleSpec(EXTENSION, None, origin=__file__)
        self.__dict__.update(OPERATIONS)
        self.get_compiler_version = get_compiler_version
        self.get_compiling_cuda_version = get_compiling_cuda_version

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*arguments: Any, **options: Any) -> Any:
            raise _missing(name)

        return refuse


def provide_ops() -> str:
    """Makes mmcv's operations available; to be called before anything imports ``mmcv.ops``, as mmdet does.

    Where mmdet's models find none, they keep stand-ins that fail when called; mmpretrain's models import them.

    Returns:
        ``compiled`` where mmcv brings its own, which are left alone, or ``torchvision``.

    Raises:
        RuntimeError: What uses the operations was imported before, without any.
    """
    present = sys.modules.get(EXTENSION)
    if present is None and importlib.util.find_spec(EXTENSION) is not None:
        return "compiled"
    if present is None:
        early = [name for name in sys.modules if name.startswith(TOO_EARLY)]
        if early:
            raise RuntimeError(f"provide_ops must be called before {early[0]} is imported: it found no operations")
        present = SuppliedOperations()
        sys.modules[EXTENSION] = present
        importlib.import_module("mmcv").__dict__["_ext"] = present
    return "torchvision" if isinstance(present, SuppliedOperations) else "compiled"
