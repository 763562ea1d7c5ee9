"""All checks in their order."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.doctor import data, disk, gpus, probe, python, slurm
from harness.doctor.findings import Check, Finding, error, look, name_of, ok
from harness.doctor.subject import Subject
from harness.settings import ENVIRONMENT_PREFIX, SETTINGS_FILE, settings_files
from results.errors import HarnessError

Tell = Callable[[str], object]


def settings_finding(failed: HarnessError | None) -> Finding:
    """Whether the settings can be read, and where they come from.

    Args:
        failed: Why not; None where they can.
    """
    if failed is not None:
        return error("settings", f"{failed.what} ({failed.where}); defaults are looked at", failed.mend)
    variables = sorted(name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX))
    here = Path.cwd() / SETTINGS_FILE
    files = settings_files()
    first = [] if here in files else [f"no {SETTINGS_FILE} here (python -m harness init writes one)"]
    return ok("settings", "; ".join([*first, *map(str, files), *variables]))


def examine(subject: Subject, with_probe: bool, tell: Tell = lambda text: None) -> Iterator[Finding]:
    """Every finding, as it is made.

    Args:
        subject: What is looked at.
        with_probe: Whether a job is submitted too.
        tell: Told what is looked at now.
    """
    for check in checks(subject):
        yield from _told(check, tell)
    if with_probe:
        yield from look("probe", lambda: probe.probe(subject, tell))


def checks(subject: Subject) -> Iterator[Check]:
    """The checks of a machine, its data, its cluster and its disk."""
    yield python.python
    yield python.packages
    yield python.installed_twice
    for check in (gpus.gpus, gpus.torch):
        yield functools.partial(check, subject)
    yield functools.partial(python.toolboxes, subject)
    yield functools.partial(python.compiler, subject)
    yield functools.partial(data.data_root, subject)
    if subject.settings.data.absolute().is_dir():
        for name in subject.data_sets:
            yield functools.partial(data.data, name, subject)
    for check in (disk.space, disk.hard_links):
        yield functools.partial(check, subject)
    yield disk.locks
    yield from slurm_checks(subject)


def slurm_checks(subject: Subject) -> Iterator[Check]:
    """Those of SLURM; where its controller is away nothing else is asked, since every question would wait."""
    yield functools.partial(slurm.slurm_commands, subject)
    if not subject.on_cluster:
        return
    answer = look("slurm controller", functools.partial(slurm.slurm_controller, subject))

    def slurm_controller() -> Sequence[Finding]:
        return answer

    yield slurm_controller
    if not slurm.is_up(answer[0].what):
        return
    for check in (
        disk.shared,
        slurm.slurm_partitions,
        slurm.slurm_accounting,
        slurm.slurm_arrays,
        slurm.slurm_srun,
        slurm.slurm_preemption,
    ):
        yield functools.partial(check, subject)


def _told(check: Check, tell: Tell) -> tuple[Finding, ...]:
    name = name_of(check)
    tell(name)
    return look(name, check)
