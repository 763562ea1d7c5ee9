"""What the toolboxes lack, registered with them when this package is imported."""

from benchmarks.toolbox.modules.classifier import FeatureClassifier, FeatureMapsResNet
from benchmarks.toolbox.modules.heads import MultiHead
from benchmarks.toolbox.modules.hooks import KeepEvaluations, RefuseUnreadable, SetEpoch, SlimCheckpoint
from benchmarks.toolbox.modules.images import ListedImages, ReadImage, UnreadableImage, collate_readable
from benchmarks.toolbox.modules.metrics import MultiHeadAccuracy
from benchmarks.toolbox.modules.transforms import PCALighting, SeedSample

__all__ = [
    "FeatureClassifier",
    "FeatureMapsResNet",
    "KeepEvaluations",
    "ListedImages",
    "MultiHead",
    "MultiHeadAccuracy",
    "PCALighting",
    "ReadImage",
    "RefuseUnreadable",
    "SeedSample",
    "SetEpoch",
    "SlimCheckpoint",
    "UnreadableImage",
    "collate_readable",
]
