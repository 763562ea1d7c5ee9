from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision import transforms
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter

from benchmarks import proof
from benchmarks.backbone import build_backbone
from benchmarks.base import FeatureRequest, Numerics, PixelPipeline
from benchmarks.datasets.layout import read_split
from benchmarks.input_convention import CONVENTIONS
from benchmarks.probes import features, images
from benchmarks.probes.feature_store import is_complete, load
from results.errors import HarnessError

SQUASHED = FeatureRequest("imagenet", ("train", "val"), PixelPipeline(40, squash=35), ("feature2", "feature5"), "grid")
CROPPED = FeatureRequest("imagenet", ("val",), PixelPipeline(40, crop=35), ("feature5",), "global_average")
RGB = CONVENTIONS["rgb-mean-std"]


class Checkpoint(Protocol):
    path: Path
    digest: str
    tensors: Mapping[str, torch.Tensor]


@pytest.fixture
def extract(tmp_path: Path, checkpoint: Checkpoint, data_root: Path) -> Callable[..., Mapping[str, Any]]:
    def run(request: FeatureRequest = CROPPED, **changes: Any) -> Mapping[str, Any]:
        (tmp_path / "attempt").mkdir(exist_ok=True)
        given = {
            "backbone": checkpoint.path,
            "digest": checkpoint.digest,
            "convention": RGB,
            "numerics": Numerics(),
            "data_root": data_root,
            "out": tmp_path / "features" / "key",
            "attempt": tmp_path / "attempt",
            "device": "cpu",
            "threads": 1,
        }
        return features.extract(request, **{**given, **changes})

    return run


def reference(checkpoint: Checkpoint, request: FeatureRequest, paths: tuple[Path, ...], convention: str) -> Any:
    """torchvision alone: PIL, its transforms, its model, hooks by its own getter."""
    model = resnet50(weights=None)
    model.load_state_dict(checkpoint.tensors, strict=False)
    names = {"relu": "feature1", **{f"layer{number}": f"feature{number + 1}" for number in range(1, 5)}}
    getter = IntermediateLayerGetter(model.eval(), names)
    pixels = request.pixels
    second = transforms.Resize((35, 35)) if pixels.squash else transforms.CenterCrop(35)
    prepare = transforms.Compose([transforms.Resize(pixels.short_edge), second, transforms.PILToTensor()])
    with torch.inference_mode():
        batch = torch.stack([prepare(Image.open(path).convert("RGB")) for path in paths]).double() / 255
        if convention == "rgb-mean-std":
            batch = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(batch)
        elif convention == "bgr-mean":
            batch = batch[:, [2, 1, 0]] * 255 - torch.tensor([103.53, 116.28, 123.675]).view(1, 3, 1, 1)
        maps = getter(batch.float())
    sizes = {"feature2": 6, "feature5": 2} if request.pooling == "grid" else {"feature2": 1, "feature5": 1}
    pooled = {layer: functional.adaptive_avg_pool2d(maps[layer], sizes[layer]) for layer in request.layers}
    return {layer: value.flatten(1).numpy() for layer, value in pooled.items()}


