"""The documents against the code: quoted commands, names of files, contracts and columns."""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from benchmarks.catalogue import BUILT_IN, catalogue
from benchmarks.datasets.official import DATA_SETS
from harness.cli.main import app
from harness.settings import Settings
from results.record import Record
from results.table import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("benchmarks", "harness", "results", "pretrain")

_PROGRAM = re.compile(r"^(?:python3?|\.venv/bin/python)(?: -P)? -m harness(?= |$)")


def quoted_commands(text: str) -> list[str]:
    """Calls of the program in code blocks and in backticks, without the program's name."""
    lines = [line.strip() for line in text.splitlines()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return [_PROGRAM.sub("", one).strip() for one in (*lines, *spans) if _PROGRAM.match(one)]


def commands() -> list[tuple[str, str]]:
    return [(path.name, one) for path in DOCUMENTS for one in quoted_commands(path.read_text(encoding="utf-8"))]


def descend(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after it."""
    command: Any = typer.main.get_command(app)
    while words and not words[0].startswith("-") and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no verb {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def flags(command: Any) -> set[str]:
    return {
        flag
        for option in command.params
        if option.param_type_name == "option"
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--") and flag != "--help"
    }


def verbs(command: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb with its command; those of groups as ``group verb``."""
    command = command or typer.main.get_command(app)
    for word, inner in getattr(command, "commands", {}).items():
        yield from verbs(inner, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    _, found, after = text.partition(f"\n{heading}\n")
    assert found, f"no heading {heading}"
    return re.split(rf"^#{{1,{len(level)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(table: str) -> list[str]:
    """Names in backticks in the first column of a table."""
    return re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)


def test_commands_are_found_in_blocks_and_in_backticks() -> None:
    text = "See\n\n    python -m harness status --json\n\nor `python -P -m harness\nlist formats`, not `python x.py`.\n"
    assert quoted_commands(text) == ["status --json", "list formats"]
    assert len(commands()) > 20


@pytest.mark.parametrize(("document", "command"), commands())
def test_a_quoted_command_parses(document: str, command: str) -> None:
    found, words = descend(shlex.split(command))
    if hasattr(found, "commands"):
        # The program alone or a flag of its own, which would print and exit.
        assert set(words) <= flags(found)
    else:
        # Refuses unknown flags, values that are missing or too many, and required ones that are left out.
        found.make_context("quoted", words)


def test_the_design_lists_every_verb_with_exactly_its_flags() -> None:
    block = section(DESIGN, "## Contracts").partition("**Command line**\n\n")[2].partition("\n\n")[0]
    listed: dict[str, set[str]] = {}
    name = ""
    for line in block.splitlines():
        text = line[4:]
        if not text.startswith(" "):
            # A verb, and after at least one space what is no verb: a flag, a placeholder or a bracket.
            name = re.match(r"[a-z]+(?: [a-z]+)?", text)[0]  # type: ignore[index]
        listed.setdefault(name, set()).update(re.findall(r"--[a-z][a-z-]*", text))
    assert listed == {name: flags(command) for name, command in verbs()}


def test_settings_that_no_flag_gives_are_documented() -> None:
    run = {flag.removeprefix("--").replace("-", "_") for flag in flags(dict(verbs())["run"])}
    for name in set(Settings.model_fields) - run:
        assert f"\n{name}: " in README, name
        assert f"`{name}`" in DESIGN, name


def test_the_design_names_the_packages_and_modules_that_there_are() -> None:
    tree = section(DESIGN, "## Rooms and doors")
    folders = [path.parent for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")]
    for folder in folders:
        assert re.search(rf"(?<![\w/]){folder.name}/", tree), folder
    for name in PACKAGES:
        for path in (ROOT / name).glob("*.py"):
            assert path.name.startswith("__") or re.search(rf"(?<!\w){path.name}(?!\w)", tree), path
    there = {path.name for folder in folders for path in folder.glob("*.py")}
    assert set(re.findall(r"(?<!\w)[a-z_0-9]+\.py\b", tree)) <= there


def test_the_documents_name_every_import_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    development = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    for contract in project["tool"]["importlinter"]["contracts"]:
        assert f'"{contract["name"]}"' in DESIGN
        assert f"| {contract['name']} |" in development


def test_the_design_gives_the_columns_and_the_record_as_they_are() -> None:
    assert f"`{', '.join(COLUMNS)}`" in DESIGN
    record = section(DESIGN, "## Contracts").partition("**Record**")[2].partition("\n\n")[0]
    for field in dataclasses.fields(Record):
        assert re.search(rf"\b{field.name}\b", record), field.name


def test_the_readme_lists_the_benchmarks_and_the_data_sets() -> None:
    classes = {reference.partition(":")[2] for reference in BUILT_IN}
    own = [name for name, benchmark in catalogue().items() if type(benchmark).__name__ in classes]
    table = section(README, "## Benchmarks")
    assert first_cells(table) == own
    for name in own:
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"`{catalogue()[name].data}`" in row
        assert f" | {'yes' if catalogue()[name].random else 'no'} | " in row
    assert sorted(first_cells(section(README, "## Data"))) == sorted(DATA_SETS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (path.parent / target).is_file(), target


def test_the_page_on_checkpoints_has_every_format_with_its_encoders() -> None:
    from harness.checkpoint.formats.catalogue import LAST_RESORTS, PUBLISHERS

    rows = {}
    for line in (ROOT / "docs/checkpoints.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = (cells[1], cells[2], cells[3].strip("`"))
    expected = {
        each.name: (each.summary, ", ".join(dict.fromkeys(place.encoder for place in each.places)), each.input)
        for each in PUBLISHERS
    }
    expected |= {each.name: (each.summary, "its place", each.input) for each in LAST_RESORTS}
    assert rows == expected
