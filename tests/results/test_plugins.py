"""What entry points bring, and what they must not."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.catalogue import VARIANTS_GROUP, catalogue
from benchmarks.protocol import Variant
from results.errors import HarnessError
from results.pages import sections
from results.pages.sections import ENTRY_POINT_GROUP, Section, all_sections
from results.plugins import plugins

WARM = Variant("a test", values={"temperature": 0.2})
HOT = Variant("a test", values={"temperatur": 0.2})
LAST = Section("mine", "detection", "Mine", "Mine")
STRAY = Section("mine", "detektion", "Mine", "Mine")
TWIN = Section("imagenet_knn", "classification", "Mine", "Mine")
NUMBER = 3

Bring = Callable[..., None]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bring]:
    """Puts entry points into a group."""

    def put(group: str, *pairs: tuple[str, str]) -> None:
        entries = [importlib.metadata.EntryPoint(name, f"{__name__}:{value}", group) for name, value in pairs]
        found = {group: entries}
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found.get(group, []))
        catalogue.cache_clear()
        all_sections.cache_clear()

    yield put
    catalogue.cache_clear()
    all_sections.cache_clear()


def test_a_variant_belongs_to_its_benchmark_alone(bring: Bring) -> None:
    bring(VARIANTS_GROUP, ("imagenet_knn.warm", "WARM"))
    known = catalogue()
    assert known["imagenet_knn"].protocol("warm")["temperature"] == 0.2
    assert known["imagenet_knn"].protocol()["temperature"] == 0.07
    assert "warm" not in type(known["imagenet_knn"]).variants


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("imagenet_kn.warm", "WARM", "unknown benchmark 'imagenet_kn'"),
        ("imagenet_knn", "WARM", "cannot be called ''"),
        ("imagenet_knn.Warm", "WARM", "cannot be called 'Warm'"),
        ("imagenet_linear.sgd-100e", "WARM", "cannot be called 'sgd-100e'"),
        ("imagenet_knn.hot", "HOT", "no field 'temperatur'"),
        ("imagenet_knn.warm", "NUMBER", "brings no Variant"),
        ("imagenet_knn.warm", "NOBODY", "cannot be loaded"),
    ],
)
def test_a_variant_that_does_not_fit_is_refused_with_its_entry_point(
    bring: Bring, name: str, value: str, said: str
) -> None:
    bring(VARIANTS_GROUP, (name, value))
    with pytest.raises(HarnessError, match=said) as refused:
        catalogue()
    assert name in refused.value.where


def test_a_section_comes_after_those_of_the_suite(bring: Bring) -> None:
    bring(ENTRY_POINT_GROUP, ("mine", "LAST"))
    assert all_sections() == (*sections.SECTIONS, LAST)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("STRAY", "no group 'detektion'"),
        ("TWIN", "two sections are of the benchmark 'imagenet_knn'"),
        ("NUMBER", "brings no Section"),
    ],
)
def test_a_section_that_does_not_fit_is_refused(bring: Bring, value: str, said: str) -> None:
    bring(ENTRY_POINT_GROUP, ("mine", value))
    with pytest.raises(HarnessError, match=said):
        all_sections()


def test_two_entry_points_of_one_name_are_refused(bring: Bring) -> None:
    kind: type[Any] = Variant
    bring("a.group", ("mine", "HOT"), ("mine", "WARM"))
    with pytest.raises(HarnessError, match="two entry points are called 'mine'"):
        plugins("a.group", kind)
