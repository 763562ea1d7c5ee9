"""Damages small checkpoints in thousands of ways and examines each.

``python -m tests.harness.checkpoint.fuzzing COUNT``, or ``FIRST COUNT`` for a part: case ``n`` is a function of ``n``
alone. The canonical backbone is shrunk to its stem, so that a file has some 40 KB. The last line says how many were
refused and how many read, in JSON.
"""

from __future__ import annotations

import collections
import faulthandler
import json
import pickletools
import resource
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import benchmarks.backbone
from benchmarks.backbone import digest, tensor_shapes, write_backbone
from harness.checkpoint.intake import examine
from results.errors import HarnessError
from tests.harness.checkpoint.assembly import (
    arrays,
    assemble,
    mmpretrain,
    rezipped,
    save_torch,
    tar_of,
    write_npz,
)

Tensors = dict[str, torch.Tensor]
OPCODES = b"".join(opcode.code.encode("latin1") for opcode in pickletools.opcodes)
SHOWN = 5


def stem() -> Tensors:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for name, shape in tensor_shapes().items()}


def seeds(folder: Path, tensors: Tensors) -> dict[str, Path]:
    """An intact file of each container."""
    meta = {"epoch": 3, "best": np.float64(0.5), "history": [1.5, "text", (1, 2), {"a": None}]}
    # A counter of batches tells torchvision's layout from others, where there is no first block.
    flat = {**tensors, "layer1.0.bn1.num_batches_tracked": torch.tensor(1.0)}
    path = {name: folder / name for name in ("zip", "legacy", "pickle", "npz", "safetensors", "tar", "flat")}
    save_torch(path["zip"], mmpretrain(tensors, meta))
    save_torch(path["legacy"], mmpretrain(tensors, meta), zipped=False)
    save_torch(path["flat"], flat)
    path["pickle"].write_bytes(assemble(mmpretrain(arrays(tensors), meta), 4))
    write_npz(path["npz"], flat)
    write_backbone(path["safetensors"], tensors)
    tar_of(path["tar"], {"a.pth": path["flat"].read_bytes()})
    return path


Generator = np.random.Generator


def place(data: bytes, generator: Generator) -> int:
    """Anywhere; as often near an end, where headers and tables of contents lie."""
    span = len(data) if generator.random() < 0.5 else min(len(data), 1500)
    found = int(generator.integers(span))
    return found if generator.random() < 0.5 else len(data) - 1 - found


def random_bytes(data: bytes, generator: Generator, _: bytes) -> bytes:
    kept = int(generator.integers(16))
    return data[:kept] + generator.bytes(int(generator.integers(1, 3000)))


def truncated(data: bytes, generator: Generator, _: bytes) -> bytes:
    return data[: place(data, generator)]


def flipped(data: bytes, generator: Generator, _: bytes) -> bytes:
    changed = bytearray(data)
    for _number in range(generator.integers(1, 9)):
        changed[place(data, generator)] ^= int(generator.integers(1, 256))
    return bytes(changed)


def deleted(data: bytes, generator: Generator, _: bytes) -> bytes:
    start = place(data, generator)
    return data[:start] + data[start + int(2 ** generator.uniform(0, 12)) :]


def doubled(data: bytes, generator: Generator, _: bytes) -> bytes:
    start, end = place(data, generator), place(data, generator)
    block = data[start : start + int(2 ** generator.uniform(0, 12))]
    return data[:end] + block + data[end:]


def spliced(data: bytes, generator: Generator, other: bytes) -> bytes:
    return data[: place(data, generator)] + other[place(other, generator) :]


MUTATIONS: tuple[Callable[[bytes, Generator, bytes], bytes], ...] = (
    random_bytes,
    truncated,
    flipped,
    deleted,
    doubled,
    spliced,
)


