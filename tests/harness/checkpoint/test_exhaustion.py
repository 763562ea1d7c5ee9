"""No file takes more time or memory than its weights are worth, crashes the interpreter, or reaches beyond itself."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

import benchmarks.backbone
from benchmarks.backbone import digest, tensor_shapes
from tests.harness.checkpoint.assembly import (
    CONTAINERS,
    DISCARD,
    NONE,
    PERSISTENT,
    Raw,
    arrays,
    assemble,
    build,
    call,
    entry,
    listed,
    mmpretrain,
    named,
    npy,
    number,
    rezipped,
    save_torch,
    several,
    tar_of,
    text,
    write_npz,
)

ROOT = Path(__file__).resolve().parents[3]
MEGABYTES = 400
"""More than any of these files is worth, less than any of them asks for."""

Tensors = dict[str, torch.Tensor]
Examine = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def examine() -> Iterator[Examine]:
    """Examines a file in a process with limits."""
    command = [sys.executable, "-m", "tests.harness.checkpoint.confined"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(path: Path) -> dict[str, Any]:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(f"{path}\n")
            server.stdin.flush()
            found: dict[str, Any] = json.loads(server.stdout.readline())
            assert found["outcome"] in ("refused", "read"), found
            assert found["seconds"] < 10, found
            assert found["megabytes"] < MEGABYTES, found
            assert found.get("length", 0) < 20_000, "a refusal longer than anybody reads"
            return found

        yield ask
        server.stdin.close()


@pytest.fixture(scope="module")
def weights() -> Tensors:
    """As the fixture ``small``, for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.backbone, "STAGE_BLOCKS", (1, 1, 0, 0))
        generator = torch.Generator().manual_seed(0)
        return {name: torch.rand(shape, generator=generator) for name, shape in tensor_shapes().items()}


def refused(found: dict[str, Any]) -> None:
    assert found["outcome"] == "refused", found


def refused_or_right(found: dict[str, Any], weights: Tensors) -> None:
    """For what does no harm to a reader that passes it over."""
    assert found["outcome"] == "refused" or found["digest"] == digest(weights), found


def test_the_limits_let_good_files_pass(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    for name in ("zip", "legacy", "pickle-4", "tar"):
        CONTAINERS[name](tmp_path / name, weights, {"epoch": 1})
        assert examine(tmp_path / name).get("digest") == digest(weights), name
    write_npz(tmp_path / "npz", weights)
    assert examine(tmp_path / "npz").get("digest") == digest(weights)


# Pickles.


def nested_tuples(depth: int) -> bytes:
    return b")" + b"\x85" * depth


def laughs(levels: int) -> bytes:
    return b"]" + b"".join(b"q\xf0" + DISCARD + b"](h\xf0h\xf0e" for _ in range(levels))


def array(shape: bytes, kind: bytes, data: bytes) -> bytes:
    """A numpy array by its state."""
    made = call(
        named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), several(number(0)), text("b")
    )
    float32 = build(
        call(named("numpy", "dtype"), text("f4"), b"\x89", b"\x88"),
        several(number(3), text("<"), NONE, NONE, NONE, number(-1), number(-1), number(0)),
    )
    return build(made, several(number(1), shape, kind or float32, b"\x89", data))


COLLIDING = 2**61 - 1
"""Python's hash of a whole number is its remainder by this."""

SENSELESS: dict[str, Callable[[], bytes]] = {
    "bytes of a terabyte": lambda: b"\x8e" + struct.pack("<Q", 2**40),
    "text of a terabyte": lambda: b"\x8d" + struct.pack("<Q", 2**40) + b"abc",
    "byte array of a terabyte": lambda: b"\x96" + struct.pack("<Q", 2**40),
    "bytes of 4 GB": lambda: b"B" + struct.pack("<I", 2**32 - 1),
    "number of 2 GB": lambda: b"\x8b" + struct.pack("<i", 2**31 - 1),
    "number of negative length": lambda: b"\x8b" + struct.pack("<i", -1),
    "stack below its bottom": lambda: b"0" * 50,
    "mark that is not there": lambda: b"t" * 50,
    "memo that is not there": lambda: b"j\xff\xff\xff\xff",
    "text memo that is no number": lambda: b"gabc\n",
    "unknown opcode": lambda: b"\xff",
    "buffer outside of the file": lambda: b"\x97",
    "tuple that holds itself as a key": lambda: b"}](h\xf0q\xf0t",
}
"""What no unpickler can make sense of."""

