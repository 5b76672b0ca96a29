"""The words that a schema is written in: each makes a piece of JSON Schema with what it means.

`unit` is a keyword of ours, which other readers of the schema ignore. A record allows no field that
is not described; an `open_record` names those that are known and allows others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def text(meaning: str) -> Schema:
    return {"type": "string", "description": meaning}


def choice(meaning: str, *values: Any) -> Schema:
    return {"enum": list(values), "description": meaning}


def flag(meaning: str) -> Schema:
    return {"type": "boolean", "description": meaning}


def number(meaning: str, unit: str = "") -> Schema:
    return _with_unit({"type": "number", "description": meaning}, unit)


def whole(meaning: str, unit: str = "") -> Schema:
    return _with_unit({"type": "integer", "description": meaning}, unit)


def anything(meaning: str) -> Schema:
    return {"description": meaning}


def maybe(part: Schema) -> Schema:
    """Allow null too, where it is not known."""
    if "enum" in part:
        return {**part, "enum": [*part["enum"], None]}
    if "type" in part:
        return {**part, "type": [part["type"], "null"]}
    inner = {key: value for key, value in part.items() if key != "description"}
    return {"anyOf": [inner, {"type": "null"}], "description": part["description"]}


def many(meaning: str, part: Schema) -> Schema:
    return {"type": "array", "items": part, "description": meaning}


def by_name(meaning: str, part: Schema) -> Schema:
    """Describe an object whose names are not fixed, each with such a value."""
    return {"type": "object", "additionalProperties": part, "description": meaning}


def same_as(name: str, meaning: str) -> Schema:
    """Refer to what `$defs` describes under this name."""
    return {"$ref": f"#/$defs/{name}", "description": meaning}


def record(meaning: str, fields: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Describe an object of exactly these fields; the optional ones may be missing."""
    return {
        "type": "object",
        "description": meaning,
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def open_record(meaning: str, fields: Mapping[str, Schema]) -> Schema:
    """Describe an object in which these fields may stand, and others that are not known here."""
    return {"type": "object", "description": meaning, "properties": dict(fields)}


def empty_or(part: Schema) -> Schema:
    """Allow an object without fields too, where it does not apply."""
    return {**part, "required": []}


def file(title: str, part: Schema, defs: Mapping[str, Schema] | None = None) -> Schema:
    """Describe a file as a whole."""
    found = {"$schema": DIALECT, "title": title, **part}
    return found | ({"$defs": dict(defs)} if defs else {})


def _with_unit(part: Schema, unit: str) -> Schema:
    return {**part, "unit": unit} if unit else part
