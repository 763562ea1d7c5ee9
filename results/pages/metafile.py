"""``metafile.yml`` in the dialects of mmselfsup and mmpretrain, and the ``model-index.yml`` that imports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from results.entries import Entry
from results.metadata import Algorithm, Links, Model
from results.pages.build import Summaries
from results.pages.twins import Result, results_of
from results.pages.zoo import ZooPage

MMSELFSUP = "metafile.yml"
MMPRETRAIN = "metafile-mmpretrain.yml"


class _Dumper(yaml.SafeDumper):
    """No aliases: what is equal is written twice, as people would."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any) -> str:
    """YAML for people: in the given order, unicode as it is, one text a line."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def metafile(zoo: ZooPage, entries: Sequence[Entry], summary: Summaries, dialect: str) -> str:
    """The metafile of one algorithm.

    Args:
        zoo: Its page.
        entries: Jobs of any labels.
        summary: What :func:`results.table.summarise_cells` says of them.
        dialect: :data:`MMSELFSUP`, where a model holds what was trained on top of it, or :data:`MMPRETRAIN`, where it
            names it.
    """
    algorithm = zoo.algorithm
    collection = _without_none(
        {
            "Name": algorithm.name,
            "Metadata": _collection_metadata(algorithm),
            "Paper": {"URL": algorithm.paper.url, "Title": algorithm.paper.title} if algorithm.paper else None,
            "README": "README.md",
        }
    )
    models: list[dict[str, Any]] = []
    for model, label in zoo.models:
        found = _by_benchmark(results_of(entries, label, summary)) if label is not None else {}
        downstream = [_downstream(algorithm, model, key, results) for key, results in found.items()]
        if dialect == MMSELFSUP:
            nested = [{name: part for name, part in each.items() if name != "Name"} for each in downstream]
            models.append({**_model(algorithm, model), **({"Downstream": nested} if nested else {})})
        else:
            names = [each["Name"] for each in downstream]
            models.append({**_model(algorithm, model), **({"Downstream": names} if names else {})})
            models += [_as_model(algorithm, each) for each in downstream]
    return to_yaml({"Collections": [collection], "Models": models})


def model_index(folders: Sequence[str]) -> str:
    """The file that names every metafile, by folder."""
    return to_yaml({"Import": [f"{folder}/{MMSELFSUP}" for folder in folders]})


def _collection_metadata(algorithm: Algorithm) -> dict[str, Any]:
    return _without_none(
        {
            "Training Data": algorithm.training_data,
            "Training Techniques": list(algorithm.training_techniques) or None,
            "Training Resources": algorithm.training_resources,
            "Architecture": list(algorithm.architecture) or None,
        }
    )


def _model(algorithm: Algorithm, model: Model) -> dict[str, Any]:
    facts = {
        "Epochs": model.epochs,
        "Batch Size": model.batch_size,
        "FLOPs": model.flops,
        "Parameters": model.parameters,
        "Training Data": algorithm.training_data,
    }
    entry = {"Name": model.name, "In Collection": algorithm.name, "Metadata": _without_none(facts), "Results": None}
    return {**entry, **_without_none({"Config": model.config, "Weights": model.weights})}


def _by_benchmark(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result.benchmark, result.protocol), []).append(result)
    return found


def _downstream(algorithm: Algorithm, model: Model, key: tuple[str, str], results: Sequence[Result]) -> dict[str, Any]:
    """What was trained on top of a model, with its numbers and links."""
    benchmark, protocol = key
    links = model.downstream.get(benchmark, Links())
    task = results[0].task
    metrics = {result.title: result.value for result in results}
    metadata = {"Protocol": protocol, **({"Seeds": results[0].n} if results[0].n > 1 else {})}
    return {
        "Name": f"{model.name}_{protocol.partition(',')[0]}_{protocol[-12:]}",
        "Type": task.name,
        "Metadata": metadata,
        "Results": [{"Task": task.name, "Dataset": task.dataset, "Metrics": metrics}],
        **_without_none({"Config": links.config or algorithm.benchmarks.get(benchmark), "Weights": links.weights}),
    }


def _as_model(algorithm: Algorithm, downstream: dict[str, Any]) -> dict[str, Any]:
    rest = {name: part for name, part in downstream.items() if name not in ("Name", "Type")}
    return {"Name": downstream["Name"], "In Collection": algorithm.name, **rest}


def _without_none(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact is not None}
