"""The metadata file (``--meta``): what a model-zoo page says that no job can know, and which label it belongs to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from results.entries import Label
from results.errors import HarnessError, did_you_mean

LARGEST = 2**20
"""Bytes; a larger file is no metadata file."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _link(text: str) -> str:
    scheme = _SCHEME.match(text)
    if re.search(r"[\s<>\"'`|\\]", text) or not text.isprintable():
        raise ValueError("a link has no spaces, quotes, angle brackets, bars or backslashes; write %20 and so on")
    if scheme and scheme[0].lower() not in ("https:", "http:", "hf:"):
        raise ValueError(f"a link begins with https:// or is a path in the repository, not with {scheme[0]}")
    if not scheme and text.startswith("/"):
        raise ValueError("a link is a URL or a path relative to the repository, not an absolute path")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Link = Annotated[Text, AfterValidator(_link)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(gt=0)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Links(_Closed):
    """Where the files of one training lie."""

    config: Link | None = None
    weights: Link | None = None
    log: Link | None = None

    def shown(self) -> tuple[tuple[str, str], ...]:
        """Title and link of those that are given, as the published tables call them."""
        named = (("config", self.config), ("model", self.weights), ("log", self.log))
        return tuple((title, link) for title, link in named if link is not None)


class Paper(_Closed):
    """The paper of an algorithm."""

    title: Text
    url: Link


class Model(Links):
    """One checkpoint: whose label or file it is, and what pages say of it."""

    name: Text
    label: Text | None = None
    sha256: Sha256 | None = None
    title: Text | None = None
    backbone: Text = "ResNet50"
    epochs: Count | None = None
    batch_size: Count | None = None
    flops: Count | None = None
    parameters: Count | None = None
    downstream: dict[Text, Links] = {}

    @model_validator(mode="after")
    def _is_of_something(self) -> Model:
        if self.label is None and self.sha256 is None:
            raise ValueError("give label, the name of its row, or sha256, the hash of its file")
        return self


class Algorithm(_Closed):
    """One page: an algorithm and its checkpoints."""

    name: Text
    paper: Paper | None = None
    abstract: Text | None = None
    figure: Link | None = None
    citation: Text | None = None
    license: Text | None = None
    training_data: Text = "ImageNet-1k"
    training_techniques: list[Text] = []
    training_resources: Text | None = None
    architecture: list[Text] = []
    benchmarks: dict[Text, Link] = {}
    models: Annotated[list[Model], Field(min_length=1)]


class Metadata(_Closed):
    """The whole file."""

    algorithms: Annotated[list[Algorithm], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Metadata:
        for what, names in (
            ("algorithm", [each.name for each in self.algorithms]),
            ("model", [model.name for each in self.algorithms for model in each.models]),
            ("label", [model.label for each in self.algorithms for model in each.models if model.label]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{what} {sorted(twice)[0]} stands here twice")
        return self


def read_metadata(path: Path) -> Metadata:
    """Reads and checks a metadata file.

    Raises:
        HarnessError: It is missing, no YAML, or a field is wrong; the field and its line are named.
    """
    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise HarnessError("the metadata file is too large", str(path), "give a file as `init` writes it")
        text = content.decode("utf-8")
        raw = yaml.load(text, _UniqueKeys)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise HarnessError(
            f"cannot read the metadata: {reason}",
            str(path),
            "`python -m harness init --meta META.yaml` writes an example",
        ) from error
    try:
        return Metadata.model_validate(raw)
    except ValidationError as error:
        # A misspelt name also leaves the right one missing: the misspelling is what has to be mended.
        found = error.errors(include_url=False, include_input=False)
        first = min(found, key=lambda each: each["type"] != "extra_forbidden")
        place = _place(first["loc"], raw)
        raise HarnessError(
            f"the metadata is wrong: {place}: {first['msg'].removeprefix('Value error, ')}",
            f"{path}, line {_line(text, first['loc'])}",
            _mend(first, raw),
        ) from error


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a name that stands twice in one mapping, of which YAML's loader silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands here twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _place(location: Sequence[int | str], raw: Any) -> str:
    """``algorithms[0] (SimCLR).models[1].epochs``: indices, and names where there are any."""
    place = ""
    for part in location:
        try:
            raw = raw[part]
        except (LookupError, TypeError):
            raw = None
        name = raw.get("name") if isinstance(raw, dict) else None
        place += f"[{part}]" + (f" ({name})" if name else "") if isinstance(part, int) else f".{part}"
    return place.lstrip(".") or "the file"


def _line(text: str, location: Sequence[int | str]) -> int:
    """Line of the deepest part of a location that is in the file, from 1."""
    node = yaml.compose(text, yaml.SafeLoader)
    line = 1
    for part in location:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _mend(error: Any, raw: Any) -> str:
    """The nearest name where a name is unknown."""
    if error["type"] != "extra_forbidden":
        return "correct the field; `python -m harness init --meta META.yaml` writes an example with all of them"
    models: dict[int, type[_Closed]] = {1: Metadata, 3: Algorithm, 5: Model}
    place = error["loc"]
    kind = models.get(len(place), Links)
    kind = Paper if len(place) > 1 and place[-2] == "paper" else kind
    return did_you_mean(str(place[-1]), kind.model_fields)


@dataclasses.dataclass(frozen=True)
class Matched:
    """Models and the labels they belong to.

    Args:
        labels: Label by the model's name, for models that have one here.
        notes: Models without a label here, one sentence each.
    """

    labels: dict[str, str]
    notes: tuple[str, ...]


def match(metadata: Metadata, labels: Iterable[Label]) -> Matched:
    """Finds the label of each model: by the label it names, else by the hash of its file.

    Raises:
        HarnessError: Two models belong to one label.
    """
    known = {label.name: label for label in labels}
    files = {label.sha256: label.name for label in known.values() if label.sha256}
    found: dict[str, str] = {}
    notes = []
    for model in (model for algorithm in metadata.algorithms for model in algorithm.models):
        label = model.label if model.label in known else files.get(model.sha256 or "")
        if label is None:
            near = did_you_mean(model.label or "", known) if model.label else "no file here has its sha256"
            notes.append(f"the metadata's {model.name} has no result here; {near}")
        elif label in found.values():
            raise HarnessError(
                f"two models of the metadata belong to '{label}'",
                model.name,
                "give each a label or a sha256 of its own",
            )
        else:
            found[model.name] = label
    return Matched(found, tuple(notes))
