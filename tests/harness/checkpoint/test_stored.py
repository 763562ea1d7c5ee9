"""Tensors as they lie in a file, held against torch's own views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.checkpoint.stored import (
    ITEM_BYTES,
    DamagedError,
    InMemory,
    OddTensor,
    Reversed,
    Storage,
    StoredTensor,
    Weight,
    dense,
)


def storage(values: torch.Tensor) -> Storage:
    data = values.contiguous().view(torch.uint8).numpy().tobytes()
    return Storage(str(values.dtype).removeprefix("torch."), values.numel(), lambda: data)


@given(st.data())
def test_views_are_torchs(data: st.DataObject) -> None:
    base = torch.arange(200, dtype=torch.float32)
    shape = tuple(data.draw(st.lists(st.integers(0, 5), max_size=4)))
    strides = tuple(data.draw(st.integers(0, 9)) for _ in shape)
    offset = data.draw(st.integers(0, 20))
    found = StoredTensor(storage(base), shape, strides, offset)
    assert torch.equal(found.read(), base.as_strided(shape, strides, offset))
    assert found.shape == shape
    order = data.draw(st.permutations(range(len(shape))))
    if shape:
        assert torch.equal(found.permute(*order).read(), base.as_strided(shape, strides, offset).permute(*order))
    assert torch.equal(found.squeeze().read(), base.as_strided(shape, strides, offset).squeeze())
    assert found.read().is_contiguous()


@pytest.mark.parametrize("dtype", sorted(ITEM_BYTES))
def test_every_type_bit_by_bit(dtype: str) -> None:
    kind = getattr(torch, dtype)
    raw = torch.randint(0, 2 if dtype == "bool" else 100, (6,), dtype=torch.uint8)
    values = raw.to(kind)
    found = StoredTensor(storage(values), (2, 3), (3, 1)).read()
    assert found.dtype == kind
    assert torch.equal(found, values.reshape(2, 3))


def test_big_endian_numbers() -> None:
    array = np.array([1.5, -2.0], dtype=">f4")
    found = dense(Storage("float32", 2, array.tobytes, big_endian=True), (2,)).read()
    assert found.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("column_major", [False, True])
def test_dense_is_numpys_order(column_major: bool) -> None:
    array = np.arange(24, dtype=np.float64).reshape((2, 3, 4))
    data = array.tobytes("F" if column_major else "C")
    found = dense(Storage("float64", 24, lambda: data), (2, 3, 4), column_major).read()
    assert np.array_equal(found.numpy(), array)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((5,), (1,), 0),
        ((4,), (1,), 1),
        ((2, 2), (3, 1), 0),
        ((1,), (1,), 4),
        ((2,), (-1,), 3),
        ((-1,), (1,), 0),
        ((2,), (1,), -1),
        ((2.0,), (1,), 0),
        ((True,), (1,), 0),
        ((2,), (1, 1), 0),
        ((1,) * 17, (1,) * 17, 0),
        ((2**62, 2**62), (2**62, 1), 0),
    ],
)
def test_views_that_do_not_fit(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> None:
    with pytest.raises(DamagedError):
        StoredTensor(storage(torch.zeros(4)), shape, strides, offset)


def test_a_storage_with_too_few_bytes() -> None:
    with pytest.raises(DamagedError, match="only 7 bytes"):
        dense(Storage("float32", 2, lambda: bytes(7)), (2,)).read()


def test_a_storage_is_what_it_was_mentioned_as() -> None:
    found = storage(torch.zeros(4))
    assert found.claimed("float32", 4) is found
    for claim in (("float64", 4), ("float32", 3)):
        with pytest.raises(DamagedError, match="is mentioned as"):
            found.claimed(*claim)


def test_the_other_kinds() -> None:
    tensor = torch.rand(1, 3, 2)
    stored = StoredTensor(storage(tensor), (1, 3, 2), (6, 2, 1))
    weights: list[Weight] = [InMemory(tensor), stored]
    for weight in weights:
        assert torch.equal(Reversed(weight, 1).read(), tensor.flip(1))
        assert torch.equal(Reversed(weight, 1).permute(2, 1, 0).read(), tensor.flip(1).permute(2, 1, 0))
        assert torch.equal(Reversed(weight, 1).squeeze().read(), tensor.flip(1).squeeze())
        assert torch.equal(weight.permute(1, 2, 0).read(), tensor.permute(1, 2, 0))
    assert InMemory(tensor.to_sparse()).dtype == "sparse_coo"
    odd = OddTensor("quantised", (2,))
    assert (odd.permute(0).squeeze().dtype, odd.shape) == ("quantised", (2,))
    with pytest.raises(DamagedError, match="quantised"):
        odd.read()
