"""Measures the probes against their peers, one thread on both sides.

``make perf``, or ``python -m tests.perf [NAME...] [--seed N] [--out FILE]``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from tests.perf import average_precision, coco, features, knn, svm
from tests.perf.case import Case, measure

CASES: Mapping[str, Case] = {
    case.name: case for module in (average_precision, svm, knn, coco, features) for case in module.CASES
}


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows as they are printed."""
    view = Table("what", "ours", "peer", "ratio", "wanted", "equal", "runs", title="one thread, medians of CPU seconds")
    for row in rows:
        wanted = f"{row['least']:g}" + (f" ({row['stretch']:g})" if row["stretch"] else "")
        mark = "" if row["fast_enough"] else " (!)"
        view.add_row(
            row["what"],
            f"{row['ours']:.3g}",
            f"{row['peer']:.3g} {row['peer_name']}",
            f"{row['ratio']:.3g}{mark}",
            wanted,
            ("yes: " if row["equal"] else "NO: ") + row["equality"],
            f"{row['runs']['ours']}+{row['runs']['peer']}",
        )
    return view


def main() -> int:
    """Measures what was named, or everything, and adds to the file what was measured before."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf")
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(CASES))
    parser.add_argument("--seed", type=int, default=0, help="of the made-up input")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/perf.json"))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(CASES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
    torch.set_num_threads(1)
    threadpool_limits(1)
    # hotcoco reads it when it is first used.
    os.environ["RAYON_NUM_THREADS"] = "1"
    before = json.loads(arguments.out.read_text())["rows"] if arguments.out.exists() else []
    rows = {(row["name"], row["seed"]): row for row in before}
    measured = []
    for name in arguments.names or CASES:
        row = {
            **measure(CASES[name], arguments.seed),
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": platform.processor() or platform.machine(),
        }
        measured.append(row)
        rows[name, arguments.seed] = row
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"rows": list(rows.values())}, indent=2) + "\n")
        print(f"{name}: {row['ratio']:.3g} times as fast, {row['equality']}", file=sys.stderr, flush=True)
    Console(width=200).print(table(measured))
    return 0 if all(row["fast_enough"] and row["equal"] for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
