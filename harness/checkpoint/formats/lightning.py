"""Checkpoints of PyTorch Lightning: solo-learn, lightly, and modules of one's own."""

from __future__ import annotations

from harness.checkpoint.formats.base import STATE, Format, Place, has, state
from harness.checkpoint.read import CheckpointFile

SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Children of torchvision's ResNet by their place; 2 is the ReLU, 3 the pooling, 8 the average."""


def is_lightning(file: CheckpointFile) -> bool:
    """Whether Lightning's trainer wrote the file."""
    return isinstance(file.content.get("pytorch-lightning_version"), str)


def sequential_name(name: str) -> str:
    """The canonical name behind a child's number in ``nn.Sequential(*list(resnet.children())[:-1])``."""
    number, dot, rest = name.partition(".")
    return SEQUENTIAL.get(number, number) + dot + rest


class SoloLearn(Format):
    """vturrisi/solo-learn, ``solo/methods/base.py``: ``encoder`` before version 1.0.3, then ``backbone``."""

    name = "solo-learn"
    summary = "solo-learn .ckpt: state_dict with backbone.* or encoder.*, classifier.*, momentum_backbone.*"
    places = (
        Place("backbone", STATE, "backbone."),
        Place("backbone", STATE, "encoder."),
        Place("momentum", STATE, "momentum_backbone."),
        Place("momentum", STATE, "momentum_encoder."),
    )
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return is_lightning(file) and has(state(file, STATE), "classifier.") and self.holds(file, "backbone")


class Lightly(Format):
    """lightly-ai/lightly: its examples (children of a ResNet in a Sequential) and its ImageNet benchmarks."""

    name = "lightly"
    summary = "lightly .ckpt: state_dict with backbone.0.* (examples), or backbone.* and projection_head.*"
    places = (
        Place("backbone", STATE, "backbone."),
        Place("teacher", STATE, "teacher_backbone."),
        Place("student", STATE, "student_backbone."),
        Place("momentum", STATE, "backbone_momentum."),
        Place("key", STATE, "key_backbone."),
    )
    dropped = ("fc.",)

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        return sequential_name(name)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, STATE)
        own = has(names, "projection_head.", "online_classifier.", "student_backbone.", "backbone.0.")
        return is_lightning(file) and own and not has(names, "classifier.") and super().recognises(file)
