"""Made-up data for the SVM probes."""

from __future__ import annotations

import numpy as np

from benchmarks.probes.svm.data import Floats, Labels, SvmData, SvmSettings, normalise_rows

SETTINGS = SvmSettings((1.0, 100.0, 0.0625, 0.001), 3, 2.0, 1.0, 1e-4, 2000, 1.0, 3)


def make(rows: int = 120, classes: int = 3, dimension: int = 12, noise: float = 1.5, seed: int = 0) -> SvmData:
    """Multi-label data: each class pushes the features along a direction; one label in 20 is -1."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(classes, dimension))
    directions *= 4 / np.linalg.norm(directions, axis=1, keepdims=True)

    def split() -> tuple[Floats, Labels]:
        labels = (generator.random((rows, classes)) < 0.3).astype(np.int8)
        features = labels @ directions + noise * generator.normal(size=(rows, dimension))
        features[:, 0] += 4  # so that the norm of a row without any class is not noise alone
        labels[(generator.random(labels.shape) < 0.05) & (labels == 0)] = -1
        return normalise_rows(features.astype(np.float32), 1e-5), labels

    return SvmData(*split(), *split(), tuple(f"class{index}" for index in range(classes)))
