"""Named variants say what their sources say, and only that; expectations written by hand from the references."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.catalogue import find_benchmark
from benchmarks.toolbox.frozen import frozen_config, training_pipeline
from results.errors import HarnessError

C4: dict[str, Any] = {
    "anchor_scales": (2, 4, 8, 16, 32),
    "anchor_strides": (16,),
    "rpn_allowed_border": 0,
    "train_proposals_before_nms": 12_000,
    "train_proposals": 2000,
    "test_proposals_before_nms": 6000,
    "roi_match_low_quality": False,
    "mask_head_convolutions": 0,
    "mask_size": 14,
    "extra_norm": True,
    "box_head_channels": None,
    "box_head_outputs": None,
}

CHANGES: dict[str, dict[str, Any]] = {
    "imagenet_knn@1x": {"resize": "OpenCV"},
    "voc07_svm@vissl": {"costs": (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)},
    "imagenet_mhead@vissl": {
        "epochs": 28,
        "milestones": (8, 16, 24),
        "weight_decay": 5e-4,
        "head_norm_affine": True,
        **dict.fromkeys(("brightness", "contrast", "saturation", "hue")),
        **dict.fromkeys(("lighting_std", "lighting_eigenvalues", "lighting_eigenvectors")),
        **dict.fromkeys(("init_std", "init_bias")),
        "init": "torch",
        "average_heads": ("res5avg_bn", "res5avg"),
    },
    "places205_mhead@vissl": {
        "epochs": 14,
        "milestones": (4, 8, 12),
        "weight_decay": 5e-4,
        "head_norm_affine": True,
        "training_center_crop": None,
        **dict.fromkeys(("init_std", "init_bias")),
        "init": "torch",
        "crop_area": (0.08, 1.0),
        "crop_aspect": (3 / 4, 4 / 3),
    },
    "voc0712_faster_rcnn@moco": {
        "rpn_allowed_border": -1,
        "smallest_image": 0,
        "resize": "pillow",
        "pad_multiple": 1,
        "difficult_in_training": "positive",
        "shifted_corners": ("xmin", "ymin"),
        "evaluation_interval": 24_000,
        "precise_bn_iterations": 200,
        "norm_weight_decay": 0.0,
        "iou": None,
        "ious": (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    },
    "voc0712_faster_rcnn@1x": {"rpn_allowed_border": -1, "input_convention": "bgr-mean"},
    "coco_mask_rcnn@1x": {"warmup_iterations": 500},
    "coco_mask_rcnn@c4": C4,
    "coco_mask_rcnn@c4-1x": {**C4, "warmup_iterations": 500},
    "imagenet_linear@sgd-100e": {
        "optimizer": "SGD",
        "learning_rate": 30.0,
        "schedule": "step",
        "milestones": (60, 80),
        "gamma": 0.1,
        "epochs": 100,
        "batch_size": 256,
        "batch_size_per_rank": 32,
        "lars_coefficient": None,
    },
    "imagenet_linear@cosine-100e": {
        "optimizer": "SGD",
        "learning_rate": 0.3,
        "weight_decay": 1e-6,
        "epochs": 100,
        "batch_size": 256,
        "batch_size_per_rank": 32,
        "lars_coefficient": None,
    },
}
"""What differs from the published protocol; None where the variant lacks the field."""

LINEAR = [name.split("@") for name in CHANGES if "linear" in name or "mhead" in name]


@pytest.mark.parametrize("name", CHANGES)
def test_a_variant_differs_in_just_this(name: str) -> None:
    base, _, variant = name.partition("@")
    benchmark = find_benchmark(base)
    published, other = benchmark.protocol(), benchmark.protocol(variant)
    values = {**published.values()}, {**other.values()}
    differing = {
        field: values[1].get(field)
        for field in {*values[0], *values[1]}
        if values[0].get(field) != values[1].get(field)
    }
    assert differing == CHANGES[name]
    assert other.name == name
    assert other.hash != published.hash
    benchmark.check(other)
    benchmark.check(benchmark.protocol(variant, "smoke"))


def test_every_variant_is_listed_here() -> None:
    from benchmarks.catalogue import catalogue

    assert {f"{each.name}@{variant}" for each in catalogue().values() for variant in each.variants} == set(CHANGES)


@pytest.mark.parametrize(("base", "variant"), LINEAR)
def test_the_built_config_follows(tiny: Any, base: str, variant: str) -> None:
    benchmark = find_benchmark(base)
    tiny.write_images(train=1, val=1)
    context = tiny.job(benchmark=benchmark)

    context = dataclasses.replace(context, protocol=benchmark.protocol(variant))
    config = frozen_config(context, "imagenet")
    changes = CHANGES[f"{base}@{variant}"]
    assert config["optim_wrapper"]["optimizer"]["type"] == "SGD"
    assert "eta" not in config["optim_wrapper"]["optimizer"]
    assert config["train_cfg"]["max_epochs"] == changes["epochs"]
    (schedule,) = config["param_scheduler"]
    if "milestones" in changes:
        assert (schedule["type"], schedule["milestones"]) == ("MultiStepLR", list(changes["milestones"]))
    else:
        assert (schedule["type"], schedule["T_max"]) == ("CosineAnnealingLR", 100)
    if changes.get("head_norm_affine"):
        assert config["model"]["head"]["norm"]["affine"] is True
        assert config["optim_wrapper"]["paramwise_cfg"] == {"norm_decay_mult": 0.0}
        kinds = [step["type"] for step in training_pipeline(context.protocol)]
        assert "torchvision/ColorJitter" not in kinds
        assert "PCALighting" not in kinds
        assert "torchvision/RandomResizedCrop" in kinds
    else:
        assert "paramwise_cfg" not in config["optim_wrapper"]


def test_what_norms_learn_is_not_decayed(tiny: Any) -> None:

    from mmengine.optim import build_optim_wrapper

    from benchmarks.toolbox.runner import session

    benchmark = find_benchmark("imagenet_mhead")
    tiny.write_images(train=1, val=1)
    context = dataclasses.replace(
        tiny.job(benchmark=benchmark),
        protocol=benchmark.protocol("vissl", "smoke", {"layers": ["feature1"], "average_heads": ["res5avg"]}),
    )
    with session(frozen_config(context, "imagenet"), context, context.digest) as runner:
        wrapper = build_optim_wrapper(runner.model, dict(runner.cfg["optim_wrapper"]))
        decays = {
            name: group["weight_decay"]
            for name, parameter in runner.model.named_parameters()
            for group in wrapper.optimizer.param_groups
            if parameter.requires_grad and any(parameter is each for each in group["params"])
        }
    assert decays == {
        "head.heads.feature1.norm.weight": 0.0,
        "head.heads.feature1.norm.bias": 0.0,
        "head.heads.feature1.linear.weight": 5e-4,
        "head.heads.feature1.linear.bias": 5e-4,
        "head.heads.res5avg.linear.weight": 5e-4,
        "head.heads.res5avg.linear.bias": 5e-4,
    }


@pytest.mark.parametrize("heads", [["res5"], ["res5avg", "res5avg"]])
def test_other_heads_on_the_average_are_refused(heads: list[str]) -> None:
    benchmark = find_benchmark("imagenet_mhead")
    with pytest.raises(HarnessError, match="average_heads cannot be"):
        benchmark.check(benchmark.protocol("vissl", overrides={"average_heads": heads}))


def test_the_built_mask_rcnn_on_c4() -> None:
    from harness.built_config import official_config

    benchmark = find_benchmark("coco_mask_rcnn")
    config = official_config(benchmark, benchmark.protocol("c4"))
    assert config is not None
    model = config["model"]
    assert "neck" not in model
    assert model["backbone"]["out_indices"] == (2,)
    assert (model["backbone"]["style"], model["backbone"]["frozen_stages"]) == ("pytorch", -1)
    assert model["data_preprocessor"]["mean"] == [123.675, 116.28, 103.53]
    assert model["data_preprocessor"]["bgr_to_rgb"] is True
    shared = model["roi_head"]["shared_head"]
    assert (shared["type"], shared["style"], shared["stage"], shared["stride"]) == (
        "ResLayerExtraNorm",
        "pytorch",
        3,
        2,
    )
    assert shared["norm_cfg"] == {"type": "SyncBN", "requires_grad": True}
    assert model["roi_head"]["mask_roi_extractor"] is None
    assert model["roi_head"]["mask_head"]["num_convs"] == 0
    assert model["roi_head"]["bbox_head"]["type"] == "BBoxHead"
    assert model["train_cfg"]["rpn"]["allowed_border"] == 0
    assert model["train_cfg"]["rcnn"]["mask_size"] == 14
    assert model["train_cfg"]["rpn_proposal"]["nms_pre"] == 12_000
    assert config["train_cfg"]["max_epochs"] == 12
