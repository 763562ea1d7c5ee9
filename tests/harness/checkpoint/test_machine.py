"""The pickle machine against Python's pickler: the same plain values, and nothing else comes to life."""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkpoint.pickles import machine
from harness.checkpoint.pickles.machine import Machine
from harness.checkpoint.pickles.stand_ins import STAND_INS
from harness.checkpoint.pickles.values import Inert, listed
from harness.checkpoint.stored import DamagedError, Weight


def run(data: bytes) -> Any:
    return Machine(io.BytesIO(data), len(data), STAND_INS).load()


def foreign(data: bytes) -> set[str]:
    made = Machine(io.BytesIO(data), len(data), STAND_INS)
    made.load()
    return made.foreign


plain_keys = st.none() | st.booleans() | st.integers(-(2**59), 2**59) | st.text() | st.binary()
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(plain_keys, inner)
        | st.sets(plain_keys)
        | st.frozensets(plain_keys)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@given(data=st.data())
def test_plain_values_come_back(protocol: int, data: st.DataObject) -> None:
    value = data.draw(plain)
    found = run(pickle.dumps(value, protocol=protocol))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_one_object_twice_is_one_object(protocol: int) -> None:
    shared: list[Any] = [1]
    loop: dict[str, Any] = {"a": shared, "b": shared}
    loop["self"] = loop
    found = run(pickle.dumps(loop, protocol=protocol))
    assert found["a"] is found["b"]
    assert found["self"] is found


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        collections.OrderedDict(b=1, a=2),
        collections.Counter(a=2),
        collections.defaultdict(list, a=[1]),
        bytearray(b"abc"),
        b"\xff\x00 bytes",
    ],
)
def test_their_relatives_become_plain(protocol: int, value: Any) -> None:
    data = pickle.dumps(value, protocol=protocol)
    assert foreign(data) == set()
    assert run(data) == value


def test_the_long_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("x" * 300, "ü" * 70000, b"y" * 70000, 2**3000, list(range(70000)), {n: n for n in range(3000)}):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert run(pickle.dumps(value, protocol=protocol)) == value


def test_python_2_text_is_latin1() -> None:
    assert run(b"U\x02\xffa.") == "\xffa"
    assert run(b"T\x02\x00\x00\x00\xffa.") == "\xffa"
    assert run(b"S'a\\n\\xff'\n.") == "a\n\xff"
    assert run(b"I01\n.") is True
    assert run(b"L5L\n.") == 5
    assert run(b"V\\u00fc\n.") == "ü"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
        np.arange(6, dtype=">f4"),
        np.zeros((0, 3), dtype=np.float16),
        np.array(3, dtype=np.int64),
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
    ],
)
def test_arrays(protocol: int, array: Any) -> None:
    found = run(pickle.dumps({"w": array}, protocol=protocol))["w"]
    assert isinstance(found, Weight)
    assert found.shape == array.shape
    assert np.array_equal(found.read().numpy(), array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_objects_have_no_values(protocol: int) -> None:
    found = run(pickle.dumps(np.array([{}, []], dtype=object), protocol=protocol))
    assert found.dtype == "object"
    with pytest.raises(DamagedError):
        found.read()


class Strange:
    """Of a module that is not on the list."""


def test_strangers_are_inert_and_named() -> None:
    data = pickle.dumps({"a": Strange(), "b": 1, Strange: 2})
    made = Machine(io.BytesIO(data), len(data), STAND_INS)
    found = made.load()
    assert made.foreign == {f"{__name__}.Strange"}
    assert found["b"] == 1
    assert isinstance(found["a"], Inert)
    assert sum(isinstance(key, Inert) for key in found) == 1


def test_names_are_listed_for_a_terminal() -> None:
    assert listed({"b.c", "a\x1b.d"}) == "a\\x1b.d, b.c"
    assert listed({f"m{number:02}.f" for number in range(20)}).endswith("m11.f and 8 more")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"N",
        b".",
        b"\x80",
        b"a.",
        b"]N\x85\x87.",
        b"}Na.",
        b"]NNs.",
        b"(Nu.",
        b"}(Nu.",
        b"h\x05.",
        b"X\xff\xff\xff\x7fabc.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.",
        b"T\xff\xff\xff\xff.",
        b"\x8b\x00\x00\x00\x80.",
        b"\x8b\x00\x10\x00\x00" + bytes(4096) + b".",
        b"I" + b"9" * 5000 + b"\n.",
        b"F" + b"9" * 5000 + b"\n.",
        b"Ix\n.",
        b"Sx\n.",
        b"Cabc",
        b"P0\n.",
        b"NQ.",
        b"\x82\x01.",
        b"\x97.",
        b"\x98.",
        b"NN\x93.",
        b"X\x01\x00\x00\x00\xff.",
        b"ctorch._utils\n_rebuild_tensor_v2\nNR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.",
        b"cnumpy.core.multiarray\n_reconstruct\n)RNb.",
    ],
)
def test_damage(data: bytes) -> None:
    with pytest.raises(DamagedError):
        run(data)


def test_damage_does_not_hide_what_was_named() -> None:
    with pytest.raises(DamagedError, match=r"it wants to call posix\.system"):
        run(b"cposix\nsystem\n(X\x01\x00\x00\x00aNs.")


def test_operations_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_OPERATIONS", 100)
    run(b"]" * 99 + b".")
    with pytest.raises(DamagedError, match="more than 100 operations"):
        run(b"]" * 101 + b".")


def test_keys_that_cost_too_much_become_keys_of_nothing() -> None:
    deep: Any = ()
    for _ in range(100):
        deep = (deep,)
    found = run(pickle.dumps({deep: 1, 2**61: 2, 1.5: 3, "a": 4, 7: 5}))
    assert [key for key in found if not isinstance(key, Inert)] == ["a", 7]
    assert len(found) == 5
