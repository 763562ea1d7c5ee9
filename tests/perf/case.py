"""One row of the table: something of ours, a peer that does the same work, and what must be equal."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Side:
    """What is measured.

    Args:
        name: For the table.
        run: Does the work and returns what came out.
        part: Share of the work that it does; its time is divided by this, and the table says so.
    """

    name: str
    run: Callable[[], Any]
    part: float = 1.0


@dataclasses.dataclass(frozen=True)
class Case:
    """A comparison.

    Args:
        name: What the command line calls it.
        what: For the table.
        least: Smallest ratio, peer to ours, that is accepted.
        stretch: Ratio that would be good; None where there is none.
        make: Makes the input and gives ours and the peer.
        equal: Compares both results; says what was compared and whether it holds.
        repeats: Runs of the peer; ours runs once more, before and after each.
    """

    name: str
    what: str
    least: float
    stretch: float | None
    make: Callable[[int], tuple[Side, Side]]
    equal: Callable[[Any, Any], tuple[bool, str]]
    repeats: int = 3


def measure(case: Case, seed: int) -> Mapping[str, Any]:
    """Runs both sides in turn and takes medians of the CPU time of this process."""
    ours, peer = case.make(seed)
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    results: dict[str, Any] = {}

    def once(role: str, side: Side) -> None:
        start = time.process_time()
        results[role] = side.run()
        times[role].append((time.process_time() - start) / side.part)

    once("ours", ours)
    for _ in range(case.repeats):
        once("peer", peer)
        once("ours", ours)
    seconds = {role: statistics.median(values) for role, values in times.items()}
    ratio = seconds["peer"] / seconds["ours"]
    equal, comparison = case.equal(results["ours"], results["peer"])
    return {
        "name": case.name,
        "what": case.what,
        "ours": seconds["ours"],
        "peer": seconds["peer"],
        "peer_name": peer.name + ("" if peer.part == 1 else f", {peer.part:.0%} of the work, scaled"),
        "ratio": ratio,
        "least": case.least,
        "stretch": case.stretch,
        "fast_enough": ratio >= case.least,
        "equal": equal,
        "equality": comparison,
        "seed": seed,
        "runs": {role: len(values) for role, values in times.items()},
        "all_seconds": times,
    }
