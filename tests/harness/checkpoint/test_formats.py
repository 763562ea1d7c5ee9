"""Every publisher's layout gives the same canonical names; an unknown one is refused with what was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.backbone import digest, tensor_shapes, write_backbone
from harness.checkpoint.formats import FORMATS, WRITERS, Format, convert
from harness.checkpoint.read import CheckpointFile, read_checkpoint
from results.errors import HarnessError

Tensors = dict[str, torch.Tensor]


def in_memory(content: object, metadata: Mapping[str, str] | None = None) -> CheckpointFile:
    assert isinstance(content, Mapping)
    return CheckpointFile(content, "zip", metadata or {})


def prefixed(prefix: str, weights: Mapping[str, torch.Tensor]) -> Tensors:
    return {prefix + name: value for name, value in weights.items()}


COUNTERS = {"bn1.num_batches_tracked": torch.tensor(5), "layer4.2.bn3.num_batches_tracked": torch.tensor(5)}
HEAD = {"head.fc.weight": torch.zeros(2, 2), "head.fc.bias": torch.zeros(2), "neck.fc0.weight": torch.zeros(3)}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("mmpretrain", lambda w: {"meta": {}, "state_dict": prefixed("backbone.", w | COUNTERS) | HEAD}),
        ("mmpretrain", lambda w: {"state_dict": prefixed("module.backbone.", w) | prefixed("module.", HEAD)}),
        ("mmpretrain-backbone", lambda w: {"state_dict": w | COUNTERS, "author": "OpenSelfSup"}),
        ("mmpretrain-backbone", lambda w: {"state_dict": prefixed("module.", w)}),
        ("torchvision", lambda w: w | COUNTERS | {"fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)}),
        ("torchvision", lambda w: dict(reversed(w.items()))),
    ],
)
def test_layouts(tensors: Tensors, name: str, layout: object) -> None:
    assert callable(layout)
    converted = convert(in_memory(layout(tensors)), "somewhere")
    assert (converted.format, converted.encoder, converted.input) == (name, "backbone", "rgb-mean-std")
    assert converted.weights.keys() == tensor_shapes().keys()
    assert all(converted.weights[key] is tensors[key] for key in tensors)


def test_momentum_copies_and_heads_are_ignored_and_listed(tensors: Tensors) -> None:
    strangers = {
        "encoder_k.0.conv1.weight": torch.ones(64, 3, 7, 7),
        "target_net.module.0.conv1.weight": torch.ones(64, 3, 7, 7),
        "momentum_encoder.module.backbone.conv1.weight": torch.ones(64, 3, 7, 7),
        "backbone_ema.conv1.weight": torch.ones(64, 3, 7, 7),
        "data_preprocessor.mean": torch.ones(3),
        "queue": torch.ones(128, 9),
        "x\n\x1b.y": torch.ones(1),
    }
    content = {"state_dict": strangers | prefixed("backbone.", tensors | COUNTERS) | HEAD}
    converted = convert(in_memory(content), "somewhere")
    assert converted.ignored == (
        "backbone_ema.*: 1",
        "data_preprocessor.*: 1",
        "encoder_k.*: 1",
        "head.*: 2",
        "momentum_encoder.*: 1",
        "neck.*: 1",
        "queue: 1",
        "target_net.*: 1",
        "x\\n\\x1b.*: 1",
    )
    assert converted.weights["conv1.weight"] is tensors["conv1.weight"]


def test_files_give_one_digest(tensors: Tensors, tmp_path: Path) -> None:
    expected = digest(tensors)
    write_backbone(tmp_path / "backbone.safetensors", tensors)
    save_file(tensors | {"fc.bias": torch.zeros(1000)}, tmp_path / "timm.safetensors")
    for name, writer in WRITERS.items():
        writer(tmp_path / f"{name}.pth", tensors)
    found = {}
    for path in tmp_path.iterdir():
        converted = convert(read_checkpoint(path), path.name)
        assert digest(converted.weights) == expected
        found[path.name] = converted.format
    assert found == {
        "backbone.safetensors": "canonical",
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
    assert digest(converted.weights) == digest(tensors)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (lambda w: {}, ["nothing: the mapping is empty"]),
        (lambda w: {"epoch": 3, "optimizer": {"state": 1}}, ["epoch", "int", "mapping of 1 names", "state"]),
        (lambda w: {"state_dict": prefixed("module.encoder_q.", w)}, ["state_dict", "265 names", "module.*", "265"]),
        (lambda w: prefixed("module.", w) | {"module.prototypes.weight": w["bn1.bias"]}, ["266 names", "module.*"]),
        (lambda w: {"state_dict": w | {"fc.weight": w["bn1.bias"]}}, ["fc.*", "layer1.*", "conv1.*"]),
        (lambda w: {"pytorch-lightning_version": "2", "state_dict": prefixed("backbone.", w)}, ["backbone.*"]),
        (lambda w: w | {"queue": w["bn1.bias"]}, ["266 names", "queue"]),
        (lambda w: {"teacher": prefixed("module.backbone.", w), "student": {}}, ["teacher", "student"]),
        (lambda w: {3: w["bn1.bias"], "state_dict": None, "a\nb": 1}, ["tensor [64]", "NoneType", "a\\nb"]),
        (
            lambda w: {"class_token": w["bn1.bias"], "encoder.ln.bias": w["bn1.bias"]},
            ["looks like a Vision Transformer"],
        ),
    ],
)
def test_unknown_layouts_are_refused_with_a_table(tensors: Tensors, layout: object, said: list[str]) -> None:
    assert callable(layout)
    with pytest.raises(HarnessError) as caught:
        convert(in_memory(layout(tensors)), "somewhere.pth")
    assert caught.value.where == "somewhere.pth"
    for text in [*said, *(candidate.name for candidate in FORMATS)]:
        assert text in caught.value.what


def test_no_two_formats_take_one_file(tensors: Tensors) -> None:
    layouts = [
        in_memory({"state_dict": prefixed("backbone.", tensors)}),
        in_memory({"state_dict": tensors}),
        in_memory(tensors),
        in_memory(tensors, {"digest": "abc"}),
    ]
    for file in layouts:
        assert sum(candidate.convert(file) is not None for candidate in FORMATS) == 1


def test_a_publisher_is_one_small_class(tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    class MoCo(Format):
        """A publisher of a later day."""

        name = "moco"
        summary = "state_dict with module.encoder_q.*"
        prefix = "module.encoder_q."
        dropped = ("module.encoder_q.fc.",)
        encoder = "query"

        def weights(self, file: CheckpointFile) -> Mapping[str, object] | None:
            named = file.content.get("state_dict", {})
            return named if any(name.startswith(self.prefix) for name in named) else None

    monkeypatch.setattr("harness.checkpoint.formats.FORMATS", (*FORMATS, MoCo()))
    named = prefixed("module.encoder_q.", tensors | {"fc.0.weight": torch.zeros(1)})
    converted = convert(in_memory({"state_dict": named | {"module.queue": torch.zeros(1)}}), "somewhere")
    assert (converted.format, converted.encoder, converted.ignored) == ("moco", "query", ("module.*: 2",))
    assert converted.weights.keys() == tensors.keys()
