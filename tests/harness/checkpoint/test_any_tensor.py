"""Whatever is wrong with any one of the 265 tensors, the refusal names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.backbone import tensor_shapes
from harness.checkpoint.coverage import check
from harness.checkpoint.formats.catalogue import convert
from results.errors import HarnessError
from tests.harness.checkpoint.conftest import in_memory, prefixed

Tensors = dict[str, torch.Tensor]
NAMES = sorted(tensor_shapes())
LAYOUTS: dict[str, Callable[[Tensors], dict[str, Any]]] = {
    "torchvision": lambda weights: dict(weights),
    "mmpretrain": lambda weights: {"state_dict": prefixed("backbone.", weights)},
    "moco": lambda weights: {"state_dict": prefixed("module.encoder_q.", weights)},
}


@pytest.fixture(scope="module")
def whole() -> Tensors:
    """Zeros without memory: names and shapes, with values that are legal."""
    return {name: torch.zeros(()).expand(shape) for name, shape in tensor_shapes().items()}


def refusal(weights: Tensors, layout: str) -> str:
    with pytest.raises(HarnessError) as caught:
        check(convert(in_memory(LAYOUTS[layout](weights)), "some.pth"), "some.pth")
    assert caught.value.where == "some.pth"
    return caught.value.what


names = st.sampled_from(NAMES)
layouts = st.sampled_from(sorted(LAYOUTS))


def test_there_are_265(whole: Tensors) -> None:
    assert len(NAMES) == 265
    for layout in LAYOUTS.values():
        assert check(convert(in_memory(layout(whole)), "x"), "x").coverage == {"convolutions": 53, "batch_norms": 53}


@pytest.mark.parametrize("name", NAMES)
def test_dropped(whole: Tensors, name: str) -> None:
    assert f"missing           {name}" in refusal({key: whole[key] for key in whole if key != name}, "mmpretrain")


@settings(deadline=None)
@given(name=names, layout=layouts, letter=st.sampled_from("xX_1é"), data=st.data())
def test_renamed(whole: Tensors, name: str, layout: str, letter: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name)))
    changed = name[:place] + letter + name[place:]
    weights = {(changed if key == name else key): value for key, value in whole.items()}
    said = refusal(weights, layout)
    assert name in said
    assert "missing" in said


@settings(deadline=None)
@given(name=names, layout=layouts, data=st.data())
def test_reshaped(whole: Tensors, name: str, layout: str, data: st.DataObject) -> None:
    shape = tensor_shapes()[name]
    other = tuple(data.draw(st.lists(st.integers(0, 3), max_size=5)))
    kinds = [other, shape[:-1], (*shape, 1), (1, *shape), (*shape[:-1], shape[-1] + 1)]
    found = data.draw(st.sampled_from([kind for kind in kinds if kind != shape]))
    said = refusal({**whole, name: torch.zeros(()).expand(found)}, layout)
    assert f"{name} found {list(found)}, expected {list(shape)}" in said


@settings(deadline=None)
@given(name=names, layout=layouts, value=st.sampled_from([float("nan"), float("inf"), float("-inf")]), data=st.data())
def test_poisoned(whole: Tensors, name: str, layout: str, value: float, data: st.DataObject) -> None:
    spoilt = torch.zeros(tensor_shapes()[name])
    spoilt.view(-1)[data.draw(st.integers(0, spoilt.numel() - 1))] = value
    assert f"not finite        {name} (1 of {spoilt.numel()} values)" in refusal({**whole, name: spoilt}, layout)


@settings(deadline=None)
@given(name=names, layout=layouts, data=st.data())
def test_transposed(whole: Tensors, name: str, layout: str, data: st.DataObject) -> None:
    value = whole[name]
    order = data.draw(st.permutations(range(value.ndim)))
    turned = value.permute(*order)
    if turned.shape == value.shape:
        return
    assert f"misshapen         {name} found {list(turned.shape)}" in refusal({**whole, name: turned}, layout)


@settings(deadline=None)
@given(first=names, second=names, layout=layouts)
def test_swapped(whole: Tensors, first: str, second: str, layout: str) -> None:
    if whole[first].shape == whole[second].shape:
        return
    said = refusal({**whole, first: whole[second], second: whole[first]}, layout)
    assert "misshapen" in said
    assert first in said
    assert second in said


@settings(deadline=None)
@given(name=names, layout=layouts)
def test_replaced_by_no_tensor(whole: Tensors, name: str, layout: str) -> None:
    weights: dict[str, Any] = {**whole, name: "weights"}
    assert f"{name} is a str" in refusal(weights, layout)
