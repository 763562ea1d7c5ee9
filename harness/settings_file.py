"""The commented ``harness.yaml`` that ``init`` writes: made from the settings themselves, so that it is never stale."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from harness.settings import SETTINGS_FILE, Settings
from results.errors import HarnessError
from results.files import write_whole

WIDTH = 118
HEAD = """\
# Settings of the harness. A flag goes before the environment (HARNESS_<NAME>), that before this file in the current
# folder, and that before the same file in $XDG_CONFIG_HOME/harness (~/.config/harness), which holds for all folders.
# What stands here are the defaults; a line that is taken out has its default too.

"""

EXAMPLES: Mapping[str, str] = types.MappingProxyType(
    {
        "ckpt": "[simclr.pth, random:0]",
        "set": "[imagenet_knn.temperature=0.1]",
        "slurm.setup": "[module load cuda/12.4]",
        "slurm.environment": "{NCCL_SOCKET_IFNAME: ib0}",
        "slurm.extra": "{reservation: transfer}",
        "slurm.notify": 'mail -s "$TRANSFER_NOTICE" me@example.org < /dev/null',
        "slurm.benchmarks": "{coco_mask_rcnn: {minutes: 2880}, features: {partition: short}}",
    }
)
"""Values of settings that do not explain themselves, as they would stand in the file."""


def meanings(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """What each field of a settings class means, from the part ``Args`` of the docstrings of it and its bases."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, pydantic.BaseModel) or each.__doc__ is None:
            continue
        _, _, arguments = inspect.cleandoc(each.__doc__).partition("Args:\n")
        for name, text in re.findall(r"^    (\w+): (.+(?:\n {5,}.+)*)", arguments, flags=re.MULTILINE):
            # The reader of the file writes YAML, not Python.
            found[name] = re.sub(r"\bNone\b", "null", " ".join(text.replace("``", "").split()))
    return {name: found.get(name, "") for name in model.model_fields}


def settings_text(partitions: Sequence[str] = ()) -> str:
    """The file.

    Args:
        partitions: Of the cluster at hand, each with what it offers; they stand as comments.
    """
    lines = list(_lines(Settings, "", {"slurm.partition": partitions}))
    return HEAD + "\n".join(lines).rstrip() + "\n"


def write_settings_file(folder: Path, force: bool, partitions: Sequence[str] = ()) -> Path:
    """Writes ``harness.yaml`` into a folder.

    Args:
        folder: Where.
        force: Whether a file that is there is replaced.
        partitions: As :func:`settings_text`.

    Raises:
        HarnessError: There is a file already, or the folder cannot be written.
    """
    path = folder / SETTINGS_FILE
    if not force and (path.exists() or path.is_symlink()):
        raise HarnessError(
            f"there is a {SETTINGS_FILE} already",
            str(path),
            "keep it, or write it anew with --force (its content is lost)",
        )
    try:
        write_whole(path, settings_text(partitions))
    except HarnessError as error:
        raise HarnessError(error.what, str(folder), "go to a folder that you can write, with space left") from error
    return path


def _lines(model: type[pydantic.BaseModel], before: str, notes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Lines of a settings class; those of a class inside another are moved in by two."""
    depth = before.count(".")
    told = meanings(model)
    for name, field in model.model_fields.items():
        full = before + name
        inner = _inner_model(field.annotation)
        for line in (told[name], *_limits(field), *_example(full, name), *notes.get(full, ())):
            yield from textwrap.wrap(line, WIDTH - 2 * depth, initial_indent="# ", subsequent_indent="#   ")
        if inner is None:
            yield f"{name}: {_value(field.get_default(call_default_factory=True))}"
        else:
            yield f"{name}:"
            yield from textwrap.indent("\n".join(_lines(inner, f"{full}.", notes)), "  ").splitlines()
        if depth == 0:
            yield ""


def _inner_model(annotation: Any) -> type[pydantic.BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
    return annotation if is_model else None


def _example(full: str, name: str) -> Iterator[str]:
    if full in EXAMPLES:
        yield f"Example: {name}: {EXAMPLES[full]}"


def _limits(field: pydantic.fields.FieldInfo) -> Iterator[str]:
    """What a value may be, where its type says it."""
    if typing.get_origin(field.annotation) is Literal:
        yield f"One of: {', '.join(map(str, typing.get_args(field.annotation)))}"
    bounds = [
        f"{words} {getattr(each, bound)}"
        for each in field.metadata
        for bound, words in (("gt", "more than"), ("ge", "at least"), ("le", "at most"))
        if hasattr(each, bound)
    ]
    if bounds:
        yield f"Valid: {', '.join(bounds)}"


def _value(value: Any) -> str:
    """A default as it stands in YAML: JSON, but for text that needs no quotes."""
    if isinstance(value, (str, Path)):
        return str(value)
    return json.dumps(value)
