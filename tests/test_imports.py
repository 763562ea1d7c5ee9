"""Verbs that only look are quick because they import nothing heavy: proved on what Python has loaded at their end."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ledger import JobFolder
from results.files import to_json
from results.record import MetricValue
from results.workspace import Workspace
from tests.harness.conftest import warm, world
from tests.harness.hand_made import inside, make_record, plan_in
from tests.harness.world import World

__all__ = ["warm", "world"]

TOOLBOXES = ("mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg")
HEAVY = ("torch", "torchvision", "pandas", "sklearn", "scipy", "matplotlib", "cv2", *TOOLBOXES)

PROGRAM = """
import contextlib, io, json, sys
from harness.cli.main import app, main
from harness.startup import refuse_mixed_installation

refuse_mixed_installation()
calls = json.loads(sys.argv[1])
if calls == "every --help":
    import typer

    def verbs(command, words):
        yield words
        for name, sub in getattr(command, "commands", {}).items():
            yield from verbs(sub, [*words, name])

    calls = [[*words, "--help"] for words in verbs(typer.main.get_command(app), [])]
answers = []
for words in calls:
    sys.argv = ["harness", *words]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
            status = 0
        except SystemExit as error:
            status = error.code
    answers.append([words, status, said.getvalue()])
print(json.dumps({"answers": answers, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a process printed and had loaded at its end."""

    answers: list[tuple[list[str], int, str]]
    loaded: set[str]

    def check(self, status: int = 0) -> None:
        for words, code, said in self.answers:
            assert code == status, (words, said)
            assert "Traceback" not in said, (words, said)


def ask(world: World, calls: list[list[str]] | str) -> Answer:
    """Runs verbs one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, json.dumps(calls)],
        env=world.environment(),
        cwd=world.folder,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    raw = json.loads(done.stdout)
    return Answer([tuple(answer) for answer in raw["answers"]], set(raw["loaded"]))


def test_help_imports_nothing_heavy(world: World) -> None:
    answer = ask(world, "every --help")
    answer.check()
    assert len(answer.answers) >= 12
    assert all("Usage" in said for _, _, said in answer.answers)
    assert not answer.loaded & set(HEAVY)


def test_lists_import_nothing_heavy(world: World) -> None:
    calls = [["list", what, *more] for what in ("benchmarks", "formats", "protocols") for more in ([], ["--json"])]
    calls += [["list", "protocols", "voc07_svm", "--full"], ["--version"]]
    answer = ask(world, calls)
    answer.check()
    said = {" ".join(words): text for words, _, text in answer.answers}
    assert "voc07_svm" in said["list benchmarks"]
    assert "counting" in said["list benchmarks"]
    assert "torchvision" in said["list formats"]
    assert "low_shot_k" in said["list protocols voc07_svm --full"]
    for what in ("benchmarks", "formats", "protocols"):
        assert json.loads(said[f"list {what} --json"])
    assert not answer.loaded & set(HEAVY)


def test_status_and_logs_import_nothing_heavy(world: World) -> None:
    assert world.run().returncode == 0
    place = ["--workspace", str(world.workspace)]
    answer = ask(world, [["status", *place], ["status", "--json", *place], ["logs", "counting", *place]])
    answer.check()
    assert "done" in answer.answers[0][2]
    assert not answer.loaded & set(HEAVY)


SUITE = "counting,imagenet_mhead,imagenet_knn"


def words_of(world: World, verb: str, *more: str) -> list[str]:
    words = world.run_words(*more, suite=SUITE)
    return [verb, *words[words.index("run") + 1 :]]


def test_a_plan_on_a_warm_cache_imports_no_torch(world: World) -> None:
    answer = ask(
        world, [words_of(world, "plan"), words_of(world, "plan", "--json"), words_of(world, "run", "--dry-run")]
    )
    answer.check()
    assert [job["benchmark"] for job in json.loads(answer.answers[1][2])["jobs"]] == [
        "features", "imagenet_mhead", "imagenet_knn", "counting"
    ]  # fmt: skip
    assert not answer.loaded & set(HEAVY)


@pytest.fixture
def finished(world: World) -> Iterator[World]:
    """A world in which everything of the suite was measured and the features are there."""
    with inside(world):
        place = Workspace(world.workspace)
        for planned in plan_in(world, suite=SUITE).jobs:
            folder = JobFolder(place.jobs / planned.job.name)
            folder.write_spec(planned.job.to_dict())
            record = dataclasses.replace(
                make_record(planned.job, "0001-made"),
                metrics={column.metric: MetricValue(50.0) for column in planned.columns},
                display=planned.columns,
            )
            folder.publish_result(record)
            if planned.job.extracts:
                features = place.feature_set(planned.job.key)
                features.mkdir(parents=True)
                (features / "manifest.json").write_text(to_json({"schema": 1, "splits": {}}))
        yield world


def test_a_run_that_finds_everything_imports_no_torch(finished: World) -> None:
    answer = ask(finished, [words_of(finished, "run")])
    answer.check()
    said = answer.answers[0][2]
    assert said.count("cached") == 4, said
    assert Path(finished.workspace / "pages" / "results.csv").exists()
    # Pages are made with pandas.
    assert not answer.loaded & (set(HEAVY) - {"pandas"})
