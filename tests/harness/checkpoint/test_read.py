"""Reading is safe, gives every tensor as it is, and turns damage into a refusal."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from harness.checkpoint import unpickle
from harness.checkpoint.read import read_checkpoint
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


def same(found: Any, expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name].detach(), value.detach()), name


class Trap:
    """Unpickled by an unrestricted loader, makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@FORMS
def test_tensors_come_back_as_they_are(tmp_path: Path, zipped: bool) -> None:
    file = read_checkpoint(save(tmp_path / "a.pth", {"epoch": 3, "state_dict": weights()}, zipped))
    assert file.container == ("zip" if zipped else "legacy")
    assert file.content["epoch"] == 3
    assert file.warnings == ()
    same(file.content["state_dict"], weights())


@FORMS
def test_globals_beyond_torchs_list(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mmengine.logging.history_buffer")
    buffer = type("HistoryBuffer", (), {"__module__": module.__name__, "__qualname__": "HistoryBuffer"})
    module.HistoryBuffer = buffer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mmengine", types.ModuleType("mmengine"))
    monkeypatch.setitem(sys.modules, "mmengine.logging", types.ModuleType("mmengine.logging"))
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
    file = read_checkpoint(path)
    same(file.content["state_dict"], weights())
    assert file.warnings == ()
    assert isinstance(file.content["meta"]["args"], unpickle.Inert)


@FORMS
def test_a_trap_beside_the_weights_is_not_sprung(tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "sprung"
    path = save(tmp_path / "a.pth", {"meta": Trap(marker), "state_dict": weights()}, zipped)
    torch.load(path, weights_only=False)
    assert marker.is_dir(), "the trap itself does not work"
    marker.rmdir()
    file = read_checkpoint(path)
    assert not marker.exists()
    same(file.content["state_dict"], weights())
    assert len(file.warnings) == 1
    assert "posix.mkdir" in file.warnings[0]


@FORMS
def test_a_trap_as_a_weight_or_as_everything(tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "sprung"
    file = read_checkpoint(save(tmp_path / "a.pth", {"state_dict": {"conv1.weight": Trap(marker)}}, zipped))
    assert isinstance(file.content["state_dict"]["conv1.weight"], unpickle.Inert)
    with pytest.raises(HarnessError, match="no mapping of names to tensors but a pickled object"):
        read_checkpoint(save(tmp_path / "b.pth", Trap(marker), zipped))
    assert not marker.exists()


def test_a_trap_in_the_header_of_a_legacy_file(tmp_path: Path) -> None:
    marker = tmp_path / "sprung"
    stream = io.BytesIO()
    parts: tuple[object, ...] = (
        0x1950A86A20F9469CFC6C,
        1001,
        {"little_endian": True, "evil": Trap(marker)},
        {"a": 1},
        [],
    )
    for part in parts:
        pickle.dump(part, stream, protocol=2)
    (tmp_path / "a.pth").write_bytes(stream.getvalue())
    assert read_checkpoint(tmp_path / "a.pth").content == {"a": 1}
    assert not marker.exists()


class OldPickler(pickle.Pickler):
    """Writes a storage of ten floats, of which the tensor sees a view, as torch did before 0.4."""

    def persistent_id(self, value: object) -> object:
        return ("storage", torch.FloatStorage, "7", "cpu", 10, ("8", 2, 6)) if value == "STORAGE" else None


class OldTensor:
    """Rows (3, 4, 5) and (5, 6, 7) of the view 2..7 of 0..9."""

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, ("STORAGE", 1, (2, 3), (2, 1), False, OrderedDict())


def test_storage_views_of_old_legacy_files(tmp_path: Path) -> None:
    stream = io.BytesIO()
    parts: tuple[object, ...] = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    for part in parts:
        pickle.dump(part, stream, protocol=2)
    OldPickler(stream, protocol=2).dump({"w": OldTensor(), "foreign": np.float64(1)})
    pickle.dump(["7"], stream, protocol=2)
    stream.write(struct.pack("<q10f", 10, *range(10)))
    (tmp_path / "a.pth").write_bytes(stream.getvalue())
    assert read_checkpoint(tmp_path / "a.pth").content["w"].tolist() == [[3, 4, 5], [5, 6, 7]]


def raw_pickle(opcodes: bytes) -> Any:
    return unpickle.RestrictedUnpickler(io.BytesIO(opcodes)).load()


def test_no_opcode_reaches_a_function_of_ours() -> None:
    # GLOBAL of a tensor builder, then BUILD with a slot state that would replace the function's code.
    attack = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00__code__K\x01s\x86b."
    with pytest.raises((AttributeError, TypeError)):
        raw_pickle(attack)
    # The same on the class that stands for everything: taken, and nothing changed.
    before = dict(vars(unpickle.Inert))
    raw_pickle(b"\x80\x02cposix\nsystem\nN}X\x08\x00\x00\x00__call__K\x01s\x86b.")
    assert dict(vars(unpickle.Inert)) == before
    # A dictionary of items keeps its methods.
    entries = raw_pickle(b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb.")
    assert list(entries.items()) == []


def test_a_call_of_what_getattr_would_have_given_is_inert() -> None:
    # getattr(os, "system")("...") in a pickle: GLOBAL getattr, its result called with a command.
    attack = b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x06\x00\x00\x00system\x86RX\x04\x00\x00\x00true\x85R."
    assert isinstance(raw_pickle(attack), unpickle.Inert)


@FORMS
def test_a_tensor_cannot_reach_outside_its_storage(zipped: bool) -> None:
    reader = unpickle.RestrictedUnpickler(io.BytesIO())
    with pytest.raises(RuntimeError, match="out of bounds"):
        reader.tensor(torch.zeros(4), 2, (3,), (1,))
    with pytest.raises(pickle.UnpicklingError):
        reader.tensor({"no": "storage"}, 0, (1,), (1,))


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("form", ["zip", "legacy", "legacy with globals", "safetensors"])
def test_cut_short(tmp_path: Path, form: str, kept: float) -> None:
    path = tmp_path / "a.pth"
    content = {"state_dict": {f"w{number}": torch.rand(50, 50) for number in range(4)}}
    if form == "safetensors":
        save_file(content["state_dict"], path)
    else:
        save(path, content | ({"meta": np.float64(1)} if "globals" in form else {}), form == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(HarnessError, match=r"cut short|no mapping|not a checkpoint"):
        read_checkpoint(path)


def test_a_flipped_bit_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", {"state_dict": {"w": torch.zeros(5000)}}, True)
    data = bytearray(path.read_bytes())
    position = data.index(bytes(15000)) + 9000
    data[position] ^= 64
    path.write_bytes(data)
    assert torch.load(path)["state_dict"]["w"].abs().max() > 0, "torch notices by itself now: drop our check"
    with pytest.raises(HarnessError, match="does not match its checksum"):
        read_checkpoint(path)


def test_a_zip_without_checksums_or_with_compression(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path / "a.pth", weights(), True)
    finally:
        torch.serialization.set_crc32_options(before)
    same(read_checkpoint(path).content, weights())
    packed = tmp_path / "b.pth"
    save(path, weights(), True)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    same(read_checkpoint(packed).content, weights())


def test_safetensors_by_content_whatever_its_name(tmp_path: Path) -> None:
    plain = {name: value.detach().contiguous() for name, value in weights().items()}
    save_file(plain, tmp_path / "a.pth", metadata={"digest": "abc"})
    file = read_checkpoint(tmp_path / "a.pth")
    assert (file.container, file.metadata) == ("safetensors", {"digest": "abc"})
    assert file.content.keys() == plain.keys()
    assert all(torch.equal(file.content[name], value) for name, value in plain.items())
    save(tmp_path / "b.safetensors", weights(), True)
    same(read_checkpoint(tmp_path / "b.safetensors").content, weights())


def test_a_single_tensor_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"a single tensor of shape \[2, 3\]"):
        read_checkpoint(save(tmp_path / "a.pth", torch.zeros(2, 3), True))


@pytest.mark.parametrize("name", ["a b.pth", "a\nb.pth", "-rf.pth", "模型.pth", "a\udcff.pth", "'; true '.pth"])
def test_hostile_names_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(save(tmp_path / "plain", {"a": torch.ones(1)}, True).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert read_checkpoint(Path(name)).content["a"] == 1


@FORMS
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_read_but_never_a_traceback(
    tmp_path: Path, zipped: bool, data: st.DataObject
) -> None:
    path = save(tmp_path / "a.pth", {"state_dict": weights(), "meta": np.float64(1)}, zipped)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(HarnessError):
        read_checkpoint(path)
