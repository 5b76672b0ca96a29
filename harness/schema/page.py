"""docs/files.md, from the schemas: one table per file, one line per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from harness.schema.parts import Schema
from harness.schema.tables import FILES, STUDY_TABLES, TABLES, Column

_INTRO = """# The files of a run folder, and of studies

`python -m harness run` writes a folder of these files. `result.json` is the one for programs:
fields may join it, but names and units stay as they are within one version of `schema`. JSON Schema
files for it and the other JSON files are in the package, `harness/schema/*.schema.json`; they and
this page are made from the same declarations by `python -m harness.schema`. compare.json,
sweep.json, gate.json and perplexity.json stand in the folders of these commands, study.json and
rows.jsonl beside the first three where runs were made, and in the folder of a search or a
submission; texts.parquet and, of each subject, tokens.parquet beside the last.

A field in *italics* may be missing. `[]` stands for each element of a list, `.*` for each name of
an object.
"""
_ELSEWHERE = {"accuracy": "scores", "memory": "memory", "settings": "settings"}
_ELSEWHERE |= {"environment": "environment"}  # fields of result.json that are files of their own


class Line(NamedTuple):
    """A field as the page shows it."""

    path: str
    kind: str
    unit: str
    meaning: str
    optional: bool


def page(schemas: Mapping[str, Schema]) -> str:
    """Return the page as Markdown."""
    parts = [_INTRO, _files()]
    for name, schema in schemas.items():
        lines = _lines(schema, elsewhere=_ELSEWHERE if name == "result" else {})
        title = schema["title"].removesuffix(" of a run")
        parts.append(f"## {title}\n\n{schema['description']}\n\n{_table(lines)}")
        for shared, part in schema.get("$defs", {}).items():
            parts.append(f"### {shared}\n\n{part['description']}\n\n{_table(_lines(part))}")
    parts += [
        f"## {name}\n\n{_columns(columns)}" for name, columns in (TABLES | STUDY_TABLES).items()
    ]
    return "\n".join(parts)


def _files() -> str:
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in FILES.items())
    return f"| file | what it holds |\n|---|---|\n{rows}"


def _columns(columns: tuple[Column, ...]) -> str:
    rows = (f"| `{c.name}` | {c.kind} | {c.unit} | {c.meaning} |\n" for c in columns)
    return "| column | type | unit | meaning |\n|---|---|---|---|\n" + "".join(rows)


def _table(lines: Iterator[Line]) -> str:
    rows = []
    for line in lines:
        name = f"*`{line.path}`*" if line.optional else f"`{line.path}`"
        rows.append(f"| {name} | {line.kind} | {line.unit} | {line.meaning} |\n")
    return "| field | type | unit | meaning |\n|---|---|---|---|\n" + "".join(rows)


def _lines(
    part: Schema, path: str = "", elsewhere: Mapping[str, str] | None = None
) -> Iterator[Line]:
    """List the fields of a record, and what is in them, depth first, unless described elsewhere."""
    required = part.get("required", [])
    for name, field in part.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        meaning = str(field.get("description", "")).replace("\n", " ").replace("|", "\\|")
        file = (elsewhere or {}).get(name)
        kind = f"[{file}.json](#{file}json)" if file else _kind(field)
        yield Line(inner, kind, field.get("unit", ""), meaning, name not in required)
        if not file:
            yield from _inside(field, inner)
    if not path and "items" in part:
        yield from _inside(part, "")


def _inside(field: Schema, path: str) -> Iterator[Line]:
    if "properties" in field:
        yield from _lines(field, path)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        inner = field.get(key)
        if isinstance(inner, dict) and "properties" in inner:
            yield from _lines(inner, path + mark)


def _kind(field: Schema) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name})"
    if "enum" in field:
        return " or ".join("null" if value is None else f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(one) for one in field["anyOf"]))
    kinds = field.get("type", "any")
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if "items" in field and "properties" not in field["items"]:
        return f"{kind} of {_kind(field['items'])}"
    inner = field.get("additionalProperties")
    if isinstance(inner, dict) and "properties" not in inner:
        return f"{kind} of {_kind(inner)}"
    return kind
