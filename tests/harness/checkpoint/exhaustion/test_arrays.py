"""Arrays of NumPy that lie of their size or type, in an .npz and in a pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.harness.checkpoint.assembly import Raw, arrays, assemble, mmpretrain, npy, number, several, write_npz
from tests.harness.checkpoint.exhaustion.conftest import ROOT, Examine, Tensors, refused
from tests.harness.checkpoint.exhaustion.opcodes import array


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
