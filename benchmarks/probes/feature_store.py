"""Features on disk: shards of rows, and a manifest that is written last.

A folder holds ``<split>-<layer>-<number>.npy`` (float32 [rows, dimension]) and ``manifest.json``. It is made under
another name and renamed, so a folder of the final name is complete unless something was taken out of it. While it is
made, a note beside each finished shard says what the manifest will say of it, so that a later attempt can take it over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from results.errors import HarnessError
from results.files import explain_os_error, make_folder, open_own, read_json, temporary_name, to_json, write_whole

SCHEMA = 1
"""Version of the manifest's form."""

MANIFEST = "manifest.json"

UNFINISHED = ".part"
NOTE = ".json"
"""What the name of a shard has more while it is written, and that of a finished one's note."""

ROWS_PER_SHARD = 16384
"""Rows of a shard: 128 MB of kNN features, up to 600 MB of grid-pooled ones."""


@dataclasses.dataclass
class _Shard:
    name: str
    rows: int
    size: int
    left: int
    stream: BinaryIO
    sha: Any

    def write(self, data: bytes) -> None:
        self.stream.write(data)
        self.sha.update(data)
        self.size += len(data)


class LayerWriter:
    """Writes the rows of one split and layer as they come; in memory there is never more than one batch.

    Args:
        folder: Where the shards go.
        split: Name of the split.
        layer: Name of the layer.
        count: Rows that will come.
        rows_per_shard: Rows of each shard but the last.
    """

    def __init__(self, folder: Path, split: str, layer: str, count: int, rows_per_shard: int) -> None:
        self._folder = folder
        self._prefix = f"{split}-{layer}"
        self._left = count
        self._rows_per_shard = rows_per_shard
        self._shard: _Shard | None = None
        self._done: list[dict[str, Any]] = []
        self._dimension = 0

    def append(self, rows: npt.NDArray[np.float32]) -> None:
        """Appends float32 rows [n, dimension]."""
        self._dimension = rows.shape[1]
        while len(rows):
            shard = self._shard or self._open()
            part, rows = rows[: shard.left], rows[shard.left :]
            shard.write(np.ascontiguousarray(part, dtype="<f4").tobytes())
            shard.left -= len(part)
            if shard.left == 0:
                self.close()

    def _open(self) -> _Shard:
        rows = min(self._rows_per_shard, self._left)
        if rows == 0:
            raise ValueError(f"more rows than were announced for {self._prefix}")
        self._left -= rows
        name = f"{self._prefix}-{len(self._done):05d}.npy"
        stream = (self._folder / f"{name}{UNFINISHED}").open("xb")
        shard = _Shard(name, rows, 0, rows, stream, hashlib.sha256())
        header = io.BytesIO()
        layout = {"descr": "<f4", "fortran_order": False, "shape": (rows, self._dimension)}
        np.lib.format.write_array_header_1_0(header, layout)  # type: ignore[no-untyped-call]
        shard.write(header.getvalue())
        self._shard = shard
        return shard

    def close(self) -> None:
        """Flushes the open shard to disk; called by itself when a shard is full."""
        if self._shard is None:
            return
        shard, self._shard = self._shard, None
        with shard.stream as stream:
            stream.flush()
            os.fsync(stream.fileno())
        entry = {"file": shard.name, "rows": shard.rows, "bytes": shard.size, "sha256": shard.sha.hexdigest()}
        self._done.append(entry)
        if shard.left == 0:
            write_whole(self._folder / f"{shard.name}{NOTE}", to_json({**entry, "dimension": self._dimension}))
            os.rename(self._folder / f"{shard.name}{UNFINISHED}", self._folder / shard.name)

    def take_over(self, earlier: Path, entries: Sequence[Mapping[str, Any]]) -> int:
        """Moves the first shards from the folder of an earlier attempt, before anything is written.

        Args:
            earlier: Where they lie.
            entries: What :func:`finished_shards` found there, or the first of it.

        Returns:
            Their rows.
        """
        for entry in entries:
            os.rename(earlier / entry["file"], self._folder / entry["file"])
            os.rename(earlier / f"{entry['file']}{NOTE}", self._folder / f"{entry['file']}{NOTE}")
            self._dimension = entry["dimension"]
            self._left -= entry["rows"]
            self._done.append({name: entry[name] for name in ("file", "rows", "bytes", "sha256")})
        return sum(entry["rows"] for entry in entries)

    def entry(self) -> dict[str, Any]:
        """The layer's part of the manifest."""
        return {"dimension": self._dimension, "dtype": "float32", "shards": self._done}


