"""Where things lie in a workspace, the only state there is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

KEY_CHARACTERS = 12
"""Characters of a key in the name of a folder."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """Paths under one root; nothing is made or read here.

    Args:
        root: The folder given with ``--workspace``.
    """

    root: Path

    @property
    def backbones(self) -> Path:
        return self.root / "backbones"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def pretrain(self) -> Path:
        """Pretraining jobs, each with the checkpoint that it made."""
        return self.root / "pretrain"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def submissions(self) -> Path:
        """What was handed to a cluster's scheduler."""
        return self.root / "submissions"

    @property
    def controllers(self) -> Path:
        """What goes on with a run without the process that began it, a folder a run."""
        return self.root / "controllers"

    @property
    def pages(self) -> Path:
        return self.root / "pages"

    @property
    def cache(self) -> Path:
        """What can be computed again: digests of checkpoints and fingerprints of data."""
        return self.root / "cache"

    def backbone(self, digest: str) -> Path:
        """Folder of one canonical backbone."""
        return self.backbones / digest

    def job(self, benchmark: str, key: str) -> Path:
        """Folder of one job."""
        return self.jobs / f"{benchmark}-{key[:KEY_CHARACTERS]}"

    def feature_set(self, key: str) -> Path:
        """Folder of one set of features."""
        return self.features / key
