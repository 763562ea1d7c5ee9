"""Checks what `make demo` left: every metric of every benchmark has a value, and no cell of its page is blank.

Usage: python .ci/check_demo.py WORK_DIRS
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

from benchmarks.catalogue import select


def problems(workspace: Path) -> list[str]:
    """What is wrong with a demo's workspace, one sentence each."""
    found = []
    page = (workspace / "pages" / "demo.md").read_text(encoding="utf-8")
    with (workspace / "pages" / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] == "demo"]
    benchmarks = [choice.benchmark for choice in select("all")]
    for benchmark in benchmarks:
        expected = {column.metric for column in benchmark.columns(benchmark.protocol(profile="smoke"))}
        got = {row["metric"] for row in rows if row["benchmark"] == benchmark.name and row["value"]}
        if expected != got:
            found.append(f"{benchmark.name}: no value for {', '.join(sorted(expected - got)) or 'nothing'}")
    cells = [line for line in page.splitlines() if re.match(r"\| demo \|", line)]
    if len(cells) < len(benchmarks):
        found.append(f"the page has {len(cells)} rows")
    found += [f"blank cell in {line}" for line in cells if re.search(r"\|\s*\|", line)]
    if "Smoke profile" not in page:
        found.append("the page does not say that it is a smoke run")
    if not (workspace / "demo.pth").is_file():
        found.append("demo.pth is missing")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong) or "the demo's page is complete")
    sys.exit(bool(wrong))
