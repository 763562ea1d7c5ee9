"""What all formats share: choosing, ignoring, refusing, and bringing one of one's own."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.backbone import digest, write_backbone
from harness.checkpoint.coverage import check
from harness.checkpoint.exports import WRITERS
from harness.checkpoint.formats.base import Converted, Format, Place
from harness.checkpoint.formats.catalogue import ENTRY_POINT_GROUP, convert, formats
from harness.checkpoint.intake import examine
from results.errors import HarnessError
from tests.harness.checkpoint.conftest import in_memory, prefixed, trained

Tensors = dict[str, torch.Tensor]

COUNTERS = {"bn1.num_batches_tracked": torch.tensor(5), "layer4.2.bn3.num_batches_tracked": torch.tensor(5)}
HEAD = {"head.fc.weight": torch.zeros(2, 2), "head.fc.bias": torch.zeros(2), "neck.fc0.weight": torch.zeros(3)}


def found(converted: Converted) -> str:
    return digest(check(converted, "somewhere").tensors)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("mmpretrain", lambda w: {"meta": {}, "state_dict": prefixed("backbone.", w | COUNTERS) | HEAD}),
        ("mmpretrain", lambda w: {"state_dict": prefixed("module.backbone.", w) | prefixed("module.", HEAD)}),
        ("mmpretrain-backbone", lambda w: {"state_dict": w | COUNTERS, "author": "OpenSelfSup"}),
        ("mmpretrain-backbone", lambda w: {"state_dict": prefixed("module.", w)}),
        ("torchvision", lambda w: w | COUNTERS | {"fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)}),
        ("torchvision", lambda w: dict(reversed(w.items()))),
        ("torchvision", lambda w: prefixed("_orig_mod.module.", w)),
        ("imagenet-training", lambda w: {"state_dict": w | {"fc.weight": torch.zeros(10, 2048)}}),
    ],
)
def test_layouts(small: Tensors, name: str, layout: Callable[[Tensors], Any]) -> None:
    converted = convert(in_memory(layout(small)), "somewhere")
    assert (converted.format, converted.encoder, converted.input) == (name, "backbone", "rgb-mean-std")
    assert found(converted) == digest(small)


def test_momentum_copies_and_heads_are_ignored_and_listed(small: Tensors) -> None:
    strangers = {
        "encoder_k.0.conv1.weight": torch.ones(64, 3, 7, 7),
        "backbone_ema.conv1.weight": torch.ones(64, 3, 7, 7),
        "data_preprocessor.mean": torch.ones(3),
        "queue": torch.ones(128, 9),
        "x\n\x1b.y": torch.ones(1),
    }
    content = {"state_dict": strangers | prefixed("backbone.", small | COUNTERS) | HEAD}
    converted = convert(in_memory(content), "somewhere")
    assert converted.ignored == (
        "backbone_ema.*: 1",
        "data_preprocessor.*: 1",
        "encoder_k.*: 1",
        "head.*: 2",
        "neck.*: 1",
        "queue: 1",
        "x\\n\\x1b.*: 1",
    )
    assert converted.encoders == ("backbone", "momentum")
    assert found(converted) == digest(small)


def test_our_own_forms_give_one_digest(tensors: Tensors, tmp_path: Path) -> None:
    save_file(tensors | {"fc.bias": torch.zeros(1000)}, tmp_path / "timm.safetensors")
    for name, writer in WRITERS.items():
        writer(tmp_path / f"{name}.pth", tensors)
    read = {}
    for path in tmp_path.iterdir():
        facts, _ = examine(str(path))
        assert facts.digest == digest(tensors)
        read[path.name] = facts.format
    assert read == {
        "safetensors.pth": "canonical",
        "timm.safetensors": "torchvision",
        "mmpretrain.pth": "mmpretrain",
        "torchvision.pth": "torchvision",
    }


def test_torchvisions_own_model(tensors: Tensors) -> None:
    from torchvision.models import resnet50

    model = resnet50(weights=None)
    model.load_state_dict(tensors, strict=False)
    converted = convert(in_memory(model.state_dict()), "somewhere")
    assert converted.format == "torchvision"
    assert converted.ignored == ("fc.*: 2",)
    assert found(converted) == digest(tensors)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (lambda w: {}, ["nothing: the mapping is empty"]),
        (lambda w: {"epoch": 3, "optimizer": {"state": 1}}, ["epoch", "int", "mapping of 1 names", "state"]),
        (
            lambda w: {3: w["bn1.bias"], 10**5000: 1, "state_dict": None, "a\nb": 1},
            ["tensor [64]", "NoneType", "a\\nb"],
        ),
        (lambda w: {f"name{number}.x": 1 for number in range(30)}, ["30 names at the top", "... and 18 more"]),
        (
            lambda w: {"class_token": w["bn1.bias"], "encoder.ln.bias": w["bn1.bias"]},
            ["the checkpoint is a Vision Transformer, not a plain ResNet-50"],
        ),
    ],
)
def test_what_holds_no_resnet_is_refused_with_a_table(
    small: Tensors, layout: Callable[[Tensors], Any], said: list[str]
) -> None:
    with pytest.raises(HarnessError) as caught:
        convert(in_memory(layout(small)), "somewhere.pth")
    assert caught.value.where == "somewhere.pth"
    for text in said:
        assert text in caught.value.what


@pytest.mark.parametrize(
    ("layout", "encoder"),
    [
        (lambda w: {"weights": {"net.body": {}, "best": prefixed("net.body.", w)}}, "weights.best.net.body"),
        (lambda w: {"model": w | {"fc.weight": torch.zeros(1)}}, "model"),
        (lambda w: prefixed("encoder.model.", w) | {"queue": torch.zeros(3)}, "encoder.model"),
        (lambda w: w | {"queue": torch.zeros(3)}, "backbone"),
    ],
)
def test_the_only_backbone_is_taken_wherever_it_stands(
    small: Tensors, layout: Callable[[Tensors], Any], encoder: str
) -> None:
    converted = convert(in_memory(layout(small)), "somewhere")
    assert (converted.format, converted.encoder) == ("generic", encoder)
    assert "input convention rgb-mean-std is taken" in converted.warnings[0]
    assert found(converted) == digest(small)


def test_two_backbones_and_no_rule_are_refused_and_listed(small: Tensors) -> None:
    file = in_memory({"a": prefixed("left.", small), "b": {"right": trained(9)}})
    with pytest.raises(HarnessError, match=r"holds 2 backbones, and nothing says which is meant: a\.left, b\.right"):
        convert(file, "somewhere")
    assert found(convert(file, "somewhere", "a.left")) == digest(small)
    assert found(convert(file, "somewhere", "b.right")) == digest(trained(9))
    with pytest.raises(HarnessError, match=r"no encoder 'c\\n'") as caught:
        convert(file, "somewhere", "c\n")
    assert caught.value.mend == "--encoder is one of: a.left, b.right"


def test_an_encoder_that_the_publisher_does_not_name_goes_by_its_place(small: Tensors) -> None:
    content = {"state_dict": prefixed("backbone.", trained(9)) | prefixed("extra.copy.", small)}
    assert convert(in_memory(content), "somewhere").encoder == "backbone"
    converted = convert(in_memory(content), "somewhere", "state_dict.extra.copy")
    assert (converted.format, found(converted)) == ("generic", digest(small))


def test_a_file_that_holds_itself_ends(small: Tensors) -> None:
    file = in_memory({"model": small})
    assert isinstance(file.content, dict)
    file.content["again"] = file.content
    file.content["model"]["again"] = file.content
    converted = convert(file, "somewhere")
    assert (converted.encoder, found(converted)) == ("model", digest(small))


class Mine(Format):
    """A publisher of a later day."""

    name = "mine"
    summary = "weights with mine.*"
    places = (Place("student", ("weights",), "mine."), Place("elder", ("weights",), "old."))
    dropped = ("fc.",)
    input = "bgr-mean"

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        return name.replace("stage", "layer")


class NotOne:
    """Of another kind."""


class Twin(Format):
    """Takes a name that exists."""

    name = "moco"
    summary = ""


class Loud(Format):
    """Has a name that cannot be typed."""

    name = "My Format"
    summary = ""


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def install(name: str) -> None:
        one = importlib.metadata.EntryPoint("mine", f"{__name__}:{name}", ENTRY_POINT_GROUP)
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: [one] if group == ENTRY_POINT_GROUP else []
        )
        formats.cache_clear()

    yield install
    formats.cache_clear()


def test_a_format_of_ones_own_comes_through_an_entry_point(small: Tensors, entry: Callable[[str], None]) -> None:
    named = prefixed("mine.", {name.replace("layer", "stage"): value for name, value in small.items()})
    named |= prefixed("old.", {name.replace("layer", "stage"): value for name, value in trained(9).items()})
    file = in_memory({"weights": named | {"mine.fc.weight": torch.zeros(1)}})
    with pytest.raises(HarnessError, match="no ResNet-50"):
        convert(file, "somewhere")
    entry("Mine")
    assert [each.name for each in formats()][-3:] == ["mine", "lightning", "generic"]
    converted = convert(file, "somewhere")
    assert (converted.format, converted.encoder, converted.input) == ("mine", "student", "bgr-mean")
    assert found(converted) == digest(small)
    assert found(convert(file, "somewhere", "elder")) == digest(trained(9))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NotOne", "is no format"),
        ("Loud", "is no format"),
        ("Twin", "two formats are called 'moco'"),
        ("Nobody", "cannot be loaded"),
    ],
)
def test_an_entry_point_that_brings_something_else(entry: Callable[[str], None], name: str, said: str) -> None:
    entry(name)
    with pytest.raises(HarnessError, match=said) as caught:
        formats()
    assert "uninstall" in caught.value.mend or "derive the class" in caught.value.mend


def test_write_backbone_is_read_as_our_own(small: Tensors, tmp_path: Path) -> None:
    write_backbone(tmp_path / "a.safetensors", small)
    facts, _ = examine(str(tmp_path / "a.safetensors"))
    assert (facts.format, facts.digest) == ("canonical", digest(small))
