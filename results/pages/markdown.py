"""A page as markdown that GitHub and python-markdown read alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import jinja2

from results.pages.model import FIRST_COLUMN, Caption, Page, Remark, Version
from results.pages.public import public_text
from results.pages.zoo import ZooPage

HASH_CHARACTERS = 12
"""Characters of a protocol hash or digest on a page."""

_SPECIAL = re.compile(r"[&<>|`*#\[\]\\~$]|(?<![^\W_])_+|_+(?![^\W_])|^[+=-](?= |$)|^\d+(?=[.)] )|://|@(?=\w)")
_BIDIRECTIONAL = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def to_markdown(page: Page) -> str:
    """Renders a page; the same page gives the same text."""
    return _ENVIRONMENT.get_template("page.md.j2").render(page=page)


def zoo_to_markdown(zoo: ZooPage) -> str:
    """Renders the page of an algorithm."""
    return _ENVIRONMENT.get_template("zoo.md.j2").render(page=zoo.page, algorithm=zoo.algorithm)


def part_to_markdown(page: Page, name: str) -> str | None:
    """One part of a page, for a section between markers.

    Args:
        page: The page.
        name: A benchmark, for its tables; ``results`` for all groups; ``provenance`` for the last table.

    Returns:
        The text; None where the page has no such part.
    """
    parts: Any = _ENVIRONMENT.get_template("parts.md.j2").make_module()
    if name == "results":
        return str(parts.warnings(page)) + str(parts.groups(page))
    if name == "provenance":
        return str(parts.origins(page))
    sections = [section for group in page.groups for section in group.sections if section.benchmark == name]
    return str(parts.section_tables(sections[0])) if sections else None


def escape(text: str) -> str:
    """Any text as one line that markdown shows as it is, in a table's cell or outside.

    Markup becomes character references, which neither a table's splitting at ``|`` nor HTML sees. Line breaks become
    spaces; other control characters and those that turn the direction of writing become U+FFFD.
    """
    return _SPECIAL.sub(lambda match: "".join(f"&#{ord(character)};" for character in match.group()), plain(text))


def plain(text: str) -> str:
    """Any text as one line; control characters and those that turn the direction of writing become U+FFFD."""
    line = " ".join(text.split())
    if line.isascii() and line.isprintable():
        return line
    hidden = (character in _BIDIRECTIONAL or unicodedata.category(character) in ("Cc", "Cs") for character in line)
    return "".join("\ufffd" if hide else character for character, hide in zip(line, hidden, strict=True))


def link_target(link: str) -> str:
    """A link as it may stand in round brackets and in quotes; what could end either is percent-encoded."""
    return quote(link, safe=":/?#[]@!$&*+,;=%-._~")


def fenced(text: str, language: str) -> str:
    """A text in a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def caption_line(caption: Caption) -> str:
    """How a table's numbers were measured, as one line."""
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in caption.counts)
    parts = [
        f"Protocol {escape(caption.protocol)}, version {caption.version}, hash `{caption.hash[:HASH_CHARACTERS]}`",
        f"data {escape(caption.data)}" + (f" ({escape(counts)})" if counts else ""),
    ]
    if caption.nonstandard:
        parts.append("**non-standard data**: " + escape(", ".join(text.rstrip(".") for text in caption.nonstandard)))
    parts += [f"input convention {escape(name)} ({_names(labels)})" for name, labels in caption.inputs]
    parts += [f"**{_names(labels)}**: {escape(remark)}" for remark, labels in caption.remarks]
    if caption.seeds:
        parts.append(_seeds(caption.seeds))
    if caption.numerics:
        parts.append("numerics: " + escape(", ".join(f"{name} {value}" for name, value in caption.numerics)))
    if caption.modified:
        parts.append("**modified**: " + escape(", ".join(caption.modified)))
    if caption.code:
        parts.append(
            "**made by differing code**: " + escape(", ".join(code[:HASH_CHARACTERS] for code in caption.code))
        )
    return "; ".join(parts) + "."


def _names(labels: Sequence[str]) -> str:
    return ", ".join(escape(label) for label in labels)


def _seeds(seeds: Sequence[tuple[tuple[int, ...], tuple[str, ...]]]) -> str:
    """``seeds 0, 1, 2 (mean ± sample standard deviation, n = 3)``; with the labels where they differ."""
    texts = []
    for measured, labels in seeds:
        text = f"seed{'s' if len(measured) > 1 else ''} {', '.join(map(str, measured))}"
        if len(measured) > 1:
            text += f" (mean ± sample standard deviation, n = {len(measured)})"
        texts.append(text if len(seeds) == 1 else f"{text} for {_names(labels)}")
    return "; ".join(texts)


def remark_line(remark: Remark) -> str:
    """One item of the list under a table."""
    seed = "" if remark.seed is None else f", seed {remark.seed}"
    label = f"{escape(remark.label)}, " if remark.label else ""
    kind = "No value" if remark.blank else "Note"
    return f"- {kind}: {label}{escape(', '.join(remark.titles))}{seed}: {escape(remark.reason)}"


def versions_line(versions: Sequence[Version]) -> str:
    """Versions by package; where records differ, which benchmarks used which."""
    texts = []
    for version in versions:
        uses = [f"{text} ({', '.join(benchmarks)})" if benchmarks else text for text, benchmarks in version.uses]
        differ = "differs between records: " if len(uses) > 1 else ""
        texts.append(escape(f"{version.name} {differ}{' / '.join(uses)}"))
    return "; ".join(texts) + "."


def file_name(source: str) -> str:
    """The last part of a path in the form of any system; ``random:0`` and a place on the hub stay."""
    return public_text(source if source.startswith("hf://") else re.split(r"[/\\]", source)[-1])


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("results.pages"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["first_column"] = FIRST_COLUMN
    environment.filters |= {
        "text": escape,
        "link": link_target,
        "fenced": fenced,
        "caption": caption_line,
        "remark": remark_line,
        "versions": versions_line,
        "file_name": file_name,
    }
    return environment


_ENVIRONMENT = _environment()
