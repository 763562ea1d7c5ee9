"""How the exact solver's time and memory grow: ``python -m tests.perf.scaling`` draws ``docs/figures``."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.probes.svm.data import SvmData
from benchmarks.probes.svm.full import full_svm
from tests.perf.made_features import make_voc
from tests.perf.svm import of_classes, settings

FIGURE = Path(__file__).resolve().parents[2] / "docs" / "figures" / "svm_scaling.svg"

USUAL = {"rows": 2500, "dimension": 2048, "classes": 20, "costs": 19}

AXES: Mapping[str, Sequence[int]] = {
    "rows": (625, 1250, 2500, 5011),
    "dimension": (512, 2048, 8192),
    "classes": (5, 10, 20),
    "costs": (5, 10, 19),
}
"""One of the four grows while the others are as usual."""


def some_rows(data: SvmData, rows: int) -> SvmData:
    """The first rows of the training split."""
    return dataclasses.replace(data, train=data.train[:rows], train_labels=data.train_labels[:rows])


def point(rows: int, dimension: int, classes: int, costs: int) -> dict[str, float]:
    """CPU seconds of one layer, and the peak of memory while it ran beyond what the features take, in MB (Linux)."""
    data = of_classes(some_rows(make_voc(dimension, 0), rows), range(classes))
    every = settings("exact")
    some = dataclasses.replace(every, costs=every.costs[:costs])
    full_svm(some_rows(data, 300), some, 1)
    # The kernel forgets the peak so far, which making the features left.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    start = time.process_time()
    full_svm(data, some, 1)
    return {"seconds": time.process_time() - start, "megabytes": _status("VmHWM") - before}


def _status(name: str) -> float:
    """An entry of the process's status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1000 for line in lines if line.startswith(name))


def measured_apart(chosen: Mapping[str, int]) -> dict[str, float]:
    """A point in a process of its own, so that its peak of memory is its own."""
    command = [sys.executable, "-m", "tests.perf.scaling", *(str(value) for value in chosen.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**chosen, **json.loads(done.stdout)}


def draw(lines: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """One panel an axis, time on the left, memory of rows in the last panel."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    # The same measurements give the same file.
    mpl.rcParams["svg.hashsalt"] = "scaling"
    figure, panels = pyplot.subplots(1, len(lines) + 1, figsize=(13, 2.8), constrained_layout=True)
    for panel, (axis, points) in zip(panels, lines.items(), strict=False):
        panel.plot([one[axis] for one in points], [one["seconds"] for one in points], "o-", color="#1f5a93")
        panel.set_xlabel(axis)
        panel.set_ylim(bottom=0)
    panels[0].set_ylabel("CPU seconds, one thread")
    rows = lines["rows"]
    panels[-1].plot([one["rows"] for one in rows], [one["megabytes"] for one in rows], "o-", color="#a3471b")
    panels[-1].set(xlabel="rows", ylabel="MB beyond the features", ylim=(0, None))
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None})


def main() -> None:
    """Measures every point, prints it, and draws."""
    lines: dict[str, list[dict[str, float]]] = {}
    for axis, values in AXES.items():
        for value in values:
            lines.setdefault(axis, []).append(measured_apart({**USUAL, axis: value}))
            print(json.dumps(lines[axis][-1]), flush=True)
    draw(lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import torch

        torch.set_num_threads(1)
        with threadpool_limits(1):
            print(json.dumps(point(*(int(word) for word in sys.argv[1:]))))
    else:
        main()
