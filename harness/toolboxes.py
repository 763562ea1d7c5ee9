"""Whether OpenMMLab's toolboxes are installed, which no dependency brings, and the command that installs them."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import catalogue
from harness.completeness import is_complete
from harness.job import Job, PlannedJob
from harness.settings import Settings
from results.errors import HarnessError
from results.workspace import Workspace

TOOLBOXES = ("mmengine", "mmcv", "mmpretrain", "mmdet", "mmseg")
"""Names by which they are imported."""

LOCK = Path(__file__).with_name("requirements.lock")
"""The lock file as the wheel brings it; in a checkout a link to the one at its root."""

INSTALL = f"python -m pip install --no-deps -r {shlex.quote(str(LOCK))}"
"""``--no-deps``: the toolboxes ask for an OpenCV that needs libGL; the lock has the headless one in its place."""


def missing_toolboxes() -> tuple[str, ...]:
    """Those that Python would not find; none is imported."""
    return tuple(name for name in TOOLBOXES if importlib.util.find_spec(name) is None)


def jobs_without_toolboxes(planned: Sequence[PlannedJob], settings: Settings) -> tuple[str, ...]:
    """What cannot be run here for want of a toolbox.

    Args:
        planned: Jobs of a run.
        settings: Of the run; what is finished, or not to be run at all, needs nothing.

    Returns:
        Names of benchmarks and pretraining configs, each once; none where all toolboxes are installed.
    """
    if settings.cache == "read-only" or not missing_toolboxes():
        return ()
    workspace = Workspace(settings.workspace.absolute())
    wanting = [
        each.job.benchmark
        for each in planned
        if _trains(each.job) and (settings.cache == "force" or not is_complete(workspace, each.job))
    ]
    return tuple(dict.fromkeys(wanting))


def refuse_without_toolboxes(planned: Sequence[PlannedJob], settings: Settings) -> None:
    """Refuses a run whose jobs would fail one after the other.

    Raises:
        HarnessError: A job that is not finished needs a toolbox that is not installed.
    """
    names = jobs_without_toolboxes(planned, settings)
    if not names:
        return
    free = ",".join(name for name, benchmark in catalogue().items() if not benchmark.trains)
    raise HarnessError(
        f"{', '.join(names)} cannot be run: OpenMMLab's toolboxes are not installed "
        f"({', '.join(missing_toolboxes())} missing)",
        "this Python environment",
        f"{INSTALL} installs them; without them there are --suite {free}",
    )


def _trains(job: Job) -> bool:
    return job.pretrains or (not job.extracts and catalogue()[job.benchmark].trains)
