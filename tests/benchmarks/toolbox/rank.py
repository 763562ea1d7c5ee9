"""One rank of a job, as a process: ``python -m tests.benchmarks.toolbox.rank CONTEXT PORT``. Tests start several."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path

from benchmarks.base import JobContext
from benchmarks.protocol import Protocol


def main(path: Path, port: int) -> None:
    """Trains by a pickled context."""
    from benchmarks.toolbox.frozen import evaluation_pixels, frozen_config
    from benchmarks.toolbox.ranks import process_group
    from benchmarks.toolbox.runner import train

    given, protocol = pickle.loads(path.read_bytes())
    context: JobContext = dataclasses.replace(given, protocol=Protocol.from_dict(protocol))
    with process_group(context.world, context.device, "127.0.0.1", port):
        training = train(frozen_config(context, "imagenet"), context, evaluation_pixels(context.protocol), frozen=True)
    path.with_suffix(".out").write_bytes(pickle.dumps(training))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
