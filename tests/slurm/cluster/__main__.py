"""``python -m tests.slurm.cluster install``, ``up --folder FOLDER``, ``down --folder FOLDER``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.slurm.cluster.cluster import Cluster, Refused
from tests.slurm.cluster.config import Shape
from tests.slurm.cluster.packages import install, missing_packages


def main() -> None:
    """Brings a cluster up, or takes one down."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm.cluster")
    verbs = parser.add_subparsers(dest="verb", required=True)
    packages = verbs.add_parser("install", help="install missing Debian packages by apt")
    up = verbs.add_parser("up", help="bring it up")
    for verb in (packages, up):
        verb.add_argument("--accounting", action="store_true", help="with slurmdbd and MariaDB")
    up.add_argument("--port", type=int, default=Shape.port, help="the first of 20 ports")
    up.add_argument("--at-a-time", type=int, default=Shape.at_a_time, help="jobs of the default partition at once")
    down = verbs.add_parser("down", help="end its daemons and jobs, and remove the folder")
    down.add_argument("--keep", action="store_true", help="keep the folder, for another up")
    for verb in (up, down):
        verb.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args()
    if asked.verb == "install":
        install(missing_packages(asked.accounting))
        return
    if asked.verb == "down":
        Cluster(asked.folder).down(asked.keep)
        return
    start = time.monotonic()
    cluster = Cluster(asked.folder, Shape(port=asked.port, at_a_time=asked.at_a_time))
    try:
        cluster.up(asked.accounting)
    except Refused as error:
        sys.exit(f"no cluster: {error}")
    print(f"up after {time.monotonic() - start:.1f} s; for a shell:  . {cluster.folder}/environment")


if __name__ == "__main__":
    main()
