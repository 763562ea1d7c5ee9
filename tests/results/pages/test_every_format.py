"""Any record set and any name, in every format: what comes back is what went in, and nothing else happens."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from results.entries import Entry, Label, entry_of_record
from results.metadata import Metadata
from results.pages.latex import escape as latex
from results.pages.markdown import plain
from results.pages.parse import parse_tables
from results.pages.render import FORMATS
from results.record import BackboneStamp, Column, DataStamp, MetricValue, ProtocolStamp, Record, sha256_of
from tests.results.pages.zoo_pages import pages_of

NAMES = [
    "a|b",
    "`a` ``b",
    "**bold** __x__ ~~y~~",
    "<script>alert(1)</script>",
    "</script><!-- <![CDATA[",
    "]]> --> </style></table>",
    "[x](javascript:y) ![z](w)",
    "a &amp; &#60; b",
    "'single' \"double\"",
    "# a",
    "- a: b #c",
    "? x\n: y",
    "&anchor *alias !tag %x @y",
    "{{ 7*7 }} {% raw %} ${x}",
    "\\input{/etc/passwd} \\end{table} % $x^2_1$",
    "[0.5em] first in a row",
    '=HYPERLINK("https://x")',
    "@SUM(1+1)",
    "+1",
    "-1",
    "../../etc/passwd",
    "..\\..\\x",
    "CON",
    "名前 имя é \u0301",
    "\u202eright to left",
    "x" * 300,
    "true",
    "null",
    "1e3",
    "---",
    "a\r\n\tb",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(NAMES)
BENCHMARKS = ("imagenet_knn", "voc07_svm", "imagenet_linear", "of_a_plug_in")
COLUMN = {"imagenet_knn": 1, "voc07_svm": 2, "imagenet_linear": 1, "of_a_plug_in": 0}
NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 77.4, 99.995, 1e-300, 62.905])
JOBS = st.dictionaries(
    st.tuples(TEXT, st.sampled_from(BENCHMARKS)), st.tuples(NUMBERS | TEXT, TEXT), min_size=1, max_size=5
)


def entry(label: str, benchmark: str, value: float | str, title: str) -> Entry:
    """A job with one metric: its value, or the reason why it has none."""
    metric = MetricValue(None, note=value) if isinstance(value, str) else MetricValue(value)
    stamp = BackboneStamp(sha256_of(label), f"/home/me/{label}", label, title, "rgb-mean-std", (title,))
    record = Record(
        key=sha256_of([label, benchmark]),
        benchmark=benchmark,
        protocol=ProtocolStamp(benchmark, 1, sha256_of(benchmark)),
        backbone=stamp,
        data=DataStamp("imagenet", "a" * 64, {"train": 1, title: 2}),
        seed=None,
        numerics={"precision": "fp32"},
        metrics={"top1": metric},
        details={"best_layer": title},
        display=(Column("top1", "Score", COLUMN[benchmark]),),
        curves={"epochs": [1, 2], "top1": [1.0, 2.0]},
        started="2026-01-02T03:04:05+00:00",
        finished="2026-01-02T03:05:05+00:00",
        seconds=1.0,
        device=title,
        versions={"torch": title},
        config_digest="",
        git="0123456",
        attempt="001-x",
        protocol_fields={"name": title, "epochs": 90},
    )
    return entry_of_record(Label(label, stamp), record)


def files_of(jobs: dict[tuple[str, str], tuple[float | str, str]]) -> tuple[list[Entry], dict[str, Any]]:
    entries = [entry(label, benchmark, *job) for (label, benchmark), job in jobs.items()]
    entries.sort(key=lambda each: (each.label.name, each.benchmark, each.group))
    labels = dict.fromkeys(each.label.name for each in entries)
    names = {}
    for label in labels:
        # What metadata calls a model is stripped, and not empty.
        names.setdefault(label.strip() or "model", label)
    models = [{"name": name, "label": label} for name, label in names.items() if label.strip() == label and label]
    metadata = None
    if models:
        name = models[0]["name"]
        metadata = Metadata.model_validate(
            {"algorithms": [{"name": name, "abstract": name, "citation": name, "models": models}]}
        )
    # Figures have tests of their own, and take their time.
    formats = [name for name in FORMATS if name != "figures"]
    return entries, pages_of(entries, metadata, formats=formats)


def shown(found: Entry) -> str:
    value = found.metrics["top1"].value
    return "" if value is None else f"{round(value, COLUMN[found.benchmark]) + 0.0:.{COLUMN[found.benchmark]}f}"


def one_line(text: str) -> str:
    return " ".join(plain(text).split())


class Strict(HTMLParser):
    """The results page: texts of row heads and cells, and every tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.text: list[str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th"):
            self.text = []

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.text is not None:
            self.cells.append(" ".join("".join(self.text).split()))
            self.text = None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JOBS)
