from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.base import Benchmark, FeatureRequest
from benchmarks.catalogue import BUILT_IN, GROUPS, catalogue, find_benchmark, select
from benchmarks.protocol import Protocol
from results.errors import HarnessError

MODULE = """
from benchmarks.base import Benchmark, Outcome, Resources
from benchmarks.protocol import Field, Variant


class Mine(Benchmark):
    name = "{name}"
    title = "Mine"
    group = "detection"
    data = "imagenet"
    version = 1
    random = False
    table = {{"k": Field(1, "test")}}
    smoke = {{}}
    variants = {{"other": Variant("test", {{"k": 2}})}}

    def columns(self, protocol):
        return ()

    def resources(self, protocol):
        return Resources(gpus=1, hours=1.0)

    def run(self, context):
        return Outcome({{}})


class Unfinished(Benchmark):
    name = "unfinished"


not_a_class = 3
Plain = dict
"""


@pytest.fixture
def external(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution with entry points of the group."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(*references: str, name: str = "mine") -> None:
        (tmp_path / "outside_benchmark.py").write_text(MODULE.format(name=name))
        information = tmp_path / "outside-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
        lines = [f"entry{number} = {reference}\n" for number, reference in enumerate(references)]
        (information / "entry_points.txt").write_text("[harness.benchmarks]\n" + "".join(lines))
        catalogue.cache_clear()

    yield install
    sys.modules.pop("outside_benchmark", None)
    catalogue.cache_clear()


@pytest.fixture(params=BUILT_IN)
def benchmark(request: pytest.FixtureRequest) -> Benchmark:
    (found,) = [each for each in catalogue().values() if request.param.endswith(f":{type(each).__name__}")]
    return found


def protocols(benchmark: Benchmark) -> list[Protocol]:
    return [
        benchmark.protocol(variant, profile) for variant in (None, *benchmark.variants) for profile in ("full", "smoke")
    ]


# Every benchmark -----------------------------------------------------------------------------------------------------


def test_a_benchmark_says_what_it_is(benchmark: Benchmark) -> None:
    from benchmarks.datasets.layout import data_set

    assert find_benchmark(benchmark.name) is benchmark
    assert benchmark.name.isidentifier()
    assert benchmark.group in GROUPS
    assert data_set(benchmark.data).name == benchmark.data
    assert benchmark.title
    assert isinstance(benchmark.random, bool)


def test_every_field_has_its_source(benchmark: Benchmark) -> None:
    for protocol in protocols(benchmark):
        assert [name for name, field in protocol.fields.items() if not field.source.strip()] == []
    assert all(variant.source for variant in benchmark.variants.values())


def test_profiles_and_variants_replace_fields_that_exist(benchmark: Benchmark) -> None:
    added = {field for variant in benchmark.variants.values() for field in variant.added}
    assert set(benchmark.smoke) <= {*benchmark.table, *added}
    for variant in benchmark.variants.values():
        assert set(variant.values) <= set(benchmark.table)
        assert set(variant.sources) <= set(variant.values)


def test_no_two_protocols_of_a_benchmark_have_one_hash(benchmark: Benchmark) -> None:
    """Else a smoke number would be found in place of a full one."""
    hashes = [protocol.hash for protocol in protocols(benchmark)]
    assert len(set(hashes)) == len(hashes)


def test_a_protocol_survives_the_spec(benchmark: Benchmark) -> None:
    import json

    for protocol in protocols(benchmark):
        back = Protocol.from_dict(json.loads(json.dumps(protocol.to_dict())))
        assert back == protocol
        assert back.hash == protocol.hash


def test_columns_resources_and_features_follow_from_every_protocol(benchmark: Benchmark) -> None:
    for protocol in protocols(benchmark):
        columns = benchmark.columns(protocol)
        names = [column.metric for column in columns]
        assert names
        assert len(set(names)) == len(names)
        assert all(column.title and column.decimals >= 0 for column in columns)
        resources = benchmark.resources(protocol)
        assert resources.gpus >= 0
        assert resources.hours > 0
        request = benchmark.feature_request(protocol)
        assert request is None or request.data == benchmark.data
        assert request is None or FeatureRequest.from_dict(request.to_dict()) == request


# Suites --------------------------------------------------------------------------------------------------------------


def names(suite: str) -> list[str]:
    return [choice.benchmark.name + (f"@{choice.variant}" if choice.variant else "") for choice in select(suite)]


def test_a_folder_of_ones_own_runs_alone() -> None:
    assert names("folder") == ["folder"]
    assert "folder" not in names("classification")
    for suite in ("folder,imagenet_knn", "all,folder"):
        with pytest.raises(HarnessError, match="folder runs alone"):
            select(suite)


def test_all_is_every_benchmark_in_page_order() -> None:
    assert names("all") == [name for name, each in catalogue().items() if not each.alone]
    assert [f":{type(each).__name__}" for each in catalogue().values()][: len(BUILT_IN)] == [
        reference[reference.index(":") :] for reference in BUILT_IN
    ]


def test_a_suite_is_names_and_groups_each_once_in_page_order() -> None:
    order = list(catalogue())
    assert names(f"{order[1]},{order[0]}") == order[:2]
    assert names(f" {order[0]} ,, {order[0]},") == order[:1]
    assert names(f"classification,{order[0]}") == names("classification")


def test_a_variant_is_another_benchmark(external: Callable[..., None]) -> None:
    external("outside_benchmark:Mine")
    assert names("mine@other,mine") == ["mine", "mine@other"]
    shipped = [name for name in names("detection") if name != "mine"]
    assert names("detection") == [*shipped, "mine"]
    assert all(find_benchmark(name).group == "detection" for name in shipped)


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("voc07_svn", "did you mean 'voc07_svm'"),
        ("al", "did you mean 'all'"),
        ("VOC07_SVM", "did you mean 'voc07_svm'"),
        ("voc07_svm@nothing", "no variant 'nothing'"),
        ("all@vissl", "unknown suite or benchmark 'all@vissl'"),
        ("", "no benchmark belongs to the suite ''"),
        (" , ", "no benchmark belongs"),
        ("voc07_svm\n../x", "unknown suite"),
    ],
)
def test_an_unknown_suite_is_refused_with_what_there_is(suite: str, said: str) -> None:
    with pytest.raises(HarnessError, match=said) as caught:
        select(suite)
    assert caught.value.mend


