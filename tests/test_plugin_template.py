"""The template of a package that adds to the harness: installed into a folder, and everything that it brings used."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.harness.conftest import warm, world
from tests.harness.world import World

__all__ = ["warm", "world"]

TEMPLATE = Path(__file__).resolve().parent.parent / "examples" / "plugin"


@pytest.fixture
def plugged(world: World) -> World:
    """A world in which the template is installed as pip would: its package, and its entry points beside it."""
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))
    site = world.folder / "site"
    for package in project["tool"]["setuptools"]["packages"]:
        shutil.copytree(TEMPLATE / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    name, version = project["project"]["name"], project["project"]["version"]
    information = site / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in project["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return world


def test_what_it_brings_is_listed(plugged: World) -> None:
    listed = {each["name"]: each for each in json.loads(plugged.call("list", "benchmarks", "--json").stdout)}
    assert listed["channel_mean"]["title"] == "Mean of the first convolution"
    assert listed["imagenet_knn"]["variants"] == ["1x", "cold"]
    assert "trunk.*" in plugged.call("list", "formats").stdout
    protocols = plugged.call("list", "protocols", "imagenet_knn@cold", "--full").stdout
    assert "0.02" in protocols
    assert "where these values come from" in protocols


def test_its_benchmark_and_its_section_stand_on_the_page(plugged: World) -> None:
    done = plugged.run(suite="channel_mean")
    assert done.returncode == 0, done.stderr
    page = next((plugged.workspace / "pages").glob("random*.md")).read_text(encoding="utf-8")
    classification = page.partition("### Classification")[2]
    assert "#### Mean of the First Convolution" in classification
    assert "**Mean** is the mean of all weights" in classification
    assert "Other benchmarks" not in page


def test_its_variant_is_another_job(plugged: World) -> None:
    words = plugged.run_words("--json", suite="imagenet_knn,imagenet_knn@cold")
    plan = plugged.call("plan", *words[words.index("run") + 1 :])
    jobs = [job for job in json.loads(plan.stdout)["jobs"] if job["benchmark"] == "imagenet_knn"]
    assert [job["protocol"]["name"] for job in jobs] == ["imagenet_knn", "imagenet_knn@cold"]
    assert jobs[0]["key"] != jobs[1]["key"]


def test_its_format_is_read(plugged: World) -> None:
    import torch

    from benchmarks.backbone import random_backbone

    weights = {f"trunk.{name}": value for name, value in random_backbone(3).items()}
    torch.save({"exported": weights}, plugged.folder / "mine.pth")
    said = plugged.call("inspect", "--ckpt", "mine.pth", "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert (found["format"], found["encoder"], found["input"]) == ("exported", "trunk", "rgb-unit")
