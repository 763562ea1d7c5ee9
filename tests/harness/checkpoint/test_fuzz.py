"""Damage of every kind ends in a refusal or in the weights as they are: never in a traceback, a crash or a hang."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.backbone import digest
from harness.checkpoint.intake import examine
from results.errors import HarnessError
from tests.harness.checkpoint.assembly import rezipped

ROOT = Path(__file__).resolve().parents[3]
CASES = 10_000
Tensors = dict[str, torch.Tensor]


def test_ten_thousand_damaged_files() -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.harness.checkpoint.fuzzing", str(CASES)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, f"status {ended.returncode}\n{ended.stdout[-2000:]}\n{ended.stderr[-8000:]}"
    found = json.loads(ended.stdout.splitlines()[-1])
    print(found)
    assert set(found["intact"].values()) == {"read"}, "a file that is whole is refused, so that damage proves nothing"
    assert found["refused"] + found["read"] == CASES
    assert found["read"] > CASES / 100, "no damage beside the weights"
    assert found["refused"] > CASES / 2
    # Of processor time: other tests may run beside.
    assert found["seconds"] < 60
    assert found["slowest"][0] < 5
    assert found["megabytes"] < 1500


def changed(data: bytearray, position: int) -> bytearray:
    data[position] ^= 0x55
    return data


def within(path: Path, entry: str, part: float) -> int:
    """A position in the data of an entry of a zip."""
    with zipfile.ZipFile(path) as archive:
        found = next(item for item in archive.infolist() if item.filename.endswith(entry))
        with archive.open(found):
            pass
        data = path.read_bytes()
        head = found.header_offset
        names = int.from_bytes(data[head + 26 : head + 28], "little")
        extra = int.from_bytes(data[head + 28 : head + 30], "little")
        return head + 30 + names + extra + int(part * found.file_size)


def contents_of(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return archive.start_dir


DAMAGE: dict[str, Callable[[bytearray, Path], bytes | bytearray]] = {
    "cut to a half": lambda data, _: data[: len(data) // 2],
    "last byte missing": lambda data, _: data[:-1],
    "cut behind the pickle": lambda data, path: data[: within(path, "/data.pkl", 1)],
    "cut in the pickle": lambda data, path: data[: within(path, "/data.pkl", 0.5)],
    "flip in the first weight": lambda data, path: changed(data, within(path, "/data/0", 0.5)),
    "flip in the last weight": lambda data, path: changed(data, within(path, "/data/264", 0.5)),
    "flip in the pickle": lambda data, path: changed(data, within(path, "/data.pkl", 0.5)),
    "flip in the table of contents": lambda data, path: changed(data, contents_of(path) + 20),
    "flip in the end of the table": lambda data, _: changed(data, len(data) - 22),
    "a page of zeros": lambda data, path: (
        data[: within(path, "/data/200", 0.1)] + bytes(4096) + data[within(path, "/data/200", 0.1) + 4096 :]
    ),
    "a page missing": lambda data, _: data[: len(data) // 3] + data[len(data) // 3 + 4096 :],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_whole_resnet_that_is_damaged(mm_file: Path, tensors: Tensors, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(DAMAGE[name](bytearray(mm_file.read_bytes()), mm_file))
    started = time.monotonic()
    with pytest.raises(HarnessError):
        examine(str(path))
    assert time.monotonic() - started < 5


def test_a_weight_whose_damage_has_a_right_checksum(mm_file: Path, tensors: Tensors, tmp_path: Path) -> None:
    # A checksum that was made after the damage cannot tell it; the values that come back are then those of the file.
    path = tmp_path / "a.pth"
    path.write_bytes(mm_file.read_bytes())
    rezipped(path, {"data/0": bytes(64 * 3 * 7 * 7 * 4)})
    facts, found = examine(str(path))
    assert facts.digest == digest(found) != digest(tensors)
    assert not found["conv1.weight"].any()
    rezipped(path, {"data/0": b"\xff" * (64 * 3 * 7 * 7 * 4)})
    with pytest.raises(HarnessError, match="not finite"):
        examine(str(path))


def test_weights_that_are_views_of_one_storage(tensors: Tensors, tmp_path: Path) -> None:
    # As flattened parameters are saved: to read the storage once a weight would take 265 times as long.
    flat = torch.cat([value.flatten() for value in tensors.values()])
    pieces = flat.split([value.numel() for value in tensors.values()])  # type: ignore[no-untyped-call]
    views = {f"backbone.{n}": piece.view(v.shape) for (n, v), piece in zip(tensors.items(), pieces, strict=True)}
    for form, zipped in (("zip", True), ("legacy", False)):
        torch.save({"state_dict": views}, tmp_path / form, _use_new_zipfile_serialization=zipped)
        started = time.monotonic()
        assert examine(str(tmp_path / form))[0].digest == digest(tensors)
        assert time.monotonic() - started < 8
