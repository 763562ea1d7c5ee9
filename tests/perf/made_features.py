"""Made-up features with the shape, spectrum and difficulty of a ResNet's on VOC2007."""

from __future__ import annotations

import numpy as np

from benchmarks.probes.svm.data import Labels, SvmData, normalise_rows

ROWS = {"train": 5011, "test": 4952}

PREVALENCE = (
    0.047, 0.049, 0.066, 0.036, 0.049, 0.037, 0.142, 0.067, 0.089, 0.028,
    0.052, 0.084, 0.057, 0.049, 0.401, 0.049, 0.019, 0.046, 0.052, 0.051,
)  # fmt: skip
"""Share of VOC2007's training images that show each class."""

LATENT = 1024
"""Directions in which images differ; their variances fall as a power, as those of trained networks do."""

DECAY = 0.55
STRENGTH = (0.55, 1.9)
"""How far the first and the last class move an image, in units in which the first direction has a deviation of 0.55.
Chosen so that mAP lies between 75 and 92: where all rankings are perfect, that two solvers agree means nothing."""

STEEPEST = 3.0
LARGEST_MISSING = 0.2
"""From the first class to the last, classes lie ever more in the leading directions, and up to this share of their
images do not show them: they then choose different costs."""

NEVER_TUNED_ON = 20251
"""A seed on which no constant of the solver was chosen."""


def make_voc(dimension: int, seed: int) -> SvmData:
    """Both splits of one data set: 20 classes, some images with several, 1.5 % of absences difficult."""
    shared = np.random.default_rng([seed, 0])
    mixing = shared.standard_normal((LATENT, dimension), dtype=np.float32) / np.float32(6)
    spectrum = (3.0 + np.arange(LATENT)) ** -DECAY
    offset = 0.1 * np.abs(shared.standard_normal(dimension, dtype=np.float32)) + np.float32(0.25)
    steepness = np.linspace(1, STEEPEST, len(PREVALENCE))[:, None]
    directions = shared.standard_normal((len(PREVALENCE), LATENT)) * spectrum**steepness
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    strength = np.linspace(*STRENGTH, len(PREVALENCE))
    missing = np.linspace(0, LARGEST_MISSING, len(PREVALENCE))
    parts = []
    for number, rows in enumerate(ROWS.values(), start=1):
        random = np.random.default_rng([seed, number])
        present = _present(random, rows)
        shows = present & (random.random(present.shape) >= missing)
        amount = strength * np.exp(0.6 * random.standard_normal(present.shape)) * shows
        latent = random.standard_normal((rows, LATENT)) * spectrum + amount @ directions
        noise = np.float32(0.06) * random.standard_normal((rows, dimension), dtype=np.float32)
        features = np.maximum(latent.astype(np.float32) @ mixing + offset + noise, 0)
        labels = present.astype(np.int8)
        labels[(random.random(labels.shape) < 0.015) & ~present] = -1
        parts += [normalise_rows(features, 1e-5), labels]
    train, train_labels, test, test_labels = parts
    names = tuple(f"class{number:02d}" for number in range(len(PREVALENCE)))
    return SvmData(train, train_labels, test, test_labels, names)


def _present(random: np.random.Generator, rows: int) -> Labels:
    """Which image shows which class, at least one each: bool [rows, classes]."""
    share = np.array(PREVALENCE)
    present = random.random((rows, len(share))) < share
    empty = np.flatnonzero(~present.any(axis=1))
    present[empty, random.choice(len(share), len(empty), p=share / share.sum())] = True
    return present
