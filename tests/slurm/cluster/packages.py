"""The Debian packages that the cluster is made of."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = {"slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client", "munged": "munge"}
"""Program and the package that has it."""

ACCOUNTING_PROGRAMS = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}

POLICY = Path("/usr/sbin/policy-rc.d")

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_packages(accounting: bool) -> list[str]:
    """Packages whose program is not there."""
    programs = {**PROGRAMS, **(ACCOUNTING_PROGRAMS if accounting else {})}
    return [package for program, package in programs.items() if shutil.which(program, path=SEARCH_PATH) is None]


def cannot_run(accounting: bool) -> str:
    """Why no cluster can be brought up here; empty where it can."""
    if not sys.platform.startswith("linux"):
        return "SLURM's daemons run on Linux only"
    if os.geteuid() != 0:
        return "SLURM's daemons are started as root here, and this user is not"
    if missing := missing_packages(accounting):
        return f"missing Debian packages: {' '.join(missing)} (`python -m tests.slurm.cluster install` installs them)"
    return ""


def install(packages: list[str]) -> None:
    """Installs packages by apt.

    Raises:
        RuntimeError: There is no apt-get, or it fails.
    """
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"missing: {', '.join(packages)}, and there is no apt-get to install them with")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", *packages],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Packages start none of their daemons (invoke-rc.d(8)), where the machine has no policy of its own."""
    if POLICY.exists() or not os.access(POLICY.parent, os.W_OK):
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
