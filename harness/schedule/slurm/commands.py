"""Calls of SLURM's commands: each ends in time, and one that fails says so."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from results.errors import HarnessError

TIMEOUT_SECONDS = 60.0
"""How long a command may take: a busy slurmctld answers within its MessageTimeout, 10 s unless configured."""

KEPT_VARIABLES = ("SLURM_CONF",)
"""What stays of SLURM's variables where a job submits jobs; the others describe the present job."""

_FOREIGN = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SUBMITIT_", "SLURMD_", "PMI_")


def has_slurm() -> bool:
    """Whether this machine can submit jobs."""
    return all(shutil.which(command) is not None for command in ("sbatch", "squeue", "scancel", "scontrol"))


@contextlib.contextmanager
def clean_environment() -> Iterator[None]:
    """The environment as a login shell has it, for as long as the context lasts."""
    taken = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(_FOREIGN) and name not in KEPT_VARIABLES
    }
    try:
        yield
    finally:
        os.environ.update(taken)


def call(words: Sequence[str], timeout: float = TIMEOUT_SECONDS) -> str:
    """Runs one of SLURM's commands.

    Args:
        words: The command with its arguments; no shell reads them.
        timeout: Seconds after which it is ended.

    Returns:
        What it printed.

    Raises:
        HarnessError: It is not there, failed, or did not end.
    """
    mend = "python -m harness doctor shows what SLURM answers; scontrol ping tells whether its controller is up"
    try:
        # The C locale: what is parsed must not depend on the user's language.
        with clean_environment():
            done = subprocess.run(
                list(words),
                capture_output=True,
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C", "SLURM_TIME_FORMAT": "standard"},
            )
    except FileNotFoundError as error:
        raise HarnessError(f"there is no command {words[0]} here", "SLURM", "use --executor local") from error
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{words[0]} did not answer within {timeout:g} s", "SLURM", mend) from error
    except OSError as error:
        raise HarnessError(f"cannot run {words[0]}: {error.strerror or error}", "SLURM", mend) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        raise HarnessError(f"{words[0]} failed: {said[:500] or f'exit status {done.returncode}'}", "SLURM", mend)
    return done.stdout.decode(errors="replace")
