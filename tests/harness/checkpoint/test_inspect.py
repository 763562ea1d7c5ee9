"""The verb ``inspect``: what it prints, exports and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file
from typer.testing import CliRunner

from benchmarks.backbone import digest
from harness.checkpoint.exports import write_mmpretrain
from harness.checkpoint.intake import examine, take_in
from harness.cli.inspect import inspect
from results.errors import HarnessError
from results.workspace import Workspace

Tensors = dict[str, torch.Tensor]

application = typer.Typer()
application.command()(inspect)


def run(*arguments: str | Path, status: int = 0) -> str:
    result = CliRunner().invoke(application, [str(argument) for argument in arguments])
    if isinstance(result.exception, HarnessError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


@pytest.fixture
def small_file(small: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    named = {f"backbone.{name}": value.double() for name, value in small.items()}
    torch.save({"state_dict": named | {"head.fc.bias": torch.zeros(1)}}, tmp_path / "small.pth")
    return tmp_path / "small.pth"


def test_page(small: Tensors, small_file: Path) -> None:
    text, _, table = run("--ckpt", small_file).partition("\n\n")
    page = {line[:14].strip(): line[14:] for line in text.splitlines()}
    assert page == {
        "checkpoint": "small.pth",
        "format": "mmpretrain",
        "encoder": "backbone",
        "digest": digest(small),
        "convolutions": "9/9",
        "batch norms": "9/9",
        "shapes": "all 45 tensors as in ResNet-50",
        "input": "rgb-mean-std: RGB, mean 123.675, 116.28, 103.53, standard deviation 58.395, 57.12, 57.375 (of 255)",
        "ignored": "head.*: 1",
        "warning": "45 tensors of float64 were cast to float32",
    }
    rows = [line.split() for line in table.splitlines()]
    assert rows[1] == ["fresh", "1", "1", "0", "0", "1"]
    assert [row[0] for row in rows[2:]] == ["stem", "layer1", "layer2"]
    assert float(rows[2][2]) == pytest.approx(float(small["bn1.weight"].mean()), rel=1e-3)
    assert [path.name for path in small_file.parent.iterdir()] == ["small.pth"], "inspect must leave nothing behind"


def test_json_of_a_full_checkpoint(mm_file: Path, tensors: Tensors) -> None:
    found = json.loads(run("--ckpt", mm_file, "--json", "--input", "bgr-mean"))
    assert len(found.pop("warnings")) == 2, "untrained statistics and weights"
    assert found == {
        "format": "mmpretrain",
        "encoder": "backbone",
        "digest": digest(tensors),
        "coverage": {"convolutions": 53, "batch_norms": 53},
        "input": "bgr-mean",
        "ignored": [],
        "refusal": None,
    }


def test_a_refusal_in_json_and_without(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"<html>404</html>")
    found = json.loads(run("--ckpt", tmp_path / "a.pth", "--json", status=2))
    assert "web page" in found.pop("refusal")
    assert found == dict.fromkeys(["format", "encoder", "digest", "coverage", "input", "ignored", "warnings"])
    with pytest.raises(HarnessError, match="web page"):
        run("--ckpt", tmp_path / "a.pth")
    with pytest.raises(HarnessError, match="unknown input convention"):
        run("--ckpt", tmp_path / "a.pth", "--input", "rgb")


def test_a_known_checkpoint_is_not_read(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run("--ckpt", small_file)
    take_in(str(small_file), Workspace(small_file.parent / "mine"))
    monkeypatch.setattr("harness.cli.inspect.examine", None)
    assert run("--ckpt", small_file, "--workspace", small_file.parent / "mine") == before


@pytest.mark.parametrize("form", ["mmpretrain", "torchvision", "safetensors"])
def test_export(small: Tensors, small_file: Path, form: str) -> None:
    out = small_file.parent / "new folder" / "out.pth"
    run("--ckpt", small_file, "--export", form, out)
    facts, _ = examine(str(out))
    assert (facts.format, facts.digest) == ("canonical" if form == "safetensors" else form, digest(small))
    if form == "safetensors":
        assert load_file(out).keys() == small.keys()
    else:
        state = torch.load(out, weights_only=True)
        assert (set(state) == {"meta", "state_dict"}) == (form == "mmpretrain")
    written = out.stat().st_mtime_ns
    run("--ckpt", small_file, "--export", form, out)
    assert out.stat().st_mtime_ns == written, "the same file is written twice"


def test_export_never_overwrites(small: Tensors, small_file: Path) -> None:
    folder = small_file.parent
    write_mmpretrain(folder / "other.pth", {**small, "bn1.bias": small["bn1.bias"] + 1})
    write_mmpretrain(folder / "same.pth", small)
    (folder / "text.pth").write_text("mine")
    (folder / "folder").mkdir()
    (folder / "dangling").symlink_to(folder / "nowhere")
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name, form in (
        ("other.pth", "mmpretrain"),
        ("same.pth", "torchvision"),
        ("text.pth", "mmpretrain"),
        ("folder", "mmpretrain"),
        ("dangling", "mmpretrain"),
        ("small.pth", "torchvision"),
    ):
        with pytest.raises(HarnessError, match="a file is already there"):
            run("--ckpt", small_file, "--export", form, folder / name)
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_export_of_an_unknown_format(small_file: Path) -> None:
    with pytest.raises(HarnessError, match="did you mean 'mmpretrain'"):
        run("--ckpt", small_file, "--export", "mmpretrained", small_file.parent / "out.pth")


def test_random_exported(tensors: Tensors, tmp_path: Path) -> None:
    run("--ckpt", "random:0", "--export", "mmpretrain", tmp_path / "demo.pth")
    facts, _ = examine(str(tmp_path / "demo.pth"))
    assert (facts.digest, facts.format, facts.ignored) == (digest(tensors), "mmpretrain", ())


def test_encoders_are_listed_and_chosen(small: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = {f"module.encoder_q.{name}": value for name, value in small.items()}
    named |= {f"module.encoder_k.{name}": value + 1 for name, value in small.items()}
    torch.save({"state_dict": named}, tmp_path / "moco.pth")
    assert "encoder       query (also in the file: key)" in run("--ckpt", tmp_path / "moco.pth")
    assert "encoder       key (also in the file: query)" in run("--ckpt", tmp_path / "moco.pth", "--encoder", "key")
    with pytest.raises(HarnessError, match="has no encoder 'teacher'"):
        run("--ckpt", tmp_path / "moco.pth", "--encoder", "teacher")


def test_an_export_that_is_not_read_back_is_refused(
    small: Tensors, small_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(path: Path, tensors: Tensors) -> None:
        write_mmpretrain(path, {**tensors, "bn1.bias": tensors["bn1.bias"] + 1})

    monkeypatch.setattr("harness.cli.inspect.WRITERS", {"mmpretrain": lose})
    with pytest.raises(HarnessError, match="not read back as this backbone"):
        run("--ckpt", small_file, "--export", "mmpretrain", small_file.parent / "out.pth")
