"""What the toolboxes lack, registered with them when this package is imported.

Everything is registered with mmengine itself, where all toolboxes look after their own names.
"""

from benchmarks.toolbox.ops import provide_ops

# Before any toolbox is imported: mmdet would define stand-ins that fail when called, and mmpretrain imports mmdet.
provide_ops()

from benchmarks.toolbox.modules.classifier import FeatureClassifier, FeatureMapsResNet  # noqa: E402
from benchmarks.toolbox.modules.heads import AverageHead, MultiHead  # noqa: E402
from benchmarks.toolbox.modules.hooks import KeepEvaluations, RefuseUnreadable, SeedIteration, SlimCheckpoint  # noqa: E402
from benchmarks.toolbox.modules.images import ListedImages, ReadImage, UnreadableImage, collate_readable  # noqa: E402
from benchmarks.toolbox.modules.losses import KeepLosses  # noqa: E402
from benchmarks.toolbox.modules.metrics import (  # noqa: E402
    CocoAveragePrecision,
    CountDetections,
    Detectron2VOCMetric,
    IntersectionOverUnion,
    MultiHeadAccuracy,
)
from benchmarks.toolbox.modules.precise import PreciseBatchNorm  # noqa: E402
from benchmarks.toolbox.modules.precision import AutocastOptimWrapper  # noqa: E402
from benchmarks.toolbox.modules.samples import DrawnSamples, SeededBatches, SeededOrder  # noqa: E402
from benchmarks.toolbox.modules.transforms import PCALighting, VOCObjects  # noqa: E402

__all__ = [
    "AutocastOptimWrapper",
    "AverageHead",
    "CocoAveragePrecision",
    "CountDetections",
    "Detectron2VOCMetric",
    "DrawnSamples",
    "FeatureClassifier",
    "FeatureMapsResNet",
    "IntersectionOverUnion",
    "KeepEvaluations",
    "KeepLosses",
    "ListedImages",
    "MultiHead",
    "MultiHeadAccuracy",
    "PCALighting",
    "PreciseBatchNorm",
    "ReadImage",
    "RefuseUnreadable",
    "SeedIteration",
    "SeededBatches",
    "SeededOrder",
    "SlimCheckpoint",
    "UnreadableImage",
    "VOCObjects",
    "collate_readable",
]
