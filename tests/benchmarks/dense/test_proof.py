"""Every detector and segmentor computes with the checkpoint's backbone, in every part that holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks.backbone import read_backbone
from benchmarks.input_convention import CONVENTIONS
from benchmarks.proof import TOLERANCES
from benchmarks.toolbox import proof
from benchmarks.toolbox.detection import fed
from results.errors import HarnessError
from tests.benchmarks.dense.conftest import DENSE, Dense, build, pixels

DILATED = ("cityscapes_fcn", "voc12aug_fcn")


def prove(dense: Dense, name: str, spoil: Callable[[Any], None] | None = None, input: str = "rgb-mean-std") -> None:
    """Both proofs before training, on a built model; ``spoil`` gets the runner between loading and proving."""
    from benchmarks.toolbox.runner import session

    context = fed(dense.job(name, input=input))
    tensors = read_backbone(context.backbone, context.digest)
    with session(build(context), context, context.digest) as runner:
        runner.model.init_weights()
        proof.load_backbone(runner, tensors)
        if spoil is not None:
            spoil(runner)
        proof.prove_loaded(runner, tensors)
        proof.prove_pipeline(runner, tensors, context, pixels(context), dilated=name in DILATED)


@pytest.mark.parametrize("input", sorted(CONVENTIONS))
@pytest.mark.parametrize("name", [*DENSE, "voc0712_faster_rcnn@moco", "voc0712_faster_rcnn@1x"])
def test_passes(dense: Dense, name: str, input: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Jobs allow more, for GPUs; in float32 on a CPU only the order of sums differs.
    monkeypatch.setitem(TOLERANCES, "fp32", 1e-5)
    prove(dense, name, input=input)


def scale(module: Any, name: str) -> None:
    with torch.no_grad():
        dict(module.named_parameters())[name].mul_(1 + 1e-6)


@pytest.mark.parametrize("name", DENSE)
def test_a_changed_weight_is_seen(dense: Dense, name: str) -> None:
    with pytest.raises(HarnessError, match=r"before training: layer2\.1\.conv1\.weight"):
        prove(dense, name, lambda runner: scale(runner.model.backbone, "layer2.1.conv1.weight"))


def test_a_changed_weight_in_the_head_of_regions_is_seen(dense: Dense) -> None:
    def spoil(runner: Any) -> None:
        scale(runner.model.roi_head.shared_head, "layer4.0.conv2.weight")

    with pytest.raises(HarnessError, match=r"before training: layer4\.0\.conv2\.weight"):
        prove(dense, "voc0712_faster_rcnn", spoil)


def test_a_stride_in_the_head_of_regions_is_seen(dense: Dense) -> None:
    def move(runner: Any) -> None:
        block = runner.model.roi_head.shared_head.layer4[0]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)

    with pytest.raises(HarnessError, match="feature5"):
        prove(dense, "voc0712_faster_rcnn", move)


def test_a_missing_dilation_is_seen(dense: Dense) -> None:
    def flatten(runner: Any) -> None:
        conv = runner.model.backbone.layer4[1].conv2
        conv.dilation, conv.padding = (1, 1), (1, 1)

    with pytest.raises(HarnessError, match="feature5"):
        prove(dense, "voc12aug_fcn", flatten)


@pytest.mark.parametrize("name", DENSE)
def test_swapped_channels_are_seen(dense: Dense, name: str) -> None:
    def swap(runner: Any) -> None:
        runner.model.data_preprocessor._channel_conversion = False
        runner.model.data_preprocessor.channel_conversion = False

    with pytest.raises(HarnessError, match="does not reproduce"):
        prove(dense, name, swap)


@pytest.mark.parametrize("name", DENSE)
def test_another_size_is_seen(dense: Dense, name: str) -> None:
    def enlarge(runner: Any) -> None:
        for transform in runner.val_loop.dataloader.dataset.pipeline.transforms:
            if type(transform).__name__ == "Resize":
                transform.scale = tuple(edge + 8 for edge in transform.scale)

    with pytest.raises(HarnessError, match="does not reproduce"):
        prove(dense, name, enlarge)


def test_a_model_without_layer4_is_refused(dense: Dense) -> None:
    from benchmarks.toolbox.runner import session

    context = dense.job("voc0712_faster_rcnn")
    tensors = read_backbone(context.backbone, context.digest)
    with session(build(context), context, context.digest) as runner:
        del runner.model.roi_head.shared_head
        with pytest.raises(HarnessError, match="has no layer4"):
            proof.load_backbone(runner, tensors)
