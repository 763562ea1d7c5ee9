"""Features on a CPU in other numerics, against eager float32."""

from __future__ import annotations

import functools
from typing import Any

import torch

from benchmarks.backbone import random_backbone
from benchmarks.base import FeatureRequest, Numerics, PixelPipeline
from benchmarks.input_convention import CONVENTIONS
from benchmarks.probes.features import build_extractor
from tests.perf.case import Case, Side

IMAGES = 16
REQUEST = FeatureRequest("imagenet", ("val",), PixelPipeline(256, crop=224), ("feature5",), "global_average")


def make(numerics: Numerics, seed: int) -> tuple[Side, Side]:
    """One batch of pixels through both networks; decoding is the same for both and left out."""
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (IMAGES, 224, 224, 3), generator=random, dtype=torch.uint8)
    tensors = random_backbone(seed)

    def side(name: str, chosen: Numerics) -> Side:
        extractor = build_extractor(tensors, REQUEST, CONVENTIONS["rgb-mean-std"], chosen, "cpu", 1)

        def run() -> torch.Tensor:
            with torch.inference_mode():
                return extractor._maps(pixels, IMAGES)["feature5"].mean((2, 3))

        # Kernels are chosen, and where there is a compiler the network is compiled, outside of the measurement.
        run()
        return Side(name, run)

    return side("ours", numerics), side("eager float32", Numerics())


def equal(tolerance: float, ours: Any, peer: Any) -> tuple[bool, str]:
    """Largest error of a feature as a share of the largest feature."""
    error = float((ours - peer).abs().max() / peer.abs().max())
    return error <= tolerance, f"features to {error:.0e} of the largest"


_FOLDED = Numerics(folded=True, channels_last=True)
_BF16 = Numerics("bf16", folded=True, channels_last=True)

CASES = (
    Case(
        "features-folded", "ResNet-50, CPU, folded, channels_last", 1.2, None,
        functools.partial(make, _FOLDED), functools.partial(equal, 1e-5), 3,
    ),
    Case(
        "features-bf16", "ResNet-50, CPU, the same in bf16", 1.8, 3,
        functools.partial(make, _BF16), functools.partial(equal, 0.03), 3,
    ),
)  # fmt: skip
