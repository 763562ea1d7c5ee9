"""Every publisher's file gives the same canonical tensors, and what is no plain ResNet-50 is refused by name.

The files are built by :mod:`tests.harness.checkpoint.publishers`, which was written from the publishers' sources and
not from the reader.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import benchmarks.backbone
from benchmarks.backbone import digest
from harness.checkpoint.formats.catalogue import LAST_RESORTS
from harness.checkpoint.formats.catalogue import PUBLISHERS as FORMATS
from harness.checkpoint.intake import examine
from harness.checkpoint.read import read_checkpoint
from results.errors import HarnessError
from tests.harness.checkpoint.conftest import trained
from tests.harness.checkpoint.publishers import PUBLISHERS, REFUSED, Publisher, RefusedPublisher

Tensors = dict[str, torch.Tensor]

each_publisher = pytest.mark.parametrize("publisher", PUBLISHERS, ids=lambda publisher: publisher.name)


@pytest.fixture(scope="module")
def backbone() -> Tensors:
    return trained(1)


@pytest.fixture(scope="module")
def other() -> Tensors:
    return trained(2)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> tuple[Tensors, Tensors]:
    """Two small backbones."""
    monkeypatch.setattr(benchmarks.backbone, "STAGE_BLOCKS", (1, 1, 0, 0))
    return trained(1), trained(2)


@each_publisher
def test_full_size_bit_by_bit(publisher: Publisher, backbone: Tensors, other: Tensors, tmp_path: Path) -> None:
    path = tmp_path / publisher.file_name
    publisher.write(path, backbone, other)
    facts, tensors = examine(str(path))
    assert len(tensors) == 265
    assert all(torch.equal(tensors[name], value) for name, value in backbone.items())
    assert facts.digest == digest(backbone)
    assert (facts.format, facts.encoder, facts.input) == (publisher.format, publisher.encoder, publisher.input)
    assert facts.coverage == {"convolutions": 53, "batch_norms": 53}
    assert facts.remarks == ()


@each_publisher
def test_another_encoder_by_name(publisher: Publisher, blocks: tuple[Tensors, Tensors], tmp_path: Path) -> None:
    backbone, other = blocks
    path = tmp_path / publisher.file_name
    publisher.write(path, backbone, other)
    facts, _ = examine(str(path))
    assert set(facts.encoders) == {publisher.encoder, *publisher.others}
    assert facts.encoders[0] == publisher.encoder
    for name in publisher.others:
        found, _ = examine(str(path), encoder=name)
        # PyCls' averaged model is wrapped as the other one is.
        assert (found.encoder, found.digest) == (name, digest(other))
    with pytest.raises(HarnessError, match="has no encoder 'nobody'") as caught:
        examine(str(path), encoder="nobody")
    assert publisher.encoder in caught.value.mend


@each_publisher
def test_one_format_takes_it(publisher: Publisher, blocks: tuple[Tensors, Tensors], tmp_path: Path) -> None:
    path = tmp_path / publisher.file_name
    publisher.write(path, *blocks)
    with read_checkpoint(path) as file:
        taking = [each.name for each in FORMATS if each.recognises(file)]
    last = {each.name for each in LAST_RESORTS}
    assert taking == ([] if publisher.format in last else [publisher.format])


@pytest.mark.parametrize("publisher", REFUSED, ids=lambda publisher: publisher.name)
def test_refused_by_name(publisher: RefusedPublisher, blocks: tuple[Tensors, Tensors], tmp_path: Path) -> None:
    path = tmp_path / publisher.file_name
    publisher.write(path, *blocks)
    with pytest.raises(HarnessError) as caught:
        examine(str(path))
    for word in publisher.said:
        assert word in str(caught.value)
    assert caught.value.mend


def test_every_format_has_a_file() -> None:
    from harness.checkpoint.formats.catalogue import formats

    tested = {publisher.format for publisher in PUBLISHERS}
    # Our own file, the refused one, and what test_formats.py tries by hand.
    assert {each.name for each in formats()} - tested == {"canonical", "caffe2", "generic"}