def test_an_unknown_benchmark_is_refused_with_what_there_is() -> None:
    with pytest.raises(HarnessError, match="did you mean 'imagenet_knn'") as caught:
        find_benchmark("imagenet_kn", "--set")
    assert caught.value.where == "--set"


# Entry points --------------------------------------------------------------------------------------------------------


def test_a_third_partys_benchmark_comes_after_ours(external: Callable[..., None]) -> None:
    external("outside_benchmark:Mine")
    assert list(catalogue())[len(BUILT_IN) :] == ["mine"]


@pytest.mark.parametrize("reference", ["outside_benchmark:Plain", "outside_benchmark:not_a_class"])
def test_an_entry_point_that_is_no_benchmark_is_refused(external: Callable[..., None], reference: str) -> None:
    external(reference)
    with pytest.raises(HarnessError) as caught:
        catalogue()
    assert reference in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(
    "reference",
    ["outside_benchmark:Unfinished", "outside_benchmark:Missing", "no_such_module:Mine", "outside_benchmark"],
)
def test_an_entry_point_that_cannot_be_loaded_is_a_sentence(external: Callable[..., None], reference: str) -> None:
    """As after an upgrade of ours or theirs: the command line must say which package to mend or uninstall."""
    external(reference)
    with pytest.raises(HarnessError) as caught:
        catalogue()
    assert reference in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize("name", ["voc07_svm", "all", "features", "../../etc", "a b", "with@variant", "x,y", ""])
def test_a_name_that_is_taken_or_means_something_else_is_refused(external: Callable[..., None], name: str) -> None:
    """A name stands in suites, after ``--set`` and in folders."""
    external("outside_benchmark:Mine", name=name)
    with pytest.raises(HarnessError) as caught:
        catalogue()
    assert caught.value.mend