def assert_close(got: Any, expected: Any, tolerance: float) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("request_", [SQUASHED, CROPPED], ids=["squash-grid", "crop-average"])
@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
def test_features_are_those_of_torchvision(
    extract: Callable[..., Mapping[str, Any]],
    tmp_path: Path,
    checkpoint: Checkpoint,
    data_root: Path,
    request_: FeatureRequest,
    convention: str,
) -> None:
    if convention != "rgb-mean-std":
        request_ = dataclasses.replace(request_, splits=("val",))
    manifest = extract(request_, convention=CONVENTIONS[convention], rows_per_shard=4)
    out = tmp_path / "features" / "key"
    assert is_complete(out)
    assert json.loads((out / "manifest.json").read_text()) == json.loads(json.dumps(manifest))
    for split in request_.splits:
        paths = read_split("imagenet", data_root, split).paths
        expected = reference(checkpoint, request_, paths, convention)
        assert manifest["splits"][split]["count"] == len(paths)
        for layer in request_.layers:
            # 1e-4 of the largest entry: float32 convolutions in another order differ by about 1e-6.
            assert_close(load(out, split, layer), expected[layer], 1e-4)
    assert [path.name for path in out.parent.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("numerics", "batch", "tolerance"),
    [
        (Numerics(), 2, 1e-5),
        (Numerics(channels_last=True), 7, 1e-5),
        (Numerics(folded=True), 7, 1e-5),
        (Numerics(channels_last=True, folded=True), 16, 1e-5),
        (Numerics(precision="bf16"), 16, 0.05),
        (Numerics(precision="amp", channels_last=True), 16, 0.05),
    ],
)
def test_batches_and_numerics_change_nothing_beyond_rounding(
    checkpoint: Checkpoint,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    numerics: Numerics,
    batch: int,
    tolerance: float,
) -> None:
    paths = read_split("imagenet", data_root, "train").paths

    def run(chosen: Numerics) -> dict[str, Any]:
        extractor = features.build_extractor(checkpoint.tensors, SQUASHED, RGB, chosen, "cpu", 1)
        parts = list(extractor.features(paths))
        return {layer: torch.cat([part[layer] for part in parts]).numpy() for layer in SQUASHED.layers}

    expected = run(Numerics())
    monkeypatch.setitem(features.BATCH, "cpu", batch)
    got = run(numerics)
    for layer in SQUASHED.layers:
        assert got[layer].dtype == np.float32
        assert_close(got[layer], expected[layer], tolerance)
        assert (numerics.precision == "fp32") == np.allclose(got[layer], expected[layer], rtol=1e-3, atol=1e-4)