def finished_shards(folder: Path, split: str, layer: str, count: int, rows_per_shard: int) -> list[dict[str, Any]]:
    """Shards of an unfinished folder that a later attempt can take over, checked byte by byte.

    Args:
        folder: Where an earlier attempt of the same job wrote.
        split: Name of the split.
        layer: Name of the layer.
        count: Rows of the split.
        rows_per_shard: As for :class:`LayerWriter`.

    Returns:
        Their notes, from the first shard to the last before one is missing, altered or of another length.
    """
    found: list[dict[str, Any]] = []
    with contextlib.suppress(HarnessError, OSError, KeyError, TypeError, ValueError):
        for number in range(-(-count // rows_per_shard)):
            name = f"{split}-{layer}-{number:05d}.npy"
            note = read_json(folder / f"{name}{NOTE}")
            rows = min(rows_per_shard, count - number * rows_per_shard)
            if (note["file"], note["rows"]) != (name, rows):
                break
            _read_shard(folder, note, np.empty((rows, note["dimension"]), dtype="<f4"))
            found.append(note)
    return found


class FeatureFolder:
    """A folder of features in the making: a context manager that leaves nothing behind unless published.

    Args:
        out: Its final path.
        work: Where it is made, on the same file system; what is finished of it then stays after a failure. None makes
            it beside ``out``.

    Raises:
        HarnessError: Disk full or not writable, while entering or inside.
    """

    def __init__(self, out: Path, work: Path | None = None) -> None:
        self.out = out
        self.path = work or temporary_name(out)
        self._stays = work is not None

    def __enter__(self) -> FeatureFolder:
        make_folder(self.path)
        return self

    def publish(self, manifest: Mapping[str, Any]) -> bool:
        """Writes the manifest and renames the folder.

        Returns:
            True where the features are these; False where a complete folder was there first, which is then kept.
        """
        for note in self.path.glob(f"*.npy{NOTE}"):
            note.unlink()
        write_whole(self.path / MANIFEST, to_json(manifest))
        make_folder(self.out.parent)
        while True:
            try:
                os.rename(self.path, self.out)
            except OSError:
                if is_complete(self.out):
                    return False
                if not self.out.exists():
                    raise
                broken = temporary_name(self.out)
                with contextlib.suppress(FileNotFoundError):
                    os.rename(self.out, broken)
                shutil.rmtree(broken, ignore_errors=True)
            else:
                return True

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not (self._stays and error is not None):
            shutil.rmtree(self.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise explain_os_error(error, self.out) from error


def is_complete(folder: Path) -> bool:
    """Whether a folder has its manifest and every shard of it in its full length. Reads no shard."""
    with contextlib.suppress(HarnessError, OSError, KeyError, TypeError, AttributeError):
        manifest = read_json(folder / MANIFEST)
        return bool(manifest["schema"] == SCHEMA) and all(
            (folder / shard["file"]).stat().st_size == shard["bytes"]
            for split in manifest["splits"].values()
            for layer in split["layers"].values()
            for shard in layer["shards"]
        )
    return False


def load(folder: Path, split: str, layer: str) -> npt.NDArray[np.float32]:
    """Reads the features of one split and layer into memory, checking every byte.

    Returns:
        Float32 [n, dimension], in the order of the split's list.

    Raises:
        HarnessError: A shard or the manifest is missing, of another shape or altered, or others may have written it.
    """
    manifest = read_json(folder / MANIFEST, own=True)
    try:
        part = manifest["splits"][split]
        entry = part["layers"][layer]
        features = np.empty((part["count"], entry["dimension"]), dtype="<f4")
        start = 0
        for shard in entry["shards"]:
            _read_shard(folder, shard, features[start : start + shard["rows"]])
            start += shard["rows"]
        if start != len(features):
            raise _damaged(folder, f"{start} rows of {split} {layer}, not {len(features)}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, f"{split} {layer}: {error!r}") from error
    return features


def _read_shard(folder: Path, shard: Mapping[str, Any], into: npt.NDArray[np.float32]) -> None:
    sha = hashlib.sha256()
    with open_own(folder / shard["file"]) as stream:
        np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
        if shape != into.shape or fortran or dtype != np.dtype("<f4"):
            raise _damaged(folder, f"{shard['file']} is {dtype} {shape}, not float32 {into.shape}")
        length = stream.tell()
        stream.seek(0)
        sha.update(stream.read(length))
        body = into.reshape(-1).view(np.uint8).data
        read = stream.readinto(body)
        sha.update(body)
        if read != len(body) or stream.read(1) or sha.hexdigest() != shard["sha256"]:
            raise _damaged(folder, f"the content of {shard['file']} is not what was written")


def _damaged(folder: Path, problem: str) -> HarnessError:
    return HarnessError(
        f"damaged features: {problem}", str(folder), "delete that folder and run the same command again"
    )
