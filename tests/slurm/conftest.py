"""A real SLURM for the tests of this folder; skipped with the reason where none can be brought up."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.conftest import warm, world  # noqa: F401 - fixtures
from tests.harness.world import World
from tests.slurm.cluster.cluster import Cluster, Refused
from tests.slurm.cluster.config import Shape
from tests.slurm.cluster.packages import SEARCH_PATH
from tests.slurm.world import ClusterWorld, make_cluster_world

HERE = Path(__file__).parent

WANTED = "TRANSFER_TEST_SLURM"
"""Environment variable; ``required`` makes a failure of what would be a skip."""

PORT = "TRANSFER_TEST_SLURM_PORT"
"""Environment variable: the first of the cluster's 20 ports, for a second cluster on one machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slurm")


@pytest.fixture(scope="session")
def whole_cluster() -> Iterator[Cluster]:
    """The one cluster of the session, without accounting."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Cluster(folder, Shape(port=int(os.environ.get(PORT, Shape.port))))
    try:
        cluster.up(owner=os.getpid())
    except Refused as error:
        shutil.rmtree(folder)
        if os.environ.get(WANTED) == "required":
            pytest.fail(f"no SLURM: {error}", pytrace=False)
        pytest.skip(f"no SLURM: {error}")
    except BaseException:
        # What the daemons said is worth more than a tidy folder.
        print(f"logs of the daemons: {folder}/log")
        cluster.down(keep=True)
        raise
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def cluster(whole_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, its commands in this process's environment; healed afterwards, so that a test may break it."""
    monkeypatch.setenv("SLURM_CONF", whole_cluster.environment["SLURM_CONF"])
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{SEARCH_PATH}")
    yield whole_cluster
    whole_cluster.heal()


@pytest.fixture
def here(world: World, cluster: Cluster) -> ClusterWorld:  # noqa: F811 - the fixture
    """A fresh workspace whose jobs run on the cluster."""
    return make_cluster_world(world, cluster)