def other_opcodes(pickled: bytes, generator: Generator) -> bytes:
    """Puts opcodes, with random arguments, between those of a pickle or in place of them."""
    starts = [position for _, _, position in pickletools.genops(pickled) if position is not None]
    changed = pickled
    for _number in range(generator.integers(1, 4)):
        start = starts[int(generator.integers(len(starts)))]
        replaced = int(generator.integers(3))
        code = OPCODES[int(generator.integers(len(OPCODES)))]
        argument = generator.bytes(int(generator.integers(6)))
        if generator.random() < 0.3:
            argument = b"torch\nhub\n" if generator.random() < 0.5 else b"\xff" * 8
        changed = changed[:start] + bytes([code]) + argument + changed[start + replaced :]
    return changed


def case(number: int, files: dict[str, Path], target: Path) -> str:
    """Writes case ``number``; says what it is."""
    generator = np.random.default_rng(number)
    names = sorted(files)
    name = names[number % len(names)]
    data = files[name].read_bytes()
    choice = number // len(names) % (len(MUTATIONS) + 2)
    if choice < len(MUTATIONS):
        mutation = MUTATIONS[choice]
        other = files[names[int(generator.integers(len(names)))]].read_bytes()
        target.write_bytes(mutation(data, generator, other))
        return f"{name}, {mutation.__name__}"
    if name in ("zip", "flat", "tar"):
        inner = files["flat" if name == "tar" else name]
        with zipfile.ZipFile(inner) as archive:
            pickled = archive.read(next(entry for entry in archive.namelist() if entry.endswith("/data.pkl")))
        target.write_bytes(inner.read_bytes())
        rezipped(target, {"data.pkl": other_opcodes(pickled, generator)})
        if name == "tar":
            tar_of(target, {"a.pth": target.read_bytes()})
        return f"{name}, other opcodes"
    if name in ("pickle", "legacy"):
        end = len(data) if name == "pickle" else data.index(b".", 2000)
        head = data[:end]
        changed = bytearray(head)
        for _number in range(generator.integers(1, 4)):
            changed.insert(
                int(generator.integers(min(len(head), 2000))), OPCODES[int(generator.integers(len(OPCODES)))]
            )
        target.write_bytes(bytes(changed) + data[end:])
        return f"{name}, other opcodes"
    target.write_bytes(doubled(flipped(data, generator, data), generator, data))
    return f"{name}, flipped and doubled"


def outcome(path: Path) -> str:
    """``refused`` or ``read``; anything else is raised."""
    try:
        facts, tensors = examine(str(path))
    except HarnessError:
        return "refused"
    assert set(tensors) == set(tensor_shapes()), "another set of tensors"
    assert facts.digest == digest(tensors), "the digest is not that of the tensors"
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values()), "not finite"
    return "read"


def peak_megabytes() -> float:
    """Largest memory of this program; ``ru_maxrss`` would be that of whoever started it, if larger."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(first: int, count: int) -> int:
    """Examines the cases; returns how many failed."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(1)
    benchmarks.backbone.STAGE_BLOCKS = (0, 0, 0, 0)
    counts: collections.Counter[str] = collections.Counter()
    slowest, failures = (0.0, ""), 0
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        tensors = stem()
        files = seeds(Path(folder), tensors)
        intact = {name: outcome(path) for name, path in files.items()}
        target = Path(folder) / "case"
        for number in range(first, first + count):
            text = f"case {number}: {case(number, files, target)}"
            # A hang is seen with the stack it hangs in. To arm costs more than most cases.
            if number % 50 == 0:
                faulthandler.dump_traceback_later(60, exit=True)
            begun = time.monotonic()
            try:
                counts[outcome(target)] += 1
            except BaseException:  # noqa: BLE001 - whatever it is, it is a failure of its own
                failures += 1
                if failures <= SHOWN:
                    print(text, traceback.format_exc(), sep="\n", file=sys.stderr)
            slowest = max(slowest, (time.monotonic() - begun, text))
    print(
        json.dumps(
            {
                **counts,
                "failures": failures,
                "seconds": time.process_time() - started,
                "slowest": slowest,
                "intact": intact,
                "megabytes": peak_megabytes(),
            }
        )
    )
    return failures


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(1 if main(0 if len(numbers) == 1 else numbers[0], numbers[-1]) else 0)
