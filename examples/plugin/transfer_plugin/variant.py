"""A variant of a protocol: nearest neighbours that vote more sharply. ``--suite imagenet_knn@cold`` measures by it."""

from __future__ import annotations

from benchmarks.protocol import Variant

COLD = Variant("where these values come from", values={"temperature": 0.02, "k": (20, 200)})
