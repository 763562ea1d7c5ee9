"""Reading is safe, gives every tensor as it is, and turns damage into a refusal."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from harness.checkpoint.pickles.values import Inert
from harness.checkpoint.read import CheckpointFile, read_checkpoint, refusing_damage
from harness.checkpoint.stored import Weight
from results.errors import HarnessError

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def weights() -> dict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32)
    return OrderedDict(
        {
            "plain": base.reshape(2, 3, 4),
            "view": base[4:16:2],
            "transposed": torch.arange(6, dtype=torch.float64).reshape(2, 3).t(),
            "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
            "brain": torch.tensor([3.0], dtype=torch.bfloat16),
            "count": torch.tensor(7),
            "flag": torch.tensor([True, False]),
            "empty": torch.empty(0, 3),
            "parameter": torch.nn.Parameter(torch.ones(2)),
        }
    )


def save(path: Path, content: object, zipped: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def values(path: Path, *keys: str) -> dict[str, torch.Tensor]:
    """All tensors of a mapping in a file."""
    with read_checkpoint(path) as file:
        found: Any = file.content
        for key in keys:
            found = found[key]
        return {name: weight.read() for name, weight in found.items() if isinstance(weight, Weight)}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value.detach()), name


def refusal(path: Path) -> HarnessError:
    with pytest.raises(HarnessError) as caught, read_checkpoint(path) as file, refusing_damage(str(path)):
        _ = [weight.read() for weight in file.content.values() if isinstance(weight, Weight)]
    return caught.value


@FORMS
def test_tensors_come_back_as_they_are(tmp_path: Path, zipped: bool) -> None:
    path = save(tmp_path / "a.pth", {"epoch": 3, "state_dict": weights()}, zipped)
    with read_checkpoint(path) as file:
        assert file.container == ("zip" if zipped else "legacy")
        assert file.content["epoch"] == 3
        assert file.foreign == ()
    same(values(path, "state_dict"), weights())


@FORMS
def test_plain_types_beyond_torchs_list(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mmengine.logging.history_buffer")
    buffer = type("HistoryBuffer", (), {"__module__": module.__name__, "__qualname__": "HistoryBuffer"})
    module.HistoryBuffer = buffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    history = buffer()
    history.values = np.arange(3.0)
    content = {
        "meta": {"args": argparse.Namespace(lr=0.1), "time": datetime.datetime(2022, 8, 25), "best": np.float64(0.5)},
        "message_hub": {"log_scalars": OrderedDict(loss=history), "shape": torch.Size([2]), "set": {1, 2}},
        "path": Path("a"),
        "state_dict": weights(),
    }
    path = save(tmp_path / "a.pth", content, zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    monkeypatch.delitem(sys.modules, module.__name__)
    with read_checkpoint(path) as file:
        assert file.foreign == ()
        assert isinstance(file.content["meta"]["args"], Inert)
        assert file.content["message_hub"]["shape"] == (2,)
    same(values(path, "state_dict"), weights())


class OldPickler(pickle.Pickler):
    """Writes a storage of ten floats, of which the tensor sees a view, as torch did before 0.4."""

    def persistent_id(self, value: object) -> object:
        return ("storage", torch.FloatStorage, "7", "cpu", 10, ("8", 2, 6)) if value == "STORAGE" else None


class OldTensor:
    """Rows (3, 4, 5) and (5, 6, 7) of the view 2..7 of 0..9."""

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, ("STORAGE", 1, (2, 3), (2, 1), False, OrderedDict())


def old_file(path: Path, little_endian: bool = True) -> Path:
    stream = io.BytesIO()
    parts: tuple[object, ...] = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": little_endian})
    for part in parts:
        pickle.dump(part, stream, protocol=2)
    OldPickler(stream, protocol=2).dump({"w": OldTensor(), "scalar": np.float64(1)})
    pickle.dump(["7"], stream, protocol=2)
    stream.write(struct.pack("<q10f", 10, *range(10)))
    path.write_bytes(stream.getvalue())
    return path


def test_storage_views_of_old_legacy_files(tmp_path: Path) -> None:
    assert values(old_file(tmp_path / "a.pth"))["w"].tolist() == [[3, 4, 5], [5, 6, 7]]


def test_a_big_endian_machine(tmp_path: Path) -> None:
    assert "big-endian" in refusal(old_file(tmp_path / "a.pth", little_endian=False)).what
    path = save(tmp_path / "b.pth", weights(), True)
    other = tmp_path / "c.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for entry in source.infolist():
            target.writestr(
                entry.filename, b"big" if entry.filename.endswith("byteorder") else source.read(entry.filename)
            )
    assert "big-endian" in refusal(other).what


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "npz", "pickle", "tar"])
def test_cut_short(tmp_path: Path, form: str, kept: float) -> None:
    path = tmp_path / "a.pth"
    content = {f"w{number}": torch.rand(50, 50) for number in range(4)}
    arrays = {name: value.numpy() for name, value in content.items()}
    if form == "safetensors":
        save_file(content, path)
    elif form == "npz":
        with path.open("wb") as stream:
            np.savez(stream, **arrays)
    elif form == "pickle":
        path.write_bytes(pickle.dumps(arrays))
    elif form == "tar":
        save(tmp_path / "inner", content, False)
        with tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "inner", "inner")
    else:
        save(path, content, form == "zip")
    data = path.read_bytes()
    assert len(values(path)) == 4
    # A tar ends with blocks of zeros, which nobody needs.
    path.write_bytes(data[: int((len(data) - (10240 if form == "tar" else 0)) * kept)])
    assert any(word in refusal(path).what for word in ("cut short", "not a checkpoint"))


def test_a_flipped_bit_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", {"w": torch.zeros(5000)}, True)
    data = bytearray(path.read_bytes())
    position = data.index(bytes(15000)) + 9000
    data[position] ^= 64
    path.write_bytes(data)
    assert torch.load(path)["w"].abs().max() > 0, "torch notices by itself now"
    assert "does not match its checksum" in refusal(path).what


def test_a_zip_without_checksums_or_with_compression(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path / "a.pth", weights(), True)
    finally:
        torch.serialization.set_crc32_options(before)
    same(values(path), weights())
    packed = tmp_path / "b.pth"
    save(path, weights(), True)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry.filename))
    same(values(packed), weights())


def plain() -> dict[str, torch.Tensor]:
    return {name: value.detach().contiguous() for name, value in weights().items()}


def test_safetensors_by_content_whatever_its_name(tmp_path: Path) -> None:
    save_file(plain(), tmp_path / "a.pth", metadata={"digest": "abc"})
    with read_checkpoint(tmp_path / "a.pth") as file:
        assert (file.container, file.metadata) == ("safetensors", {"digest": "abc"})
    found = values(tmp_path / "a.pth")
    assert found.keys() == plain().keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in plain().items())
    save(tmp_path / "b.safetensors", weights(), True)
    same(values(tmp_path / "b.safetensors"), weights())


@pytest.mark.parametrize("compressed", [False, True])
def test_npz(tmp_path: Path, compressed: bool) -> None:
    arrays = {name: value.numpy() for name, value in plain().items() if value.dtype != torch.bfloat16}
    arrays["layer1.0/column"] = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    arrays["big"] = np.arange(4, dtype=">f8")
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    found = values(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name].numpy(), value) for name, value in arrays.items())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles(tmp_path: Path, protocol: int) -> None:
    arrays = {name: value.numpy() for name, value in plain().items() if value.dtype != torch.bfloat16}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays}, protocol=protocol))
    found = values(tmp_path / "a.pkl", "model")
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name].numpy(), value) for name, value in arrays.items())


@FORMS
def test_a_tar_with_one_checkpoint(tmp_path: Path, zipped: bool) -> None:
    save(tmp_path / "inner.pth", weights(), zipped)
    (tmp_path / "folder").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "folder", "folder")
        archive.add(tmp_path / "inner.pth", "folder/inner.pth")
    same(values(tmp_path / "a.tar"), weights())


def test_torchs_oldest_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.add(tmp_path / "part", name)
    assert "torch before 0.1.10" in refusal(tmp_path / "a.tar").what


def test_several_readers_of_one_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", weights(), True)
    with read_checkpoint(path) as first, read_checkpoint(path) as second:
        assert torch.equal(first.content["plain"].read(), second.content["plain"].read())
        assert torch.equal(first.content["view"].read(), second.content["view"].read())


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", {"w": torch.ones(9), "huge": torch.zeros(5000)}, True)
    data = bytearray(path.read_bytes())
    data[data.index(bytes(15000)) + 9000] ^= 64
    path.write_bytes(data)
    with read_checkpoint(path) as file:
        assert file.content["w"].read().sum() == 9
        assert file.content["huge"].shape == (5000,)


def test_a_file_that_is_closed_is_read_no_more(tmp_path: Path) -> None:
    with read_checkpoint(save(tmp_path / "a.pth", weights(), True)) as file:
        pass
    with pytest.raises(ValueError, match="closed file"):
        file.content["plain"].read()
    with CheckpointFile({}, "zip") as nothing:
        assert nothing.content == {}


def test_a_single_tensor_is_no_checkpoint(tmp_path: Path) -> None:
    assert "a single tensor of shape [2, 3]" in refusal(save(tmp_path / "a.pth", torch.zeros(2, 3), True)).what
    assert "but a list" in refusal(save(tmp_path / "b.pth", [1], True)).what


def test_a_header_that_lies(tmp_path: Path) -> None:
    def write(header: dict[str, Any], data: bytes = bytes(8)) -> Path:
        text = json.dumps(header).encode()
        path = tmp_path / "a.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        return path

    sound = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    assert values(write({"w": sound}))["w"].tolist() == [0, 0]
    for change in ({"shape": [3]}, {"data_offsets": [0, 9]}, {"data_offsets": [8, 0]}, {"shape": [-2]}, {"shape": "2"}):
        assert "damaged" in refusal(write({"w": {**sound, **change}})).what
    assert "damaged" in refusal(write({"w": 3})).what
    with read_checkpoint(write({"w": {**sound, "dtype": "F8_E4M3"}})) as file:
        assert file.content["w"].dtype == "F8_E4M3"


@pytest.mark.parametrize("name", ["a b.pth", "a\nb.pth", "-rf.pth", "模型.pth", "a\udcff.pth", "'; true '.pth"])
def test_hostile_names_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(save(tmp_path / "plain", {"a": torch.ones(1)}, True).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert values(Path(name))["a"] == 1


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        (tmp_path / "bad.pth").write_bytes(b"PK\x03\x04" + bytes(number))
        with pytest.raises(HarnessError):
            read_checkpoint(tmp_path / "bad.pth")
        with read_checkpoint(save(tmp_path / "a.pth", weights(), True)):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
