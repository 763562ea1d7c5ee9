"""A few images of every data set, and what each benchmark's full protocol builds on them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.fidelity.built import Built, built, write_data


@pytest.fixture(scope="session")
def fidelity_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The images.

    mmengine collects garbage several times while it builds, which looks at all that the imports have made, a quarter of
    a second each time. It is set aside while these tests run.
    """
    root = tmp_path_factory.mktemp("fidelity-data")
    write_data(root)
    gc.collect()
    gc.freeze()
    yield root
    gc.unfreeze()


@pytest.fixture(scope="module")
def job(
    request: pytest.FixtureRequest, fidelity_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    """What the test file's benchmark builds; the file says ``NAME`` and ``CLASSES``."""
    name, classes = request.module.NAME, request.module.CLASSES
    with built(name, fidelity_root, tmp_path_factory.mktemp(name), classes) as made:
        yield made