PASSED_OVER: dict[str, Callable[[], bytes]] = {
    "memo index 2**32-1": lambda: NONE + b"r\xff\xff\xff\xff",
    "memo index in text": lambda: NONE + b"p99999999999999999999\n",
    "frame of an exabyte": lambda: b"\x95" + struct.pack("<Q", 2**60) + NONE,
    "number of a megabyte": lambda: number(256**1_000_000),
    "number of a million digits": lambda: b"I" + b"9" * 1_000_000 + b"\n",
    "deep tuples as a key": lambda: entry(nested_tuples(200_000), NONE),
    "deep tuples in a set": lambda: b"\x8f(" + nested_tuples(200_000) + b"\x90",
    "deep tuples": lambda: nested_tuples(1_000_000),
    "deep lists": lambda: b"]" * 1_000_001 + b"a" * 1_000_000,
    "deep dictionaries": lambda: b"}" + b"K\x01}" * 1_000_000 + b"s" * 1_000_000,
    "deep calls": lambda: named("collections", "OrderedDict") * 300_000 + b")" + b"R\x85" * 299_999 + b"R",
    "billion laughs": lambda: laughs(100),
    "billion laughs of tuples as a key": lambda: b"}" + b")" + b"q\xf02\x86" * 100 + NONE + b"s",
    "list that holds itself": lambda: b"]q\xf0h\xf0a",
    "keys of one hash": lambda: b"}(" + b"".join(number(n * COLLIDING) + NONE for n in range(1, 60_000)) + b"u",
    "set of one hash": lambda: b"\x8f(" + b"".join(number(n * COLLIDING) for n in range(1, 60_000)) + b"\x90",
    "tuples of one hash": lambda: (
        b"}(" + b"".join(number(n * COLLIDING) + b"\x85" + NONE for n in range(1, 60_000)) + b"u"
    ),
    "bytes(2**40)": lambda: call(named("builtins", "bytes"), number(2**40)),
    "bytearray(2**40)": lambda: call(named("builtins", "bytearray"), number(2**40)),
    "list(range(2**40))": lambda: call(named("builtins", "list"), call(named("builtins", "range"), number(2**40))),
    "Counter(range(2**40))": lambda: call(
        named("collections", "Counter"), call(named("builtins", "range"), number(2**40))
    ),
    "deque(range(2**40))": lambda: call(named("collections", "deque"), call(named("builtins", "range"), number(2**40))),
    "Decimal": lambda: call(named("builtins", "int"), call(named("decimal", "Decimal"), text("1e999999999"))),
    "numpy array of exabytes": lambda: array(several(number(2**31), number(2**31)), b"", b"C\x04abcd"),
    "numpy array that is too long": lambda: array(several(number(2**40)), b"", b"C\x04abcd"),
    "numpy array of negative size": lambda: array(several(number(-1)), b"", b"C\x04abcd"),
    "numpy array of 100,000 dimensions": lambda: array(several(*[number(1)] * 100_000), b"", b"C\x04abcd"),
    "numpy type of numpy types": lambda: call(
        named("numpy", "dtype"), listed(*[several(text("a"), text("f4"))] * 9999)
    ),
}
"""What a reader may refuse, or pass over beside intact weights."""


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle-4"])
@pytest.mark.parametrize("name", SENSELESS)
def test_senseless_opcodes(examine: Examine, weights: Tensors, tmp_path: Path, name: str, container: str) -> None:
    CONTAINERS[container](tmp_path / "a.pth", weights, Raw(SENSELESS[name]()))
    found = examine(tmp_path / "a.pth")
    if container == "npz":
        refused_or_right(found, weights)
    else:
        refused(found)


