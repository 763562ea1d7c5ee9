"""Checkpoints of DeepMind's BYOL: dictionaries of arrays from JAX and Haiku."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.checkpoint.formats.base import Format, Place, first_part
from harness.checkpoint.read import CheckpointFile
from harness.checkpoint.stored import Weight

PARTS = {"w": "weight", "scale": "weight", "offset": "bias"}
"""Haiku's parameters of a convolution and of a batch norm, by torch's name."""

SAME_PADDING = (
    "Haiku pads its strided convolutions and its pooling on one side (SAME) and torchvision's on both: "
    "features differ slightly from the published network's"
)


class ByolDeepMind(Format):
    """deepmind/deepmind-research, ``byol/byol_experiment.py`` and ``byol/utils/networks.py``.

    Convolutions are HWIO. A batch norm's running statistics are the ``average`` of its ``mean_ema`` and ``var_ema``
    (``haiku/_src/batch_norm.py`` and ``moving_averages.py``), which stand in the state beside the parameters.
    """

    name = "byol-deepmind"
    summary = "DeepMind's BYOL: experiment_state with online_params and online_state, arrays in HWIO"
    places = (Place("online", ("online",)), Place("target", ("target",)))

    def present(self, file: CheckpointFile) -> tuple[Place, ...]:
        """See :class:`Format`."""
        return tuple(place for place in self.places if _tree(file, f"{place.encoder}_params"))

    def weights(self, file: CheckpointFile, place: Place) -> tuple[dict[str, Any], Counter[str]]:
        """See :class:`Format`."""
        weights: dict[str, Any] = {}
        ignored: Counter[str] = Counter()
        for module, arrays in _tree(file, f"{place.encoder}_params").items():
            layer = _layer(module)
            for part, value in arrays.items():
                if layer is None:
                    ignored[first_part(module.replace("/", "."))] += 1
                else:
                    weights[f"{layer}.{PARTS.get(part, part)}"] = _as_torch(value)
        for module, arrays in _tree(file, f"{place.encoder}_state").items():
            norm, _, average = module.rpartition("/~/")
            kind = {"mean_ema": "running_mean", "var_ema": "running_var"}.get(average)
            layer = _layer(norm)
            if layer is not None and kind is not None and "average" in arrays:
                weights[f"{layer}.{kind}"] = _as_torch(arrays["average"])
        return weights, ignored

    def warnings(self, file: CheckpointFile) -> tuple[str, ...]:
        """See :class:`Format`."""
        return (SAME_PADDING,)


def _tree(file: CheckpointFile, name: str) -> dict[str, dict[str, Any]]:
    """Parameters or state by module and part; empty where the file has none of that name."""
    outer = file.content.get("experiment_state", file.content)
    found = outer.get(name) if isinstance(outer, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {
        module: {part: value for part, value in arrays.items() if isinstance(part, str)}
        for module, arrays in found.items()
        if isinstance(module, str) and isinstance(arrays, Mapping)
    }


def _layer(module: str) -> str | None:
    """The canonical layer of a Haiku module; None for the projector, the predictor and the classifier."""
    if module.endswith("initial_conv"):
        return "conv1"
    if module.endswith("initial_batchnorm"):
        return "bn1"
    if module.endswith("final_batchnorm"):
        # Only networks of the second version have it: no canonical name, so they are refused.
        return "final_batchnorm"
    match = re.search(r"block_group_(\d)/~/block_(\d+)/~/(?:(conv|batchnorm)_(\d)|shortcut_(conv|batchnorm))$", module)
    if match is None:
        return None
    group, block, kind, number, shortcut = match.groups()
    if shortcut:
        inner = f"downsample.{int(shortcut == 'batchnorm')}"
    else:
        inner = f"{'conv' if kind == 'conv' else 'bn'}{int(number) + 1}"
    return f"layer{int(group) + 1}.{block}.{inner}"


def _as_torch(value: Any) -> Any:
    """HWIO to OIHW; scales, offsets and averages of [1, 1, 1, C] to [C]."""
    if not isinstance(value, Weight) or len(value.shape) != 4:
        return value
    if value.shape[:3] == (1, 1, 1):
        return value.squeeze()
    return value.permute(3, 2, 0, 1)