@example({(name, benchmark): (50.0, name) for name in NAMES for benchmark in BENCHMARKS[:1]})
@example({(name, "imagenet_linear"): (name, name) for name in NAMES})
def test_any_record_set_comes_back_from_every_format(jobs: dict[tuple[str, str], tuple[float | str, str]]) -> None:
    entries, files = files_of(jobs)
    assert all(re.fullmatch(r"(?:zoo|cards|[\w.-]+)(?:/[\w.-]+){0,2}", name, re.ASCII) for name in files)
    assert not any(part in ("", ".", "..") or len(part) > 90 for name in files for part in name.split("/"))

    expected = Counter((one_line(each.label.name), shown(each)) for each in entries)
    pages = [text for name, text in files.items() if name.endswith(".md") and "/" not in name]
    zoo = files.get("model_zoo.md", pages[0])
    found: Counter[tuple[str, str]] = Counter()
    for table in parse_tables(zoo):
        assert {len(row) for row in table.rows} == {len(table.header)}
        if table.header[-1] == "Score":
            found.update((one_line(row[0]), row[-1]) for row in table.rows)
    assert found == expected

    rows = list(csv.DictReader(io.StringIO(files["results.csv"], newline="")))
    back = Counter((re.sub(r"^'(?='*[=+\-@\t\r])", "", row["label"]), row["value"]) for row in rows)
    assert back == Counter((each.label.name, repr_of(each)) for each in entries)
    assert not any(cell[:1] in "=@\t\r" for row in rows for name, cell in row.items() if cell and name != "value")
    frame = pd.read_parquet(io.BytesIO(files["results.parquet"]))
    assert sorted(frame["label"]) == sorted(each.label.name for each in entries)

    check_html(files["results.html"], entries)
    check_latex(files["results.tex"], entries)
    for name, text in files.items():
        if name.endswith(".yml"):
            check_yaml(name, yaml.safe_load(text), entries)
        elif name.startswith("cards/"):
            ModelCard(text)
        if isinstance(text, str):
            assert "/home/me" not in text, name


def repr_of(found: Entry) -> str:
    value = found.metrics["top1"].value
    return "" if value is None else repr(float(value))


def check_html(text: str, entries: list[Entry]) -> None:
    page = Strict(text)
    assert page.tags["script"] == 2
    assert page.tags["style"] == 1
    assert not {"img", "iframe", "object", "base"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith("on")}
    heads = Counter(page.cells)
    for each in entries:
        assert heads[one_line(each.label.name)]
        assert not shown(each) or heads[shown(each)]
    found = re.search(r'id="provenance">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    values = [job[-1]["top1"] for job in json.loads(found[1])["jobs"]]
    assert sorted(map(str, values)) == sorted(str(each.metrics["top1"].value) for each in entries)


def check_latex(text: str, entries: list[Entry]) -> None:
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == len(entries) + text.count(r"\begin{table}")
    assert text.count(r"\begin{") == text.count(r"\end{")
    for each in entries:
        assert any(row.startswith(f"{{{latex(each.label.name)}}} & ") for row in rows)
    allowed = r"\\(?:begin|end|caption|centering|toprule|midrule|bottomrule|text\w+|pm|[\\{}$&#%_])"
    assert re.sub(allowed, "", text.partition("\n")[2]).count("\\") == 0


def check_yaml(name: str, raw: Any, entries: list[Entry]) -> None:
    if name == "zoo/model-index.yml":
        return
    names = {each.label.name for each in entries}
    assert raw["Collections"][0]["Name"] in names
    if name.endswith("metafile.yml"):
        assert {model["Name"] for model in raw["Models"]} <= names
    numbers = [
        value
        for model in raw["Models"]
        for each in [model, *(part for part in model.get("Downstream", []) if isinstance(part, dict))]
        for result in each["Results"] or []
        for value in result["Metrics"].values()
    ]
    assert all(isinstance(value, float) for value in numbers)
    assert Counter(numbers) <= Counter(float(shown(each)) for each in entries if shown(each))


def test_nothing_private_is_in_any_file(builder: Any) -> None:
    """Paths, hosts, users and accounts of records, runs and attempts stay out of every format."""
    from results.entries import read_workspace
    from results.pages.render import Request, make_pages, write_pages

    private = f"{builder.workspace.root}/x/list.txt"
    job = builder.make("voc07_svm")
    builder.attempt(job, 1, {"status": "failed", "reason": f"no such file: {private}"})
    builder.finish(
        "imagenet_knn",
        values={"knn_k10": f"see {Path.home()}/log.txt", "knn_k20": 50.0},
        protocol_fields={"list": "/home/somebody/list.txt"},
        versions={"torch": "2.14.0+/home/somebody/torch"},
        git="/home/somebody/code",
        device="cpu",
        attempt="001-host-of-somebody",
    )
    path = builder.run({"a": "simclr"}, [job])
    path.write_text(path.read_text().replace('"source": "', '"source": "/home/somebody/checkpoints/'))
    models = [{"name": "m", "label": "a"}]
    metadata = Metadata.model_validate({"algorithms": [{"name": "SimCLR", "models": models}]})
    pages = make_pages(read_workspace(builder.workspace), builder.workspace, Request(None, FORMATS, metadata))
    written = write_pages(pages, builder.workspace)
    assert {each.suffix for each in written} == {".csv", ".parquet", ".md", ".html", ".yml", ".tex", ".svg", ".png"}
    for each in written:
        content = each.read_bytes()
        for word in (b"somebody", str(builder.workspace.root).encode(), str(Path.home()).encode() + b"/", b"/home"):
            assert word not in content, each.name


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_algorithm_has_a_folder_of_its_own(name: str) -> None:
    entries = [entry("a", "imagenet_linear", 50.0, "b")]
    pairs = ((name, "a"), ("other", "b"))
    algorithms = [{"name": each, "models": [{"name": each, "label": label}]} for each, label in pairs]
    files = pages_of(entries, Metadata.model_validate({"algorithms": algorithms}))
    folders = {each.split("/")[1] for each in files if each.startswith("zoo/") and each.endswith("README.md")}
    assert len(folders) == 2
    imports = yaml.safe_load(files["zoo/model-index.yml"])["Import"]
    assert {f"zoo/{each}" for each in imports} <= set(files)
