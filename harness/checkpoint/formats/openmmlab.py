"""Checkpoints of OpenMMLab's toolboxes, and our own."""

from __future__ import annotations

import dataclasses

from harness.checkpoint.formats.base import OWN, STATE, Converted, Format, Place, has, state
from harness.checkpoint.formats.lightning import is_lightning
from harness.checkpoint.read import CheckpointFile


class Canonical(Format):
    """The ``backbone.safetensors`` of a workspace."""

    name = "canonical"
    summary = "this harness: backbone.safetensors of a workspace, with its digest"

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return "digest" in file.metadata

    def convert(self, file: CheckpointFile, where: str, encoder: str | None = None) -> Converted:
        """See :class:`Format`."""
        return dataclasses.replace(super().convert(file, where, encoder), digest=file.metadata["digest"])


class MMPretrain(Format):
    """Full checkpoint: ``mmengine/runner/checkpoint.py``, also mmcv's and OpenSelfSup's.

    Momentum copies: ``mmpretrain/models/selfsup/{moco,mocov3,byol}.py`` (``encoder_k``, ``momentum_encoder``,
    ``target_net``, each a Sequential of backbone and neck, in a ``module`` of mmengine's averaged models). Where
    mmengine's EMAHook averaged the weights, ``state_dict`` has the averages and ``ema_state_dict`` what was averaged.
    """

    name = "mmpretrain"
    summary = "mmselfsup, mmpretrain, OpenSelfSup: state_dict with backbone.*"
    places = (
        Place("backbone", STATE, "backbone."),
        Place("momentum", STATE, "encoder_k.module.0."),
        Place("momentum", STATE, "encoder_k.0."),
        Place("momentum", STATE, "momentum_encoder.module.0."),
        Place("momentum", STATE, "momentum_encoder.0."),
        Place("target", STATE, "target_net.module.0."),
        Place("target", STATE, "target_net.0."),
        Place("unaveraged", ("ema_state_dict",), "backbone."),
    )

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, STATE)
        return self.holds(file, "backbone") and not has(names, "backbone.fc.") and not is_lightning(file)


class MMPretrainBackbone(Format):
    """What ``tools/model_converters/extract_backbone_weights.py`` of mmselfsup writes."""

    name = "mmpretrain-backbone"
    summary = "mmselfsup, mmpretrain extracted backbone: state_dict with conv1.weight, layer1.*, no fc"
    places = (Place("backbone", STATE),)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return is_resnet(state(file, STATE)) and not is_lightning(file)


def is_resnet(names: dict[str, object], *also: str) -> bool:
    """Whether these are a ResNet's names and, but for the beginnings in ``also``, nothing else."""
    return has(names, "layer1.") and all(name.startswith(OWN + also) for name in names)
