"""Wrong values, put into protocols and builders for one test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.catalogue import find_benchmark
from benchmarks.protocol import Field

Spoil = Callable[[pytest.MonkeyPatch], None]


def field(name: str, **values: Any) -> Spoil:
    """Other values in a benchmark's protocol."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        benchmark = type(find_benchmark(name))
        other = {key: Field(value, "a mutation") for key, value in values.items()}
        assert other.keys() <= benchmark.table.keys()
        assert all(benchmark.table[key].value != item.value for key, item in other.items())
        patch.setattr(benchmark, "table", {**benchmark.table, **other})

    return spoil


def varied(name: str, variant: str, **values: Any) -> Spoil:
    """Other values in a variant."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        benchmark = type(find_benchmark(name))
        published = benchmark.variants[variant]
        added = {key: Field(value, "a mutation") for key, value in values.items() if key in published.added}
        replaced = {key: value for key, value in values.items() if key not in added}
        assert replaced.keys() <= published.values.keys()
        other = dataclasses.replace(
            published, values={**published.values, **replaced}, added={**published.added, **added}
        )
        patch.setattr(benchmark, "variants", {**benchmark.variants, variant: other})

    return spoil


def edited(module: Any, function: str, edit: Callable[[dict[str, Any]], None]) -> Spoil:
    """A change of what a builder returns."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        original = getattr(module, function)

        def changed(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            edit(result)
            return result

        patch.setattr(module, function, changed)

    return spoil


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets an entry of a nested config."""

    def edit(made: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        inner: Any = made
        for part in parents:
            inner = inner[int(part)] if part.isdigit() else inner[part]
        assert inner.get(last, ...) != value
        inner[last] = value

    return edit