def test_a_compiled_network_always_sees_one_batch_size(
    checkpoint: Checkpoint, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = read_split("imagenet", data_root, "train").paths[:5]
    plain = features.build_extractor(checkpoint.tensors, CROPPED, RGB, Numerics(), "cpu", 1)
    (expected,) = plain.features(paths)
    seen: list[int] = []

    def compile_(function: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
        def compiled(batch: torch.Tensor) -> Any:
            seen.append(len(batch))
            return function(batch)

        return compiled

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setitem(features.BATCH, "cpu", 3)
    extractor = features.build_extractor(checkpoint.tensors, CROPPED, RGB, Numerics(compile=True), "cpu", 1)
    got = torch.cat([part["feature5"] for part in extractor.features(paths)])
    assert seen == [3, 3]
    assert_close(got.numpy(), expected["feature5"].numpy(), 1e-5)


def other_backbone(tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The right network but for one weight tensor."""
    name = "layer3.4.conv2.weight"
    return build_backbone({**tensors, name: tensors[name].flip(0)})


def wrong_input(pixels: torch.Tensor, _: object) -> torch.Tensor:
    return network_input(pixels, CONVENTIONS["rgb-unit"])


def swapped_input(pixels: torch.Tensor, convention: Any) -> torch.Tensor:
    return network_input(pixels.flip(-1), convention)


def wrong_transform(picture: Image.Image, pixels: PixelPipeline) -> Any:
    return transform(picture, dataclasses.replace(pixels, short_edge=pixels.short_edge + 4))


network_input, transform = features.network_input, images.transform


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (features, "network_input", wrong_input),
        (features, "network_input", swapped_input),
        (images, "transform", wrong_transform),
    ],
    ids=["convention", "channels", "resize"],
)
def test_the_proof_refuses_wrong_pixels(
    extract: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, wrong: Any
) -> None:
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(HarnessError, match="does not reproduce a plain forward"):
        extract()
    assert not list(tmp_path.glob("features/*"))
    monkeypatch.setattr(proof, "prove_features", lambda *_: None)
    extract()


def test_each_proof_refuses_wrong_weights(extract: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "build_backbone", other_backbone)
    with pytest.raises(HarnessError, match="backbone tensors are not the checkpoint's before extraction"):
        extract()
    prove_tensors = proof.prove_tensors
    monkeypatch.setattr(proof, "prove_tensors", lambda *_: None)
    with pytest.raises(HarnessError, match="does not reproduce a plain forward"):
        extract()
    monkeypatch.setattr(proof, "prove_tensors", prove_tensors)
    monkeypatch.setattr(proof, "prove_features", lambda *_: None)
    with pytest.raises(HarnessError, match="before extraction"):
        extract()


def test_a_backbone_that_changes_on_the_way_is_refused(
    extract: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = features.Extractor._check_finite

    def drift(self: features.Extractor, rows: Any, paths: Any) -> None:
        dict(self.model.named_buffers())["bn1.running_mean"].add_(1e-3)
        check(self, rows, paths)

    monkeypatch.setattr(features.Extractor, "_check_finite", drift)
    with pytest.raises(HarnessError, match="after extraction"):
        extract()


def test_the_proof_is_made_before_and_after(extract: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(proof, "prove_tensors", lambda *arguments: calls.append(arguments[-1]))
    monkeypatch.setattr(proof, "prove_features", lambda *arguments: calls.append(arguments[-1]))
    monkeypatch.setattr(
        features,
        "_write_split",
        lambda *_: calls.append("write") or {"count": 0, "layers": {}},  # type: ignore[func-returns-value]
    )
    extract()
    assert calls == ["before extraction", "feature extraction", "write", "after extraction"]


def test_features_that_are_not_finite_name_their_image(checkpoint: Checkpoint, data_root: Path) -> None:
    paths = read_split("imagenet", data_root, "train").paths
    extractor = features.build_extractor(checkpoint.tensors, CROPPED, RGB, Numerics(), "cpu", 1)

    def overflow(batch: torch.Tensor) -> Mapping[str, torch.Tensor]:
        maps = {"feature5": torch.ones(len(batch), 2048, 2, 2)}
        maps["feature5"][3, 7] = torch.inf
        return maps

    with pytest.raises(HarnessError, match="feature5 of an image is not finite") as caught:
        list(dataclasses.replace(extractor, forward=overflow).features(paths))
    assert caught.value.where == str(paths[3])


def test_another_backbone_is_refused(extract: Callable[..., object]) -> None:
    with pytest.raises(HarnessError, match="digest"):
        extract(digest="0" * 64)


def test_a_missing_image_leaves_nothing_behind(extract: Callable[..., object], tmp_path: Path, data_root: Path) -> None:
    root = tmp_path / "data"
    (root / "imagenet" / "meta").mkdir(parents=True)
    for split in ("train", "val"):
        listing = (data_root / "imagenet" / "meta" / f"{split}.txt").read_text()
        (root / "imagenet" / "meta" / f"{split}.txt").write_text(listing)
    with pytest.raises(HarnessError, match="cannot read an image") as caught:
        extract(data_root=root)
    assert caught.value.where.endswith("val 0.JPEG")
    assert not list(tmp_path.glob("features/*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ("feature9",)}, "unknown layer 'feature9'"),
        ({"layers": ()}, "at least one"),
        ({"layers": ("feature5", "feature5")}, "each layer once"),
        ({"pooling": "max"}, "unknown pooling 'max'"),
        ({"pixels": PixelPipeline(256)}, "not possible"),
        ({"pixels": PixelPipeline(64, crop=224)}, "not possible"),
        ({"pixels": PixelPipeline(256, squash=8)}, "not possible"),
        ({"pixels": PixelPipeline(256, crop=224, interpolation="bicubic")}, "unknown interpolation"),
    ],
)
def test_impossible_requests_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        features.check_request(dataclasses.replace(CROPPED, **changes))


def test_folding_leaves_no_batch_norm_and_the_network_as_it_is(checkpoint: Checkpoint) -> None:
    model = build_backbone(checkpoint.tensors)
    folded = features.fold_batch_norms(model)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert sum(isinstance(module, torch.nn.Conv2d) for module in folded.modules()) == 53
    proof.prove_tensors(model.state_dict(), checkpoint.tensors, "folding")
    alone = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.BatchNorm2d(3)).eval()
    with pytest.raises(ValueError, match="does not follow a convolution"):
        features.fold_batch_norms(alone)


def test_a_folded_network_that_is_wrong_is_proved_wrong(
    extract: Callable[..., Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = extract(numerics=Numerics(folded=True))
    assert manifest["numerics"]["folded"] is True
    real = features.fold_batch_norms

    def wrong(model: torch.nn.Module) -> torch.nn.Module:
        folded = real(model)
        folded.conv1.bias.mul_(0)  # type: ignore[operator, union-attr]
        return folded

    monkeypatch.setattr(features, "fold_batch_norms", wrong)
    with pytest.raises(HarnessError, match="does not reproduce a plain forward"):
        extract(numerics=Numerics(folded=True), out=tmp_path / "features" / "other")


class Killed(BaseException):
    """As if the process ended."""


def test_a_later_attempt_takes_finished_shards_over(
    extract: Callable[..., Mapping[str, Any]],
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven images in shards of two, batches of one: two attempts end early, the third at the end."""
    monkeypatch.setitem(features.BATCH, "cpu", 1)
    whole = extract(SQUASHED, rows_per_shard=2, out=tmp_path / "features" / "whole")
    real, asked = features.image_batches, []

    def until(last: int) -> Any:
        def batches(paths: Any, *rest: Any) -> Any:
            for number, batch in enumerate(real(paths, *rest)):
                if len(paths) > 2 and number == last:
                    raise Killed
                if len(paths) > 1:
                    asked.append(paths[number].name)
                yield batch

        return batches

    attempts = [tmp_path / f"attempt{number}" for number in range(3)]
    for number, attempt in enumerate(attempts):
        attempt.mkdir()
        monkeypatch.setattr(features, "image_batches", until((5, 1, 99)[number]))
        given = {"rows_per_shard": 2, "attempt": attempt, "previous": attempts[:number]}
        if number < 2:
            with pytest.raises(Killed):
                extract(SQUASHED, **given)
            continue
        manifest = extract(SQUASHED, **given)
    assert manifest["splits"] == whole["splits"]
    assert not (attempts[2] / features.WORK).exists()
    names = [path.name for path in read_split("imagenet", data_root, "train").paths]
    # Five images, of which two shards are finished; from the fifth on one; from there to the end; then validation.
    assert asked[:-2] == [*names[:5], names[4], *names[4:]][: len(asked) - 2]
    assert is_complete(tmp_path / "features" / "key")


@pytest.mark.parametrize("damage", ["content", "note", "length", "layer"])
def test_a_damaged_shard_is_extracted_anew(
    extract: Callable[..., Mapping[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = extract(SQUASHED, rows_per_shard=2, out=tmp_path / "features" / "whole")
    first, second = tmp_path / "attempt1", tmp_path / "attempt2"
    first.mkdir()
    second.mkdir()
    real = features.proof.prove_tensors

    def fail_at_the_end(state: Any, tensors: Any, when: str) -> None:
        if when == "after extraction":
            raise Killed
        real(state, tensors, when)

    with monkeypatch.context() as patch:
        patch.setattr(features.proof, "prove_tensors", fail_at_the_end)
        with pytest.raises(Killed):
            extract(SQUASHED, rows_per_shard=2, attempt=first)
    work = first / features.WORK
    shard = work / "train-feature5-00001.npy"
    if damage == "content":
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    elif damage == "note":
        (work / "train-feature5-00001.npy.json").write_text("[]")
    elif damage == "length":
        shard.write_bytes(shard.read_bytes()[:-4])
    else:
        for path in work.glob("train-feature2-*"):
            path.unlink()
    manifest = extract(SQUASHED, rows_per_shard=2, attempt=second, previous=[first])
    # To the last bit: a batch of other images computes the same rows.
    assert [shard["rows"] for shard in manifest["splits"]["train"]["layers"]["feature5"]["shards"]] == [2, 2, 2, 1]
    out = tmp_path / "features" / "key"
    for layer in SQUASHED.layers:
        expected = load(tmp_path / "features" / "whole", "train", layer)
        assert_close(load(out, "train", layer), expected, 1e-5)
    assert set(manifest["splits"]) == set(whole["splits"])
    assert not list(out.glob("*.json.*"))
    assert [path.name for path in out.glob("*.json")] == ["manifest.json"]
