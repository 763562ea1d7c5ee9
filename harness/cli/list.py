"""``list``: what there is to choose from."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from typing import Annotated

import typer

from benchmarks.base import Benchmark, WithProtocol
from benchmarks.catalogue import catalogue
from benchmarks.protocol import Protocol
from harness.cli.options import Json
from pretrain.catalogue import CONFIGS
from results.errors import HarnessError, did_you_mean

app = typer.Typer(help="List benchmarks, checkpoint formats or protocols.", no_args_is_help=True)


@app.command()
def benchmarks(json: Json = False) -> None:
    """List every benchmark of the suite."""
    known = catalogue().values()
    if json:
        rows = [
            {
                "name": each.name,
                "group": each.group,
                "data": each.data,
                "variants": sorted(each.variants),
                "title": each.title,
            }
            for each in known
        ]
        print(json_module.dumps(rows, indent=2))
        return
    for each in known:
        names = each.name + "".join(f" @{variant}" for variant in sorted(each.variants))
        print(f"{names:28} {each.group:16} {each.data:24} {each.title}")


@app.command()
def formats(json: Json = False) -> None:
    """List the checkpoint formats that intake reads."""
    from harness.checkpoint.formats.catalogue import formats as every_format

    rows = [{"name": each.name, "summary": each.summary, "input": each.input} for each in every_format()]
    if json:
        print(json_module.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['name']:20} {row['input']:13} {row['summary']}")


@app.command()
def protocols(
    name: Annotated[str | None, typer.Argument(help="NAME or NAME@VARIANT; without it, one line for each.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Every field with its source.")] = False,
    profile: Annotated[str, typer.Option("--profile", help="full or smoke.")] = "full",
    config: Annotated[
        bool, typer.Option("--config", help="The toolbox's config that the protocol becomes, as JSON.")
    ] = False,
    json: Json = False,
) -> None:
    """List protocols of benchmarks and of pretraining with version and hash, or the fields of one."""
    known: Mapping[str, WithProtocol] = {**catalogue(), **CONFIGS}
    if config:
        _show_config(known, name, profile)
        return
    tables = []
    for each in [name] if name else known:
        base, _, variant = each.partition("@")
        if base not in known:
            raise HarnessError(f"there is no protocol '{base}'", "list protocols", did_you_mean(base, known))
        tables.append(known[base].protocol(variant or None, profile))
    if json:
        print(json_module.dumps([{**table.to_dict(), "hash": table.hash} for table in tables], indent=2))
        return
    for table in tables:
        print(f"{table.name} version {table.version} hash {table.hash[:12]} profile {table.profile}")
        if name or full:
            width = max(len(field) for field in table.fields)
            for field_name, field in table.fields.items():
                source = f"   [{field.source}]" if full else ""
                print(f"  {field_name:{width}}  {json_module.dumps(field.value)}{source}")
        if full and "@" not in table.name:
            _show_variants(known[table.name], table)


def _show_config(known: Mapping[str, WithProtocol], name: str | None, profile: str) -> None:
    """Prints a built config."""
    from harness.built_config import official_config

    base, _, variant = (name or "").partition("@")
    owner = known.get(base)
    if not isinstance(owner, Benchmark):
        raise HarnessError(
            f"there is no benchmark '{base}'" if base else "no benchmark was named",
            "list protocols --config",
            did_you_mean(base, catalogue()),
        )
    built = official_config(owner, owner.protocol(variant or None, profile))
    if built is None:
        raise HarnessError(
            f"{base} uses no toolbox, so it has no config",
            "list protocols --config",
            f"python -m harness list protocols {base} --full shows all of its protocol",
        )
    print(json_module.dumps(built, indent=2, default=str))


def _show_variants(owner: WithProtocol, table: Protocol) -> None:
    """Where each variant differs from the published protocol."""
    for variant in sorted(owner.variants):
        other = owner.protocol(variant, table.profile)
        print(f"  {other.name} hash {other.hash[:12]} [{owner.variants[variant].source}]")
        for name in sorted({*table.fields, *other.fields}):
            before, after = (each.fields[name].value if name in each.fields else None for each in (table, other))
            if before != after:
                print(f"    {name}: {json_module.dumps(before)} -> {json_module.dumps(after)}")
