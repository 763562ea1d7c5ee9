"""``run --meta``: pages of a model zoo at the end of a run."""

from __future__ import annotations

import json

from tests.harness.world import World


def test_a_run_with_metadata_writes_the_pages_of_the_zoo(world: World) -> None:
    meta = world.folder / "META.yaml"
    meta.write_text("algorithms: [{name: Nothing, models: [{name: untrained, label: 'random:0'}]}]")
    done = world.run("--meta", str(meta), "--json")
    assert done.returncode == 0, done.stderr
    pages = json.loads(done.stdout)["pages"]
    assert str(world.workspace / "pages/zoo/Nothing/README.md") in pages
    assert str(world.workspace / "pages/cards/untrained/README.md") in pages


def test_metadata_that_is_wrong_is_refused_before_anything_starts(world: World) -> None:
    meta = world.folder / "META.yaml"
    meta.write_text("algorithms: [{name: Nothing, modles: []}]")
    done = world.run("--meta", str(meta))
    assert done.returncode == 2
    assert "did you mean 'models'?" in done.stderr
    assert not world.entries("started")


def test_a_run_notes_the_hash_of_a_file_and_none_without_one(world: World) -> None:
    assert world.run().returncode == 0
    (path,) = (world.workspace / "runs").glob("*.json")
    (checkpoint,) = json.loads(path.read_text())["checkpoints"]
    assert checkpoint["sha256"] == ""
