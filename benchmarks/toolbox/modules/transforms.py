"""Transforms that training pipelines need and the toolboxes lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class VOCObjects:
    """Makes of the objects of an image, as mmdetection reads them, those that detectron2 trains on.

    mmdetection takes 1 from all four corners and leaves difficult objects out of training.

    Args:
        positive: Whether difficult objects are trained on like the others.
        far_corners: What is added to xmax and ymax, in pixels: 1 where VOC's are kept as they are.
    """

    def __init__(self, positive: bool, far_corners: float) -> None:
        self.positive = positive
        self.far_corners = far_corners

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes ``gt_bboxes`` [n, 4] and ``gt_ignore_flags`` [n], before any resize."""
        results["gt_bboxes"].tensor[:, 2:] += self.far_corners
        if self.positive:
            results["gt_ignore_flags"] = np.zeros_like(results["gt_ignore_flags"])
        return results


@TRANSFORMS.register_module()
class PCALighting:
    """Lighting noise along the principal components of ImageNet's colours (Krizhevsky et al. 2012, section 4.1).

    With pixels in [0, 1] it adds ``sum_i eigenvectors[:, i] * alpha_i * eigenvalues[i]``, alpha ~ N(0, std), to every
    pixel; nothing is clipped (mmselfsup 0.x ``mmselfsup/datasets/pipelines/transforms.py``), so that nothing can wrap
    around. mmpretrain's ``Lighting`` casts back to 8 bits.

    Args:
        eigenvalues: Three, for pixels in [0, 1].
        eigenvectors: 3 x 3, one row for each of R, G, B.
        std: Standard deviation of alpha.
    """

    def __init__(self, eigenvalues: Sequence[float], eigenvectors: Sequence[Sequence[float]], std: float) -> None:
        self.directions = np.array(eigenvectors, dtype=np.float64) * np.array(eigenvalues, dtype=np.float64)
        self.std = std

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces ``img``, BGR uint8 [h, w, 3], by float32 in units of 0 to 255."""
        shift = self.directions @ np.random.normal(0.0, self.std, size=3)
        results["img"] = results["img"].astype(np.float32) + (255.0 * shift[::-1]).astype(np.float32)
        return results
