"""The JSON Schema of records: ``python -m results.record_schema > docs/record.schema.json``."""

from __future__ import annotations

import sys
from typing import Any

from results.files import to_json
from results.record import SCHEMA, record_adapter

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def record_schema() -> dict[str, Any]:
    """The schema of ``result.json`` as this version writes it."""
    schema = record_adapter().json_schema()
    properties = schema["properties"]
    properties["schema"] = {"const": SCHEMA}
    head = {"$schema": DIALECT, "title": f"Record of a finished job, schema {SCHEMA}"}
    return {**head, **{name: part for name, part in schema.items() if name != "title"}, "required": sorted(properties)}


if __name__ == "__main__":
    sys.stdout.write(to_json(record_schema()))
