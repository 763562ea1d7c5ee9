"""Loading the canonical backbone into a toolbox's model, and the proof that it is what the model computes with.

A detector of the C4 kind keeps layer1 to layer3 in its backbone and layer4 in the head of its regions; both parts are
loaded and both are proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.backbone import FEATURES
from benchmarks.base import JobContext
from benchmarks.proof import (
    Pixels,
    prove_features,
    prove_tensors,
    reference_feature_maps,
    write_fixed_image,
    write_fixed_mask,
)
from benchmarks.toolbox.modules import FeatureClassifier, UnreadableImage
from results.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor

EXTRA_NORM = "norm."
"""Beginning of the names of the one norm that the C4 region head has beyond layer4 (mmpretrain's
``ResLayerExtraNorm``)."""

LAST_STAGE = "layer4."


def backbone_parts(model: Any) -> list[tuple[Any, str]]:
    """The modules that hold the backbone's tensors, each with the beginning of the names that it has.

    Args:
        model: The toolbox's model.
    """
    shared = getattr(getattr(model, "roi_head", None), "shared_head", None)
    return [(model.backbone, "")] if shared is None else [(model.backbone, ""), (shared, LAST_STAGE)]


def load_backbone(runner: Any, tensors: Mapping[str, Tensor]) -> None:
    """Loads the canonical tensors, all of them and no others; ``num_batches_tracked`` and an extra norm stay as built.

    Raises:
        HarnessError: The model has no place for a tensor, or wants one that a ResNet-50 has not.
    """
    placed: set[str] = set()
    for part, beginning in backbone_parts(runner.model):
        own = part.state_dict()
        kept = {
            name: value
            for name, value in own.items()
            if name.endswith("num_batches_tracked") or (beginning and name.startswith(EXTRA_NORM))
        }
        there = {name: tensors[name] for name in own if name in tensors}
        unknown = own.keys() - kept.keys() - there.keys()
        if unknown:
            raise _not_a_resnet(f"has {', '.join(sorted(unknown)[:5])}")
        part.load_state_dict({**kept, **there}, strict=True)
        placed |= there.keys()
    if placed != tensors.keys():
        raise _not_a_resnet(f"has no {', '.join(sorted(tensors.keys() - placed)[:5])}")


def _not_a_resnet(what: str) -> HarnessError:
    return HarnessError(
        f"the built model is not on a ResNet-50: it {what}", "toolbox config", "report this with the job's log"
    )


def prove_loaded(runner: Any, tensors: Mapping[str, Tensor]) -> None:
    """First proof: the built model has the checkpoint's tensors, wherever it keeps them.

    Raises:
        HarnessError: It has not.
    """
    _prove_parts(runner, tensors, "before training")


def prove_frozen(runner: Any, tensors: Mapping[str, Tensor]) -> None:
    """Third proof: training changed nothing in a frozen backbone, running statistics included.

    Raises:
        HarnessError: It did.
    """
    _prove_parts(runner, tensors, "after training")


def _prove_parts(runner: Any, tensors: Mapping[str, Tensor], when: str) -> None:
    parts = backbone_parts(runner.model)
    states = [part.state_dict() for part, _ in parts]
    for state in states:
        prove_tensors(state, {name: value for name, value in tensors.items() if name in state}, when)
    prove_tensors({name: value for state in states for name, value in state.items()}, tensors, when)


def prove_pipeline(
    runner: Any, tensors: Mapping[str, Tensor], context: JobContext, pixels: Pixels, dilated: bool = False
) -> None:
    """Second proof: the fixed image through the runner's own test pipeline and network gives the reference features.

    Args:
        runner: The runner, its model loaded.
        tensors: Canonical backbone.
        context: The job.
        pixels: The test pipeline, for the proof's own forward.
        dilated: Whether the network keeps layer3 and layer4 at an eighth of the image.

    Raises:
        HarnessError: It does not.
    """
    sample = runner.val_loop.dataloader.dataset.pipeline(_fixed_sample(context))
    if isinstance(sample, UnreadableImage):
        raise sample.error()
    model = runner.model.eval()
    # The loader's own way: whether images are joined or stay a list is the job's.
    batch = runner.val_loop.dataloader.collate_fn([sample])
    with torch.inference_mode():
        got = network_maps(model, model.data_preprocessor(batch, False)["inputs"])
    expected = reference_feature_maps(tensors, pixels, context.input, dilated)
    compared = {name: expected[name] for name in got}
    # A network that is trained as a whole is evaluated in float32, whatever it is trained in.
    precision = context.numerics.precision if has_frozen_maps(model) else "fp32"
    prove_features(got, compared, precision, "the test pipeline")


def _fixed_sample(context: JobContext) -> dict[str, Any]:
    """The fixed image as an entry of any toolbox's data set, without objects."""
    return {
        "img_path": str(write_fixed_image(context.attempt)),
        "seg_map_path": str(write_fixed_mask(context.attempt)),
        "img_id": 0,
        "sample_idx": 0,
        "gt_label": 0,
        "instances": [],
        "seg_fields": [],
        "label_map": None,
        "reduce_zero_label": False,
    }


def network_maps(model: Any, inputs: Tensor) -> dict[str, Tensor]:
    """Feature maps of a batch as the model computes them, by name.

    Args:
        model: The toolbox's model.
        inputs: Float [n, 3, h, w], input convention applied.

    Returns:
        All five of a linear evaluation; those that a detector or segmentor takes from its backbone, and layer4's.
    """
    if has_frozen_maps(model):
        return dict(zip(FEATURES, model.extract_feat(inputs), strict=True))
    names = (FEATURES[1 + index] for index in model.backbone.out_indices)
    maps = dict(zip(names, model.backbone(inputs), strict=True))
    for part, beginning in backbone_parts(model):
        if beginning:
            maps[FEATURES[-1]] = part.layer4(maps[FEATURES[-2]])
    return maps


def has_frozen_maps(model: Any) -> bool:
    """Whether the model is a linear evaluation, which computes all five maps under the job's numerics."""
    return isinstance(model, FeatureClassifier)
