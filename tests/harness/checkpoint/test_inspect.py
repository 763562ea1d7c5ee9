"""The verb ``inspect``: what it prints, exports and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks.backbone import digest
from harness.checkpoint.formats import write_mmpretrain
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
    page = dict(line.split(maxsplit=1) for line in run("--ckpt", small_file).splitlines() if "batch norms" not in line)
    assert page == {
        "checkpoint": "small.pth",
        "format": "mmpretrain",
        "encoder": "backbone",
        "digest": digest(small),
        "convolutions": "9/9",
        "input": "rgb-mean-std",
        "ignored": "head.*: 1",
        "warning": "45 tensors of float64 were cast to float32",
    }
    assert [path.name for path in small_file.parent.iterdir()] == ["small.pth"], "inspect must leave nothing behind"


def test_json_of_a_full_checkpoint(mm_file: Path, tensors: Tensors) -> None:
    assert json.loads(run("--ckpt", mm_file, "--json", "--input", "bgr-mean")) == {
        "format": "mmpretrain",
        "encoder": "backbone",
        "digest": digest(tensors),
        "coverage": {"convolutions": 53, "batch_norms": 53},
        "input": "bgr-mean",
        "ignored": [],
        "warnings": [],
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


@pytest.mark.parametrize("form", ["mmpretrain", "torchvision"])
def test_export(small: Tensors, small_file: Path, form: str) -> None:
    out = small_file.parent / "new folder" / "out.pth"
    run("--ckpt", small_file, "--export", form, out)
    facts, _ = examine(str(out))
    assert (facts.format, facts.digest) == (form, digest(small))
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
