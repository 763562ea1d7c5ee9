"""Intake writes one folder a backbone, remembers files, and knows nothing that is no longer true."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.backbone import digest, read_backbone
from harness.checkpoint import intake
from harness.checkpoint.exports import write_mmpretrain, write_torchvision
from harness.checkpoint.intake import Intake, examine, known, random_seed, take_in
from harness.checkpoint.statistics import FRESH, UNTOUCHED, statistics
from results.errors import HarnessError
from results.workspace import Workspace

ROOT = Path(__file__).resolve().parents[3]
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work dirs")


@pytest.fixture
def small_file(small: Tensors, tmp_path: Path) -> Path:
    path = tmp_path / "small.pth"
    write_mmpretrain(path, small)
    return path


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(checkpoint: str, *_: object) -> None:
        raise AssertionError(f"{checkpoint} was read again")

    monkeypatch.setattr(intake, "examine", fail)


def test_a_full_checkpoint(mm_file: Path, tensors: Tensors, workspace: Workspace) -> None:
    found = take_in(str(mm_file), workspace)
    untrained = (
        UNTOUCHED.format(count=53, total=53),
        FRESH.format(total=53),
    )
    assert found == Intake(
        digest=digest(tensors),
        source="simclr.pth",
        format="mmpretrain",
        encoder="backbone",
        input="rgb-mean-std",
        coverage={"convolutions": 53, "batch_norms": 53},
        warnings=untrained,
        encoders=("backbone",),
        remarks=untrained,
        statistics=statistics(tensors).groups,
        path=workspace.backbone(digest(tensors)) / "backbone.safetensors",
    )
    written = read_backbone(found.path, found.digest)
    assert all(torch.equal(written[name], value) for name, value in tensors.items())
    facts = json.loads((found.path.parent / "backbone.json").read_text())
    assert facts.pop("created").endswith("+00:00")
    assert facts == {
        "digest": found.digest,
        "source": "simclr.pth",
        "format": "mmpretrain",
        "encoder": "backbone",
        "input": "rgb-mean-std",
        "coverage": {"convolutions": 53, "batch_norms": 53},
        "ignored": [],
        "warnings": list(untrained),
        "encoders": ["backbone"],
        "remarks": list(untrained),
        "statistics": {name: dataclasses.asdict(group) for name, group in found.statistics.items()},
    }
    assert os.listdir(workspace.backbones) == [found.digest]


def test_a_warm_cache_imports_no_torch(mm_file: Path, tensors: Tensors, workspace: Workspace) -> None:
    take_in(str(mm_file), workspace)
    script = """
        import sys
        from pathlib import Path
        from harness.checkpoint.intake import take_in
        from results.workspace import Workspace
        print(take_in(sys.argv[1], Workspace(Path(sys.argv[2]))).digest)
        print(sorted({"torch", "numpy", "pandas", "safetensors", "mmengine"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(mm_file), str(workspace.root)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [digest(tensors), "[]"]


def test_the_digest_is_the_weights(small: Tensors, tmp_path: Path, workspace: Workspace) -> None:
    write_mmpretrain(tmp_path / "a.pth", small)
    write_torchvision(tmp_path / "b.pth", small)
    torch.save(torch.load(tmp_path / "a.pth"), tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    first = take_in(str(tmp_path / "a.pth"), workspace)
    (tmp_path / "a.pth").rename(tmp_path / "renamed.pth")
    renamed = take_in(str(tmp_path / "renamed.pth"), workspace)
    assert renamed.digest == first.digest
    assert renamed.source == "renamed.pth"
    for name in ("b.pth", "c.pth"):
        assert take_in(str(tmp_path / name), workspace).digest == first.digest
    assert take_in(str(renamed.path), workspace).format == "canonical"
    changed = small["conv1.weight"].clone()
    changed[0, 0, 0, 0] = torch.nextafter(changed[0, 0, 0, 0], torch.tensor(9.0))
    write_mmpretrain(tmp_path / "d.pth", {**small, "conv1.weight": changed})
    assert take_in(str(tmp_path / "d.pth"), workspace).digest != first.digest
    assert len(os.listdir(workspace.backbones)) == 2


def test_the_input_convention_is_declared_not_hashed(small_file: Path, workspace: Workspace) -> None:
    default = take_in(str(small_file), workspace)
    declared = take_in(str(small_file), workspace, input="rgb-unit")
    assert (default.input, declared.input) == ("rgb-mean-std", "rgb-unit")
    assert default.digest == declared.digest
    assert take_in(str(small_file), workspace).input == "rgb-mean-std"
    with pytest.raises(HarnessError, match="did you mean 'rgb-unit'"):
        take_in(str(small_file), workspace, input="rgb-units")


@pytest.mark.usefixtures("no_reading")
def test_a_known_file_is_not_read_again(
    small_file: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match="was read again"):
        take_in(str(small_file), workspace)
    monkeypatch.setattr(intake, "examine", examine)
    first = take_in(str(small_file), workspace)
    monkeypatch.setattr(intake, "examine", None)
    assert take_in(str(small_file), workspace) == first
    link = small_file.with_name("link.pth")
    link.symlink_to(small_file)
    assert take_in(str(link), workspace).source == "link.pth"


def test_encoder_trust_and_the_config_beside_are_part_of_what_is_remembered(
    small: Tensors, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / "moco.pth"
    key = {name: value + 1 for name, value in small.items()}
    named = {f"module.encoder_q.{name}": value for name, value in small.items()}
    named |= {f"module.encoder_k.{name}": value for name, value in key.items()}
    torch.save({"state_dict": named}, path)
    assert take_in(str(path), workspace).encoder == "query"
    assert known(str(path), workspace, "key") is None
    found = take_in(str(path), workspace, encoder="key")
    assert (found.encoder, found.digest, found.encoders) == ("key", digest(key), ("query", "key"))
    assert take_in(str(path), workspace).digest == digest(small)
    assert known(str(path), workspace, trust=True) is None
    (tmp_path / "config.json").write_text("{}")
    assert known(str(path), workspace) is None


def test_an_untrained_backbone_has_no_encoder(workspace: Workspace) -> None:
    with pytest.raises(HarnessError, match="has no encoder 'query'"):
        take_in("random:0", workspace, encoder="query")


def test_trust_is_remarked(small: Tensors, tmp_path: Path, workspace: Workspace) -> None:
    class Odd:
        def __reduce__(self) -> Any:
            return print, ("never",)

    path = tmp_path / "a.pth"
    torch.save({"state_dict": {f"backbone.{name}": value for name, value in small.items()}, "odd": Odd()}, path)
    with pytest.raises(HarnessError, match=r"__builtin__\.print|builtins\.print") as caught:
        take_in(str(path), workspace)
    assert "--trust" in caught.value.mend
    found = take_in(str(path), workspace, trust=True)
    assert found.digest == digest(small)
    assert "read with --trust" in found.remarks[0]
    assert found.remarks[0] in found.warnings


def test_a_changed_file_is_read_again(small: Tensors, small_file: Path, workspace: Workspace) -> None:
    first = take_in(str(small_file), workspace)
    write_mmpretrain(small_file, {**small, "bn1.bias": small["bn1.bias"] + 1})
    assert known(str(small_file), workspace) is None
    assert take_in(str(small_file), workspace).digest != first.digest
    write_mmpretrain(small_file, {**small, "bn1.bias": small["bn1.bias"] * torch.nan})
    with pytest.raises(HarnessError, match="not finite"):
        take_in(str(small_file), workspace)
    small_file.unlink()
    with pytest.raises(HarnessError, match="does not exist"):
        take_in(str(small_file), workspace)


@pytest.mark.parametrize("lost", ["backbone.safetensors", "backbone.json", "."])
def test_a_backbone_that_is_gone_is_made_again(small_file: Path, workspace: Workspace, lost: str) -> None:
    first = take_in(str(small_file), workspace)
    if lost == ".":
        shutil.rmtree(first.path.parent)
    else:
        (first.path.parent / lost).unlink()
    assert take_in(str(small_file), workspace) == first
    read_backbone(first.path, first.digest)
    assert sorted(os.listdir(first.path.parent)) == ["backbone.json", "backbone.safetensors"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"version": 2', '"version": 1'),
        lambda text: text.replace('"digest": "', '"digest": "../'),
        lambda text: text.replace('"source"', '"sauce"'),
        lambda text: text.replace('"convolutions": 9', '"convolutions": 8'),
        lambda text: text.replace("rgb-mean-std", "rgb"),
        lambda text: text.replace('"warnings": []', '"warnings": 3'),
    ],
)
def test_a_corrupt_cache_is_made_again(small_file: Path, workspace: Workspace, damage: object) -> None:
    assert callable(damage)
    first = take_in(str(small_file), workspace)
    (entry,) = (workspace.cache / "checkpoints").iterdir()
    whole = entry.read_text()
    assert damage(whole) != whole
    entry.write_text(damage(whole))
    assert known(str(small_file), workspace) is None
    assert take_in(str(small_file), workspace) == first
    assert entry.read_text() == whole


def test_a_refused_file_leaves_nothing(tmp_path: Path, workspace: Workspace) -> None:
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}}, tmp_path / "a.pth")
    with pytest.raises(HarnessError, match="1/53"):
        take_in(str(tmp_path / "a.pth"), workspace)
    assert not workspace.root.exists()


def test_a_file_that_changes_meanwhile(small_file: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(checkpoint: str, *how: Any) -> object:
        found = examine(checkpoint, *how)
        os.utime(checkpoint, ns=(0, 0))
        return found

    monkeypatch.setattr(intake, "examine", slow)
    with pytest.raises(HarnessError, match="changed while it was read"):
        take_in(str(small_file), workspace)
    assert not workspace.root.exists()


def test_our_own_export_with_other_weights(small: Tensors, small_file: Path, workspace: Workspace) -> None:
    from safetensors.torch import save_file

    first = take_in(str(small_file), workspace)
    forged = small_file.with_name("forged.safetensors")
    save_file({**small, "bn1.bias": small["bn1.bias"] + 1}, forged, metadata={"digest": first.digest})
    with pytest.raises(HarnessError, match="says that its digest is"):
        take_in(str(forged), workspace)


@pytest.mark.parametrize("name", ["a b.pth", "a\nb.pth", "-rf.pth", "模型.pth", "a\udcff.pth"])
def test_hostile_names(small_file: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(small_file.parent)
    small_file.rename(name)
    found = take_in(name, workspace)
    assert found.source.isprintable()
    assert take_in(name, workspace) == found


def test_a_workspace_that_cannot_be_written(small_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HarnessError, match="a file stands where a folder is needed"):
        take_in(str(small_file), Workspace(tmp_path / "file"))
    root = tmp_path / "root"
    (root / "backbones").mkdir(parents=True)
    (root / "backbones" / examine(str(small_file))[0].digest).write_text("in the way")
    with pytest.raises(HarnessError, match="cannot write"):
        take_in(str(small_file), Workspace(root))
    assert not list(root.glob("backbones/.*.tmp")), "the temporary folder is left behind"


def test_random(tensors: Tensors, workspace: Workspace) -> None:
    found = take_in("random:0", workspace)
    assert (found.source, found.format, found.digest) == ("random:0", "random", digest(tensors))
    assert known("random:0", workspace) is not None
    assert known("random:1", workspace) is None
    assert take_in("random:00", workspace, "rgb-unit").source == "random:0"


@pytest.mark.parametrize(
    "text", ["", "-1", "1.0", "x", " 1", "1 ", "1\n", "٣", "9" * 19, "9" * 5000, "0x1", "1e3", "+1"]
)
def test_random_seeds_that_are_none(text: str, workspace: Workspace) -> None:
    with pytest.raises(HarnessError, match="is no seed"):
        take_in(f"random:{text}", workspace)


def test_random_seeds() -> None:
    assert random_seed("random:0") == 0
    assert random_seed(f"random:{2**63 - 1}") == 2**63 - 1
    assert random_seed("./random:x") is None
    assert random_seed("simclr.pth") is None


def test_twenty_processes_make_one_folder(tmp_path: Path) -> None:
    script = """
        import os, sys, multiprocessing
        from pathlib import Path
        import torch
        import benchmarks.backbone
        from harness.checkpoint.exports import write_mmpretrain
        from harness.checkpoint.intake import take_in
        from results.workspace import Workspace

        torch.set_num_threads(1)
        benchmarks.backbone.STAGE_BLOCKS = (1, 1, 0, 0)
        root = Path(sys.argv[1])
        weights = {name: torch.zeros(shape) for name, shape in benchmarks.backbone.tensor_shapes().items()}
        write_mmpretrain(root / "a.pth", weights)
        barrier = multiprocessing.Barrier(20)
        children = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    barrier.wait(60)
                    take_in(str(root / "a.pth"), Workspace(root / "work"))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        print(sum(os.waitpid(child, 0)[1] != 0 for child in children))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "0", ran.stderr
    (folder,) = os.listdir(tmp_path / "work" / "backbones")
    assert sorted(os.listdir(tmp_path / "work" / "backbones" / folder)) == ["backbone.json", "backbone.safetensors"]
    read_backbone(tmp_path / "work" / "backbones" / folder / "backbone.safetensors", folder)
    assert len(os.listdir(tmp_path / "work" / "cache" / "checkpoints")) == 1
