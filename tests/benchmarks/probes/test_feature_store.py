from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.probes.feature_store import MANIFEST, FeatureFolder, LayerWriter, is_complete, load
from results.errors import HarnessError

ROWS = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)


def store(out: Path, rows: np.ndarray[Any, np.dtype[np.float32]] = ROWS, batch: int = 3, shard: int = 4) -> bool:
    with FeatureFolder(out) as folder:
        writer = LayerWriter(folder.path, "val", "feature5", len(rows), shard)
        for start in range(0, len(rows), batch):
            writer.append(rows[start : start + batch])
        splits = {"val": {"count": len(rows), "layers": {"feature5": writer.entry()}}}
        return folder.publish({"schema": 1, "splits": splits})


def shards(out: Path) -> list[Path]:
    return sorted(out.glob("val-feature5-*.npy"))


@pytest.mark.parametrize(("batch", "shard"), [(3, 4), (1, 1), (11, 4), (4, 11), (5, 100)])
def test_rows_come_back_as_they_went(tmp_path: Path, batch: int, shard: int) -> None:
    out = tmp_path / "features" / "key"
    assert store(out, batch=batch, shard=shard)
    assert is_complete(out)
    np.testing.assert_array_equal(load(out, "val", "feature5"), ROWS)
    parts = [np.load(path) for path in shards(out)]
    assert [len(part) for part in parts[:-1]] == [min(shard, len(ROWS))] * (len(parts) - 1)
    np.testing.assert_array_equal(np.concatenate(parts), ROWS)
    assert [path.name for path in out.parent.iterdir()] == ["key"]


def test_the_first_complete_folder_wins(tmp_path: Path) -> None:
    assert store(tmp_path / "key")
    assert not store(tmp_path / "key", ROWS + 1)
    np.testing.assert_array_equal(load(tmp_path / "key", "val", "feature5"), ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("damage", ["shard", "manifest", "cut"])
def test_an_incomplete_folder_is_replaced(tmp_path: Path, damage: str) -> None:
    out = tmp_path / "key"
    store(out, ROWS + 1)
    if damage == "cut":
        shards(out)[1].write_bytes(shards(out)[1].read_bytes()[:-1])
    else:
        (out / MANIFEST if damage == "manifest" else shards(out)[0]).unlink()
    assert not is_complete(out)
    assert store(out)
    np.testing.assert_array_equal(load(out, "val", "feature5"), ROWS)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "splits": []}', '{"schema": 99, "splits": {}}', "\0"])
def test_a_strange_manifest_is_not_complete(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    assert not is_complete(tmp_path)
    with pytest.raises(HarnessError):
        load(tmp_path, "val", "feature5")


def test_no_folder_is_not_complete(tmp_path: Path) -> None:
    assert not is_complete(tmp_path / "key")
    with pytest.raises(HarnessError):
        load(tmp_path / "key", "val", "feature5")


@pytest.mark.parametrize("where", [-1, 5, 130])
def test_one_altered_byte_is_noticed(tmp_path: Path, where: int) -> None:
    store(tmp_path / "key")
    path = shards(tmp_path / "key")[1]
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    with pytest.raises(HarnessError, match="damaged features"):
        load(tmp_path / "key", "val", "feature5")


@pytest.mark.parametrize("change", [b"", b"1234"])
def test_a_shard_of_another_length_is_noticed(tmp_path: Path, change: bytes) -> None:
    store(tmp_path / "key")
    path = shards(tmp_path / "key")[-1]
    path.write_bytes(path.read_bytes() + change if change else path.read_bytes()[:-4])
    with pytest.raises(HarnessError, match="damaged features"):
        load(tmp_path / "key", "val", "feature5")


def test_a_manifest_with_fewer_shards_is_noticed(tmp_path: Path) -> None:
    store(tmp_path / "key")
    manifest = json.loads((tmp_path / "key" / MANIFEST).read_text())
    manifest["splits"]["val"]["layers"]["feature5"]["shards"].pop()
    (tmp_path / "key" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(HarnessError, match="8 rows of val feature5, not 11"):
        load(tmp_path / "key", "val", "feature5")


@pytest.mark.parametrize(("split", "layer"), [("test", "feature5"), ("val", "feature4")])
def test_what_is_not_there_is_refused(tmp_path: Path, split: str, layer: str) -> None:
    store(tmp_path / "key")
    with pytest.raises(HarnessError, match=f"{split} {layer}"):
        load(tmp_path / "key", split, layer)


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fill_the_disk() -> None:
        with FeatureFolder(tmp_path / "key") as folder:
            LayerWriter(folder.path, "val", "feature5", 2, 4).append(ROWS[:2])
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(HarnessError, match="no space left"):
        fill_the_disk()
    assert not list(tmp_path.iterdir())


def test_more_rows_than_announced_are_refused(tmp_path: Path) -> None:
    writer = LayerWriter(tmp_path, "val", "feature5", 2, 4)
    with pytest.raises(ValueError, match="more rows"):
        writer.append(ROWS)


@pytest.mark.parametrize("which", ["shard", "manifest"])
def test_features_that_others_may_have_written_are_refused(tmp_path: Path, which: str) -> None:
    store(tmp_path / "key")
    (shards(tmp_path / "key")[1] if which == "shard" else tmp_path / "key" / MANIFEST).chmod(0o664)
    with pytest.raises(HarnessError, match="others may write"):
        load(tmp_path / "key", "val", "feature5")
