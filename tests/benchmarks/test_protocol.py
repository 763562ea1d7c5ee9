"""A protocol's hash stands with every number: it must not change by accident, and must change with every fact."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.classification.imagenet_knn import ImagenetKnn
from benchmarks.protocol import Field, Protocol
from results.errors import HarnessError

VALUES: dict[str, Any] = {
    "iterations": 24000,
    "learning_rate": 0.02,
    "milestones": (18000, 22000),
    "costs": (0.1, 1.0),
    "nesterov": False,
    "optimizer": "SGD",
    "warm_up": None,
    "layers": (),
}


def protocol(**changes: Any) -> Protocol:
    return Protocol("some_benchmark", 2, {name: Field(value, "a paper") for name, value in (VALUES | changes).items()})


def test_the_hash_is_what_it_was() -> None:
    text = (
        '{"fields":{"costs":[0.1,1.0],"iterations":24000,"layers":[],"learning_rate":0.02,"milestones":[18000,22000],'
        '"nesterov":false,"optimizer":"SGD","warm_up":null},"name":"some_benchmark","version":2}'
    )
    assert protocol().hash == hashlib.sha256(text.encode()).hexdigest()
    # Published numbers carry such hashes: should this one ever change, they all lose their protocol.
    assert protocol().hash == "d8e85a6968a456dfea1ab183cf331f89c12b751bd6081f83fd6ce2f3b4e3082a"


def test_what_the_hash_is_made_of() -> None:
    known = protocol().hash
    base = protocol()
    backwards = Protocol("some_benchmark", 2, dict(reversed(list(base.fields.items()))))
    resourced = Protocol("some_benchmark", 2, {name: Field(value, "elsewhere") for name, value in VALUES.items()})
    for same in (backwards, resourced, dataclasses.replace(base, profile="smoke", modified=("costs",))):
        assert same.hash == known
    changed = [
        dataclasses.replace(base, name="some_benchmark@variant"),
        dataclasses.replace(base, version=3),
        protocol(milestones=(22000, 18000)),
        protocol(learning_rate=0.020000000000000004),
        protocol(nesterov=True),
        protocol(extra=1),
    ]
    assert len({known, *(other.hash for other in changed)}) == 1 + len(changed)


def test_replace() -> None:
    replaced = protocol().replace({"iterations": 10, "milestones": [5, 8]}, "--set", modified=("iterations",))
    assert replaced.values() == VALUES | {"iterations": 10, "milestones": (5, 8)}
    assert replaced.fields["iterations"].source == "--set"
    assert replaced.fields["costs"].source == "a paper"
    assert replaced.modified == ("iterations",)
    assert replaced.hash != protocol().hash
    assert protocol()["iterations"] == 24000, "the original must stay as it was"
    back = replaced.replace({"iterations": 24000, "milestones": (18000, 22000)}, "--set")
    assert back.hash == protocol().hash


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(HarnessError) as caught:
        protocol().replace({"iteration": 10}, "--set")
    assert "has no field 'iteration'" in caught.value.what
    assert caught.value.where == "some_benchmark.iteration"
    assert "did you mean 'iterations'" in caught.value.mend


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", "ten"),
        ("iterations", 10.5),
        ("iterations", True),
        ("iterations", None),
        ("learning_rate", "0.1"),
        ("learning_rate", True),
        ("milestones", 5),
        ("milestones", "18000,22000"),
        ("milestones", [18000, "22000"]),
        ("milestones", [1.5]),
        ("nesterov", 1),
        ("nesterov", "false"),
        ("optimizer", 3),
        ("optimizer", None),
    ],
)
def test_a_value_of_another_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(HarnessError, match=f"field '{field}' of some_benchmark cannot be"):
        protocol().replace({field: value}, "--set")


@pytest.mark.parametrize(
    ("field", "value", "taken"),
    [
        ("learning_rate", 1, 1.0),
        ("costs", [1, 2], (1.0, 2.0)),
        ("costs", [], ()),
        ("warm_up", 500, 500),
        ("layers", ["layer4"], ("layer4",)),
        ("nesterov", True, True),
    ],
)
def test_a_value_of_the_same_kind_is_taken(field: str, value: object, taken: object) -> None:
    found = protocol().replace({field: value}, "--set")[field]
    assert found == taken
    assert type(found) is type(taken)


def test_an_integer_for_a_float_is_the_same_protocol() -> None:
    assert protocol().replace({"learning_rate": 1}, "--set").hash == protocol(learning_rate=1.0).hash


@pytest.mark.parametrize("value", [0, -1])
def test_numbers_that_have_to_be_positive(value: int) -> None:
    protocol(learning_rate_steps=1, iterations=1).require_positive("learning_rate_steps", "iterations")
    with pytest.raises(HarnessError) as caught:
        protocol(learning_rate_steps=1, iterations=value).require_positive("learning_rate_steps", "iterations")
    assert caught.value.what.endswith(f": iterations is {value}")
    assert caught.value.where == "some_benchmark.iterations"


def test_the_total_batch_is_that_of_the_ranks_together() -> None:
    protocol(ranks=4, batch_size_per_rank=8, batch_size=32).require_ranks()
    with pytest.raises(HarnessError, match="4 ranks of 8 make 32") as caught:
        protocol(ranks=4, batch_size_per_rank=8, batch_size=33).require_ranks()
    assert "some_benchmark.batch_size_per_rank" in caught.value.mend


def test_words_that_nothing_follows() -> None:
    protocol().require_choices({"optimizer": ("SGD", "LARS"), "a_field_that_it_lacks": ("nothing",)})
    with pytest.raises(HarnessError, match="optimizer cannot be 'SGB'") as caught:
        protocol(optimizer="SGB").require_choices({"optimizer": ("SGD", "LARS")})
    assert caught.value.where == "some_benchmark.optimizer"
    assert "did you mean 'SGD'" in caught.value.mend


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=5))
def test_round_trip_through_json(values: dict[str, Any]) -> None:
    before = Protocol("some_benchmark", 1, {name: Field(value, "a paper") for name, value in values.items()})
    after = Protocol.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after.hash == before.hash
    assert Protocol.from_dict(json.loads(json.dumps(after.to_dict()))) == after


def test_round_trip_keeps_everything() -> None:
    before = protocol().replace({"iterations": 10}, "--set", profile="smoke", modified=("iterations",))
    after = Protocol.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after == before
    assert after.stamp() == before.stamp()


def test_a_protocol_cannot_be_changed() -> None:
    fields = {"iterations": Field(1, "a paper")}
    frozen = Protocol("some_benchmark", 1, fields)
    fields["iterations"] = Field(2, "a paper")
    assert frozen["iterations"] == 1
    with pytest.raises(TypeError):
        frozen.fields["iterations"] = Field(2, "a paper")  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        frozen.version = 2  # type: ignore[misc]


def test_an_unknown_profile_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(HarnessError, match="did you mean 'smoke'"):
        ImagenetKnn().protocol(profile="smok")