@pytest.mark.parametrize("container", ["zip", "legacy-system", "pickle-4"])
@pytest.mark.parametrize("name", PASSED_OVER)
def test_opcodes_that_ask_for_much(
    examine: Examine, weights: Tensors, tmp_path: Path, name: str, container: str
) -> None:
    CONTAINERS[container](tmp_path / "a.pth", weights, Raw(PASSED_OVER[name]()))
    refused_or_right(examine(tmp_path / "a.pth"), weights)


def test_a_hundred_thousand_foreign_names(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    names = Raw(listed(*(named("evil", f"name{index}") for index in range(100_000))))
    refused(examine(save_torch(tmp_path / "a.pth", mmpretrain(weights, names))))


# Tensors.

FLOATS = several(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(9408)) + PERSISTENT


def tensor(storage: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    ends = (several(*map(number, shape)), several(*map(number, strides)), b"\x89", b"}")
    return call(named("torch._utils", "_rebuild_tensor_v2"), storage, number(offset), *ends)


def claimed(length: int) -> bytes:
    return several(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(length)) + PERSISTENT


def sparse(index: int) -> bytes:
    indices = several(text("storage"), named("torch", "LongStorage"), text("1"), text("cpu"), number(1)) + PERSISTENT
    index_tensor = call(
        named("torch._utils", "_rebuild_tensor_v2"),
        indices,
        number(0),
        several(number(4), number(1)),
        several(number(0), number(0)),
        b"\x89",
        b"}",
    )
    shape = several(number(64), number(3), number(7), number(7 + index * 0))
    return call(
        named("torch._utils", "_rebuild_sparse_tensor"),
        named("torch", "sparse_coo"),
        several(index_tensor, tensor(FLOATS, 0, (1,), (1,)), shape),
    )


SHAPE = (64, 3, 7, 7)
STRIDES = (147, 49, 7, 1)
WEIGHTS: dict[str, bytes] = {
    "storage of a terabyte": tensor(claimed(2**40), 0, SHAPE, STRIDES),
    "storage of negative length": tensor(claimed(-1), 0, SHAPE, STRIDES),
    "storage longer than 64 bits": tensor(claimed(2**70), 0, SHAPE, STRIDES),
    "storage of a length of 10,000 digits": tensor(claimed(10**10_000), 0, SHAPE, STRIDES),
    "exabytes of one element": tensor(FLOATS, 0, (2**31, 2**31), (0, 0)),
    "more than 64 bits": tensor(FLOATS, 0, (2**62, 2**62, 2**62), (0, 0, 0)),
    "size of 10,000 digits": tensor(FLOATS, 0, (10**10_000,), (0,)),
    "negative stride": tensor(FLOATS, 9407, SHAPE, (-147, -49, -7, -1)),
    "negative offset": tensor(FLOATS, -1, SHAPE, STRIDES),
    "negative size": tensor(FLOATS, 0, (-64, 3, 7, -7), STRIDES),
    "outside by its offset": tensor(FLOATS, 1, SHAPE, STRIDES),
    "outside by its stride": tensor(FLOATS, 0, SHAPE, (148, 49, 7, 1)),
    "stride that wraps around": tensor(FLOATS, 0, SHAPE, (2**62, 2**62, 2**62, 2**62)),
    "offset that wraps around": tensor(FLOATS, 2**64 - 4, SHAPE, STRIDES),
    "a million dimensions": tensor(FLOATS, 0, (1,) * 1_000_000, (1,) * 1_000_000),
    "strides fewer than sizes": tensor(FLOATS, 0, SHAPE, (147,)),
    "sizes that are no numbers": call(
        named("torch._utils", "_rebuild_tensor_v2"), FLOATS, number(0), text("ab"), text("cd"), b"\x89", b"}"
    ),
    "sparse": sparse(0),
    "sparse, indices that are floats": sparse(1),
    "parameter of itself": call(named("torch._utils", "_rebuild_parameter"), NONE, b"\x88", b"}"),
    "tensor of a tensor": tensor(tensor(FLOATS, 0, SHAPE, STRIDES), 0, SHAPE, STRIDES),
    "tensor without a storage": tensor(NONE, 0, SHAPE, STRIDES),
    "numpy array of exabytes": array(several(number(2**31), number(2**31)), b"", b"C\x04abcd"),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_tensors_that_claim_too_much(
    examine: Examine, weights: Tensors, tmp_path: Path, name: str, zipped: bool
) -> None:
    # The classifier gives storages 0 and 1 to the file, which the weight that is no weight names.
    first = {"head.0": torch.rand(9408), "head.1": torch.zeros(9408, dtype=torch.int64)}
    content = mmpretrain({**weights, "conv1.weight": Raw(WEIGHTS[name])}, {})
    # A reader that keeps storages by their names must see the wrong claim before the right one.
    content = {"early": Raw(WEIGHTS[name]), "first": first, **content}
    path = save_torch(tmp_path / "a.pth", content, zipped)
    if not zipped:
        data = path.read_bytes()
        keys = re.findall(rb"X(.)\x00\x00\x00(\d+)", data)
        assert keys, "torch names storages by their addresses"
        length, key = keys[0]
        path.write_bytes(data.replace(b"X\x01\x00\x00\x000", b"X" + length + b"\x00\x00\x00" + key))
    refused(examine(path))


def test_sparse_tensors_out_of_range(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    found = torch.sparse_coo_tensor(torch.full((4, 1), 2**40), torch.ones(1), SHAPE, check_invariants=False)
    refused(examine(save_torch(tmp_path / "a.pth", mmpretrain({**weights, "conv1.weight": found}, {}))))
    refused(examine(save_torch(tmp_path / "b.pth", mmpretrain(weights, {}) | {"state_dict": {"a": found}})))


def test_expanded_weights(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    few = {**weights, "conv1.weight": torch.ones(1).expand(2**31, 2**31)}
    refused(examine(save_torch(tmp_path / "a.pth", mmpretrain(few, {}))))
    # Honest: all of a batch norm's weights are one number.
    few = {**weights, "bn1.weight": torch.ones(1).expand(64)}
    assert examine(save_torch(tmp_path / "b.pth", mmpretrain(few, {})))["digest"] == digest(few)


# Zips.


def patched(path: Path, entry_name: str, form: str, local: int, central: int, value: int) -> None:
    """Overwrites a field of one entry, in its local header (unless negative) and in the zip's table of contents."""
    with zipfile.ZipFile(path) as archive:
        found = next(entry for entry in archive.infolist() if entry.filename.endswith(entry_name))
        start = archive.start_dir
    data = bytearray(path.read_bytes())
    if local >= 0:
        struct.pack_into(form, data, found.header_offset + local, value)
    place = data.index(found.filename.encode(), start) - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    struct.pack_into(form, data, place + central, value)
    path.write_bytes(data)


def good_zip(path: Path, weights: Tensors) -> Path:
    return save_torch(path, mmpretrain(weights, {}))


@pytest.mark.parametrize("entry_name", ["/data.pkl", "/data/0"])
@pytest.mark.parametrize("field", ["size", "packed size", "both", "offset", "encrypted", "method", "checksum"])
def test_zip_entries_that_lie(examine: Examine, weights: Tensors, tmp_path: Path, entry_name: str, field: str) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    rezipped(path, {})  # Python writes sizes into the local headers, torch behind the data.
    if field in ("size", "both"):
        patched(path, entry_name, "<I", 22, 24, 2**32 - 2)
    if field in ("packed size", "both"):
        patched(path, entry_name, "<I", 18, 20, 2**32 - 2)
    if field == "offset":
        patched(path, entry_name, "<I", -1, 42, 2**31)
    if field == "encrypted":
        patched(path, entry_name, "<H", 6, 8, 1)
    if field == "method":
        patched(path, entry_name, "<H", 8, 10, 99)
    if field == "checksum":
        patched(path, entry_name, "<I", 14, 16, 12345)
    refused(examine(path))


@pytest.mark.parametrize("entry_name", ["data.pkl", "data/0"])
def test_deflate_bombs(examine: Examine, weights: Tensors, tmp_path: Path, entry_name: str) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    rezipped(path, {entry_name: packed})
    patched(path, f"/{entry_name}", "<H", 8, 10, zipfile.ZIP_DEFLATED)
    patched(path, f"/{entry_name}", "<I", 22, 24, 2**30)
    patched(path, f"/{entry_name}", "<I", 14, 16, 0)
    refused(examine(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_by_other_methods(examine: Examine, weights: Tensors, tmp_path: Path, method: int) -> None:
    path = rezipped(good_zip(tmp_path / "a.pth", weights), {"data.pkl": bytes(2**27)}, method)
    refused(examine(path))


@pytest.mark.parametrize("entry_name", ["data.pkl", "data/0", "byteorder"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(examine: Examine, weights: Tensors, tmp_path: Path, entry_name: str) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    with zipfile.ZipFile(path, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/{entry_name}"))
        archive.writestr(name, archive.read(name)[::-1])
    refused(examine(path))


def test_two_pickles(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps({}, protocol=2))
    refused(examine(path))


def test_overlapping_entries(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = rezipped(good_zip(tmp_path / "a.pth", weights), {})
    with zipfile.ZipFile(path) as archive:
        first = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
    patched(path, "/data/1", "<I", -1, 42, first.header_offset)
    refused(examine(path))


def test_a_kernel_under_a_million_names(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    # D. Fifield, "A better zip bomb": every entry names the same packed data.
    path = rezipped(good_zip(tmp_path / "a.pth", weights), {"byteorder": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as archive:
        kernel = next(entry for entry in archive.infolist() if entry.filename.endswith("/byteorder"))
        for index in range(3_000):
            other = zipfile.ZipInfo(kernel.filename.replace("byteorder", f"data/{1000 + index}"))
            other.header_offset, other.CRC = kernel.header_offset, kernel.CRC
            other.compress_size, other.file_size = kernel.compress_size, kernel.file_size
            other.compress_type = kernel.compress_type
            archive.filelist.append(other)
        archive._didModify = True  # type: ignore[attr-defined]
    refused(examine(path))


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a\\..\\evil", "archive/../../evil", "C:evil", "a\0b", "x" * 60000]
)
def test_names_in_a_zip_lead_nowhere(examine: Examine, weights: Tensors, tmp_path: Path, name: str) -> None:
    (tmp_path / "deep").mkdir()
    path = good_zip(tmp_path / "deep" / "a.pth", weights)
    before = set(tmp_path.rglob("*"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    # Nothing is unpacked, so such a name beside the weights does no harm.
    refused_or_right(examine(path), weights)
    rezipped(path, {}, names=lambda found: f"{name}/{found}" if "evil" in name else found)
    refused_or_right(examine(path), weights)
    assert set(tmp_path.rglob("*")) == before


def test_a_storage_key_leads_nowhere(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(9408 * 4))
    for key in (str(tmp_path / "secret"), "../../secret", "../data.pkl", "0/../0", ""):
        pid = (
            several(text("storage"), named("torch", "FloatStorage"), text(key), text("cpu"), number(9408)) + PERSISTENT
        )
        content = mmpretrain({**weights, "conv1.weight": Raw(tensor(pid, 0, SHAPE, STRIDES))}, {})
        refused(examine(save_torch(tmp_path / "a.pth", content)))


def test_two_hundred_thousand_entries(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = good_zip(tmp_path / "a.pth", weights)
    with zipfile.ZipFile(path, "a") as archive:
        for index in range(60_000):
            archive.writestr(f"archive/more/{index}", b"")
    refused_or_right(examine(path), weights)


# Tars.


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


SPECIAL = {
    "symbolic link": member("link.pth", tarfile.SYMTYPE, "/etc/passwd"),
    "symbolic link to the weights": member("link.pth", tarfile.SYMTYPE, "checkpoint.pth"),
    "hard link": member("link.pth", tarfile.LNKTYPE, "/etc/passwd"),
    "device": member("device.pth", tarfile.CHRTYPE),
    "FIFO": member("fifo.pth", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_members_of_a_tar_that_are_no_files(examine: Examine, weights: Tensors, tmp_path: Path, kind: str) -> None:
    inner = good_zip(tmp_path / "inner", weights).read_bytes()
    refused_or_right(examine(tar_of(tmp_path / "a.tar", {"checkpoint.pth": inner}, SPECIAL[kind])), weights)
    refused(examine(tar_of(tmp_path / "b.tar", {}, SPECIAL[kind])))


@pytest.mark.parametrize("name", ["../x.pth", "/x.pth", "a/../../x.pth"])
def test_names_in_a_tar_lead_nowhere(examine: Examine, weights: Tensors, tmp_path: Path, name: str) -> None:
    inner = good_zip(tmp_path / "inner", weights).read_bytes()
    path = tmp_path / "deep" / "a.tar"
    path.parent.mkdir()
    before = {*tmp_path.rglob("*"), path}
    refused_or_right(examine(tar_of(path, {name: inner})), weights)
    assert set(tmp_path.rglob("*")) == before
    assert not Path("/x.pth").exists()


def test_tars_with_too_much(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    inner = good_zip(tmp_path / "inner", weights).read_bytes()
    refused(examine(tar_of(tmp_path / "two.tar", {"a.pth": inner, "b.pth": inner})))
    refused_or_right(
        examine(tar_of(tmp_path / "many.tar", {"a.pth": inner, **{f"{n}": b"" for n in range(100_000)}})), weights
    )
    innermost = inner
    for _ in range(50):
        innermost = tar_of(tmp_path / "nested.tar", {"a.pth": innermost}).read_bytes()
    refused(examine(tmp_path / "nested.tar"))
    huge = member("a.pth", tarfile.REGTYPE)
    huge.size = 2**50
    refused(examine(tar_of(tmp_path / "huge.tar", {}, huge)))


def test_a_sparse_file_in_a_tar(examine: Examine, tmp_path: Path) -> None:
    information = tarfile.TarInfo("a.pth")
    block = bytearray(information.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = tarfile.GNUTYPE_SPARSE
    block[386:410] = b"00000000000\0" + b"00000000000\0"
    block[483:495] = b"\x80" + bytes(3) + (2**40).to_bytes(8, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "a.tar").write_bytes(bytes(block) + bytes(1024))
    refused(examine(tmp_path / "a.tar"))
    pax = tarfile.TarInfo("a.pth")
    pax.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(pax)
    refused(examine(tmp_path / "b.tar"))


# safetensors and npz.


def headed(header: bytes, data: bytes = bytes(64), length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def one(shape: list[int], begin: int, end: int, kind: str = "F32") -> bytes:
    return json.dumps({"conv1.weight": {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}}).encode()


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
HEADERS: dict[str, bytes] = {
    "length of an exabyte": headed(b"{}", length=2**60),
    "length of 64 bits": headed(b"{}", length=2**64 - 1),
    "length zero": headed(b"", b"{" + bytes(64)),
    "outside of the file": headed(one([64, 3, 7, 7], 0, 37632)),
    "a huge tensor": headed(one([2**30, 2**30], 0, 2**62)),
    "a huge tensor in few bytes": headed(one([2**30, 2**30], 0, 4)),
    "sizes that wrap around": headed(one([2**32, 2**32], 0, 0)),
    "negative": headed(one([-1], 4, 0)),
    "no numbers": headed(one(["a"], 0, 4)),  # type: ignore[list-item]
    "floats": headed(one([1.5], 0, 4)),  # type: ignore[list-item]
    "unknown type": headed(one([1], 0, 4, "F3")),
    "names twice": headed(TWICE, bytes(8)),
    "overlapping": headed(TWICE.replace(b'"a"', b'"b"', 1).replace(b"[4,8]", b"[2,6]"), bytes(8)),
    "deep JSON": headed(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"),
    "deep JSON objects": headed(b'{"a":' * 500_000 + b"1" + b"}" * 500_000),
    "number of a million digits": headed(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 1_000_000 + b'],"data_offsets":[0,4]}}'
    ),
    "a list": headed(b'{"a":[]}'),
    "no JSON": headed(b"{abc}"),
    "not closed": headed(b"{"),
    "metadata that is a list": headed(b'{"__metadata__":[1]}'),
    "a million dimensions": headed(one([1] * 1_000_000, 0, 4)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_safetensors_that_lie(examine: Examine, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(HEADERS[name])
    refused(examine(tmp_path / "a.safetensors"))


def test_safetensors_whose_weights_are_twice_there(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    data = save(weights)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip()
    found = json.loads(header)
    twin = b'{"conv1.weight":' + json.dumps(found["conv1.weight"]).encode() + b","
    (tmp_path / "a.safetensors").write_bytes(headed(header.replace(b"{", twin, 1), data[8 + len(header) :]))
    refused(examine(tmp_path / "a.safetensors"))
    found["bn1.weight"] = found["bn1.bias"]
    (tmp_path / "b.safetensors").write_bytes(headed(json.dumps(found).encode(), data[8 + len(header) :]))
    refused(examine(tmp_path / "b.safetensors"))


def literal(shape: str, kind: str = "'<f4'") -> str:
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}"


ARRAYS: dict[str, str] = {
    "huge": literal("(2147483648, 2147483648)"),
    "huge in one dimension": literal("(1099511627776,)"),
    "more than 64 bits": literal(f"({2**70},)"),
    "wraps around": literal("(4294967296, 4294967296)"),
    "negative": literal("(-1,)"),
    "no tuple": literal("7"),
    "true": literal("(True,)"),
    "code": literal("(__import__('os').mkdir('evil'),)"),
    "deep": "(" * 5_000 + ")" * 5_000,
    "deep signs": "-" * 60_000 + "1",
    "power": literal("(9**9**9**9,)"),
    "long product": literal("(" + "*".join(["99999"] * 5_000) + ",)"),
    "objects": literal("(1,)", "'|O'"),
    "type of objects": literal("(1,)", "[('a', '|O')]"),
    "evil type": literal("(1,)", "'f4,' * 9"),
    "text type of a terabyte": literal("(1,)", "'<U1099511627776'"),
    "not closed": "{'descr': '<f4'",
    "names twice": "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (2,)}",
    "a million dimensions": literal("(" + "1," * 30_000 + ")"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_npz_that_lie(examine: Examine, weights: Tensors, tmp_path: Path, name: str) -> None:
    path = write_npz(tmp_path / "a.npz", weights)
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    entries["conv1.weight.npy"] = npy(bytes(64), ARRAYS[name])
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    refused(examine(path))
    assert not (ROOT / "evil").exists()


def test_an_npz_bomb(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", {name: value for name, value in weights.items() if name != "conv1.weight"})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("conv1.weight.npy", npy(bytes(2**28), literal("(64, 3, 7, 7)")))
    refused(examine(path))


def test_numpy_arrays_in_a_pickle_that_lie(examine: Examine, weights: Tensors, tmp_path: Path) -> None:
    for shape in ((2**31, 2**31), (2**40,), (-64, 3, 7, -7), (64, 3, 7, 7)):
        lie = Raw(array(several(*map(number, shape)), b"", b"C\x04abcd"))
        (tmp_path / "a.pkl").write_bytes(assemble(mmpretrain({**arrays(weights), "conv1.weight": lie}, {}), 4))
        refused(examine(tmp_path / "a.pkl"))
    strange = np.empty(1, dtype=object)
    (tmp_path / "a.pkl").write_bytes(assemble(mmpretrain({**arrays(weights), "conv1.weight": strange}, {}), 4))
    refused(examine(tmp_path / "a.pkl"))


# What is no file.


def test_what_is_no_regular_file(examine: Examine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "holes").write_bytes(b"")
    os.truncate(tmp_path / "holes", 2**40)
    for name in ("fifo", "zero", "loop", "nowhere", ".", "holes", "fifo/a"):
        refused(examine(tmp_path / name))


@pytest.mark.parametrize(
    "head", [b"PK\x03\x04", b"\x80\x02", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x93NUMPY"]
)
def test_holes_behind_a_signature(examine: Examine, tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(head)
    os.truncate(tmp_path / "a.pth", 2**40)
    refused(examine(tmp_path / "a.pth"))
