"""ImageNet multi-head linear evaluation: a linear classifier on each of five feature maps of the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.classification.linear_evaluation import (
    PUBLISHED_INIT,
    RANDOM_RESIZED_CROP,
    SMOKE,
    VISSL_INIT,
    MultiHeadEvaluation,
    multi_head_fields,
    pixel_fields,
)
from benchmarks.protocol import Field, Variant

CONFIG = "mmselfsup 0.x configs/benchmarks/classification/imagenet/resnet50_mhead_linear-8xb32-steplr-90e_in1k.py"
PIPELINE = "mmselfsup 0.x configs/benchmarks/classification/_base_/datasets/imagenet.py"
LIGHTING = "mmselfsup 0.x mmselfsup/datasets/pipelines/transforms.py: added to pixels in [0, 1], not clipped"
PCA = "Krizhevsky et al. 2012, as in fb.resnet.torch datasets/imagenet.lua and mmselfsup 0.x pipelines"


VISSL = (
    "vissl configs/config/benchmark/linear_image_classification/imagenet1k/eval_resnet_8gpu_transfer_in1k_linear.yaml; "
    "its norms are left out of weight decay"
)
_LIGHTING = ("lighting_std", "lighting_eigenvalues", "lighting_eigenvectors")


class ImagenetMhead(MultiHeadEvaluation):
    """Feature1 to Feature5 of the ImageNet tables."""

    name: ClassVar[str] = "imagenet_mhead"
    title: ClassVar[str] = "ImageNet linear evaluation (multi-head)"
    data: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1
    hours: ClassVar[float] = 80
    table: ClassVar[Mapping[str, Field]] = {
        **multi_head_fields(CONFIG),
        **pixel_fields(PIPELINE),
        **RANDOM_RESIZED_CROP,
        "classes": Field(1000, "Russakovsky et al. 2015, ILSVRC 2012"),
        "epochs": Field(90, CONFIG),
        "milestones": Field((30, 60), CONFIG),
        "brightness": Field(0.4, PIPELINE),
        "contrast": Field(0.4, PIPELINE),
        "saturation": Field(0.4, PIPELINE),
        "hue": Field(0.0, PIPELINE),
        "lighting_std": Field(0.1, f"{PIPELINE}; {LIGHTING}"),
        "lighting_eigenvalues": Field((0.2175, 0.0188, 0.0045), PCA),
        "lighting_eigenvectors": Field(
            ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)), PCA
        ),
    }
    smoke: ClassVar[Mapping[str, Any]] = {**SMOKE, "epochs": 5, "milestones": (3, 4)}
    variants: ClassVar[Mapping[str, Variant]] = {
        "vissl": Variant(
            VISSL,
            {"epochs": 28, "milestones": (8, 16, 24), "weight_decay": 5e-4, "head_norm_affine": True},
            {
                **VISSL_INIT,
                "average_heads": Field(
                    ("res5avg_bn", "res5avg"), f"{VISSL}: eval_mlp and mlp on the average of the last map"
                ),
            },
            ("brightness", "contrast", "saturation", "hue", *_LIGHTING, *PUBLISHED_INIT),
        )
    }
