"""Where the data lies: a path in which variables may stand that have a value on the machine that reads it."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from results.errors import HarnessError


def absolute_root(path: Path) -> Path:
    """The data root as it is handed to jobs: absolute, its variables not yet replaced.

    Args:
        path: The setting ``data``.
    """
    text = os.path.expanduser(str(path))
    return Path(text) if text.startswith("$") else Path(text).absolute()


def expanded(path: Path) -> Path:
    """The data root on this machine.

    Args:
        path: From :func:`absolute_root`.

    Raises:
        HarnessError: A variable in it has no value here.
    """
    text = os.path.expandvars(str(path))
    left = re.search(r"\$\{?(\w+)", text)
    if left is not None:
        raise HarnessError(
            f"the path of the data names ${left.group(1)}, which has no value on {socket.gethostname()}",
            "--data",
            "set the variable; where only compute nodes have it, set slurm.data_check: node in harness.yaml",
        )
    return Path(text)
